//! The summary at the end of a run.

use std::fmt;
use std::time::Duration;

use super::shown::report;

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    pub(super) events: u64,
    pub(super) lost: u64,
    pub(super) time: Duration,
}

impl Summary {
    /// Prints the summary to standard error.
    pub(super) fn tell(&self) {
        report(self);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
        let rate = self.events as f64 / seconds.max(f64::EPSILON);
        let (events, lost) = (self.events, self.lost);
        let s = if events == 1 { "" } else { "s" };
        write!(f, "{events} event{s}, {lost} lost, {seconds:.1} s, {rate:.0} events/s")
    }
}
