//! When to scan `/proc` after a loss.

use std::time::{Duration, Instant};

/// A scan starts once no loss arrived for `SETTLE`, but at most `SETTLE_AT_MOST` after the first
/// loss. A scan while events are being lost would have to be repeated.
const SETTLE: Duration = Duration::from_millis(50);
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);

/// The minimum pause between two scans, and the pause as a multiple of the last scan's duration.
const REST: Duration = Duration::from_millis(500);
const REST_FACTOR: u32 = 20;

/// The schedule of the next scan.
#[derive(Debug, Default)]
pub(super) struct Rescan {
    pub(super) due: Option<Instant>,
    /// The first loss since the last scan.
    first_loss: Option<Instant>,
    /// The earliest time of the next scan.
    rested: Option<Instant>,
    /// Whether events were lost since the last scan.
    pub(super) is_missing_events: bool,
}

impl Rescan {
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    pub(super) fn after_loss(&mut self, now: Instant) {
        let first = *self.first_loss.get_or_insert(now);
        let settled = (now + SETTLE).min(first + SETTLE_AT_MOST);
        self.due = Some(self.rested.map_or(settled, |rested| rested.max(settled)));
    }

    pub(super) fn after_scan(&mut self, started: Instant, now: Instant) {
        let took = now.duration_since(started);
        let rest = REST.max(took.saturating_mul(REST_FACTOR));
        *self = Self { rested: now.checked_add(rest), ..Self::default() };
    }
}
