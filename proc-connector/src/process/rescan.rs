//! When to read all of `/proc` again after a loss.

use std::time::{Duration, Instant};

/// How long no loss must have come before a look, and how long to wait for that at most: while
/// events are being lost, one look leads to another.
const SETTLE: Duration = Duration::from_millis(50);
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);

/// Between two looks, at least this, and so many times what the last one took.
const REST: Duration = Duration::from_millis(500);
const REST_FACTOR: u32 = 20;

/// When to look again.
#[derive(Debug, Default)]
pub(super) struct Rescan {
    pub(super) due: Option<Instant>,
    /// The first loss since the last look.
    first_loss: Option<Instant>,
    /// When the next look is allowed.
    rested: Option<Instant>,
    /// Whether events are missing that no look has made up for.
    pub(super) is_unsure: bool,
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

    pub(super) fn after_look(&mut self, started: Instant, now: Instant) {
        let took = now.duration_since(started);
        let rest = REST.max(took.saturating_mul(REST_FACTOR));
        *self = Self { rested: now.checked_add(rest), ..Self::default() };
    }
}
