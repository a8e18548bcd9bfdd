//! How long a receive waits.

use std::time::{Duration, Instant};

/// When a receive stops waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// It does not wait.
    Now,
    At(Instant),
    /// It waits until something arrives.
    Never,
}

impl Deadline {
    /// The deadline `timeout` from now. `Never` if the clock cannot represent it.
    pub(crate) fn after(timeout: Duration) -> Self {
        if timeout.is_zero() {
            return Self::Now;
        }
        Instant::now().checked_add(timeout).map_or(Self::Never, Self::At)
    }

    /// The time left, zero once the deadline has passed. `None` for `Never`.
    pub(crate) fn remaining(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::At(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Self::Never => None,
        }
    }
}
