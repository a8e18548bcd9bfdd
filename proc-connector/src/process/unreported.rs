//! Processes whose exits were not received, although no event was lost: a filter by user, name or
//! cgroup selects the fork of a process, but not its exit if the process no longer matches by then.

use std::time::{Duration, Instant};

/// How many more processes than after the last search start a search.
const SLACK: usize = 1024;

/// How long a process must have been missing in `/proc`. Its exit can be in a queue until then.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of the search.
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
