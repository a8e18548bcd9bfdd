//! How long a receive waits.

use std::time::{Duration, Instant};

/// How long a receive may wait for something to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// Until then.
    Until(Instant),
    /// For ever.
    Forever,
}

impl Wait {
    /// A wait of `timeout` from now; one beyond what the clock can express never ends.
    pub(crate) fn for_at_most(timeout: Duration) -> Self {
        if timeout.is_zero() {
            return Self::No;
        }
        Instant::now().checked_add(timeout).map_or(Self::Forever, Self::Until)
    }

    /// What is left: `None` for ever, and zero once the time is over.
    pub(crate) fn remaining(self) -> Option<Duration> {
        match self {
            Self::No => Some(Duration::ZERO),
            Self::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Self::Forever => None,
        }
    }
}
