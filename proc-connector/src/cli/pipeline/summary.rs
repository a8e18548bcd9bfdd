//! The summary of a run, in one line at its end.

use std::fmt;
use std::time::Duration;

use crate::cli::shown::report;

/// The totals of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) lost: u64,
    pub(crate) time: Duration,
}

impl Summary {
    /// Writes it to standard error.
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
        write!(f, "{events} events, {lost} lost, {seconds:.1} s, {rate:.0} events/s")
    }
}
