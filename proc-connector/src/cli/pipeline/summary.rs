//! The summary at the end of a run.

use std::fmt;
use std::time::Duration;

use crate::cli::shown::report;

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) lost: u64,
    pub(crate) time: Duration,
}

impl Summary {
    /// Prints the summary to standard error.
    pub(crate) fn report(&self) {
        report(self);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate to read")]
        let rate = self.events as f64 / seconds.max(f64::EPSILON);
        let (events, lost) = (self.events, self.lost);
        let s = if events == 1 { "" } else { "s" };
        write!(f, "{events} event{s}, {lost} lost, {seconds:.1} s, {rate:.0} events/s")
    }
}
