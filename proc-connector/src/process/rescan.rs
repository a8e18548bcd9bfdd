//! When to scan `/proc` after a loss, and when to search for processes without an exit.

use std::time::{Duration, Instant};

/// A scan starts once no loss arrived for `SETTLE`, but at most `SETTLE_AT_MOST` after the first
/// loss. A scan while events are being lost would have to be repeated.
const SETTLE: Duration = Duration::from_millis(50);
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);

/// The limits of the pause between two scans, and the pause as a multiple of the last scan's duration.
/// On a busy machine a scan takes long because it waits for a processor.
const REST: Duration = Duration::from_millis(500);
const REST_AT_MOST: Duration = Duration::from_secs(5);
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
        let rest = took.saturating_mul(REST_FACTOR).clamp(REST, REST_AT_MOST);
        *self = Self { rested: now.checked_add(rest), ..Self::default() };
    }
}

/// How many more processes than after the last search start a search.
const SLACK: usize = 1024;

/// How long a process must have been missing in `/proc`. Its exit can be in a queue until then.
const PATIENCE: Duration = Duration::from_secs(2);

/// The search for processes whose exits were not received.
#[derive(Debug)]
pub(super) struct Unreported {
    /// The number of live processes above which a search starts.
    pub(super) limit: usize,
    /// The processes that `/proc` does not have: their ids and serials.
    pub(super) missing: Vec<(u32, u64)>,
    /// When these were missing.
    pub(super) searched: Option<Instant>,
    pub(super) patience: Duration,
}

impl Default for Unreported {
    fn default() -> Self {
        Self { limit: SLACK, missing: Vec::new(), searched: None, patience: PATIENCE }
    }
}

impl Unreported {
    /// Restarts the search, for a table that has this number of live processes.
    pub(super) fn restart(&mut self, live: usize) {
        self.limit = live.saturating_mul(2).saturating_add(SLACK);
        self.missing.clear();
        self.searched = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_took_long_does_not_delay_the_next_one_for_long() {
        let (mut rescan, started) = (Rescan::default(), Instant::now());
        let ended = started + Duration::from_secs(60);
        rescan.after_scan(started, ended);
        rescan.after_loss(ended);
        assert_eq!(rescan.due, Some(ended + REST_AT_MOST));
        rescan.after_scan(started, started + Duration::from_millis(1));
        rescan.after_loss(started);
        assert_eq!(rescan.due, Some(started + Duration::from_millis(1) + REST));
    }
}
