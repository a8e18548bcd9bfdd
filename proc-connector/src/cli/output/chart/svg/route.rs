//! The line of the critical path, below the bars of its processes.

use std::fmt::Write;

use super::super::profile::Segment;
use super::lane_size::LaneSize;
use super::marks::Scale;

/// Shorter segments are not visible.
const SHORTEST: f64 = 0.7;

/// The path of the line. A segment that is too short to see, or whose process has no lane, is left out.
pub(super) fn route(
    segments: &[Segment],
    lane_of: &[Option<usize>],
    lane: LaneSize,
    scale: Scale,
) -> String {
    let mut route = String::new();
    let mut drawn_to = f64::NEG_INFINITY;
    let mut is_connected = false;
    for segment in segments {
        let (from, to) = (scale.x(segment.from_ns), scale.x(segment.to_ns));
        let Some(number) = lane_of[segment.process] else {
            is_connected = false;
            continue;
        };
        if to - drawn_to < SHORTEST {
            continue;
        }
        let y = lane.below(number);
        // The end of the last visible segment may be a little before this one.
        is_connected &= from - drawn_to < SHORTEST;
        // Writing to a string cannot fail.
        let _ = if is_connected {
            write!(route, "V{y:.1}H{to:.1}")
        } else {
            write!(route, "M{from:.1} {y:.1}H{to:.1}")
        };
        (drawn_to, is_connected) = (to, true);
    }
    route
}
