//! The lines of the critical path, below the bars of its processes.

use std::fmt::Write;

use super::super::profile::Segment;
use super::lane_size::LaneSize;
use super::marks::Scale;

/// Shorter segments are barely visible.
const SHORTEST: f64 = 1.5;

/// The paths of the lines.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Along the processes.
    pub(super) along: String,
    /// From one process to the next.
    pub(super) between: String,
}

impl Route {
    /// A segment that is too short to see, or whose process has no lane, is left out.
    pub(super) fn new(
        segments: &[Segment],
        lane_of: &[Option<usize>],
        lane: LaneSize,
        scale: Scale,
    ) -> Self {
        let mut route = Self::default();
        let mut last: Option<(f64, f64)> = None;
        for segment in segments {
            let (mut from, to) = (scale.x(segment.from_ns), scale.x(segment.to_ns));
            let Some(number) = lane_of[segment.process] else { continue };
            if last.is_some_and(|(x, _)| to - x < SHORTEST) {
                continue;
            }
            let y = lane.below(number);
            // The end of the last visible segment may be a little before this one.
            if let Some((x, last_y)) = last.filter(|&(x, _)| from - x < SHORTEST) {
                from = x;
                // Writing to a string cannot fail.
                let _ = write!(route.between, "M{x:.1} {last_y:.1}V{y:.1}");
            }
            let _ = write!(route.along, "M{from:.1} {y:.1}H{to:.1}");
            last = Some((to, y));
        }
        route
    }
}
