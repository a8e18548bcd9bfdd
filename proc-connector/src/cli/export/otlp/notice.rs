//! What the sender reports on standard error.

use std::fmt;
use std::time::Duration;

use crate::cli::export::spool::Error;
use crate::cli::shown::shown;

/// An event that a user wants to know.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The receiver does not accept batches. They are kept and sent again.
    Trouble { reason: String },
    /// The receiver accepts batches again.
    Recovered { after: Duration, waiting: u64 },
    /// The receiver has refused records.
    Refused { records: u64, reason: String },
    /// The oldest records are discarded.
    Full,
    /// Records were lost by damage to the spool.
    Damaged { records: u64 },
    /// The spool cannot be read, or its state cannot be written.
    Spool(Error),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble { reason } => write!(
                f,
                "the receiver does not accept records, which wait in the spool: {}",
                shown(reason.as_bytes())
            ),
            Self::Recovered { after, waiting } => write!(
                f,
                "the receiver accepts records again after {:.1} s; {waiting} records wait",
                after.as_secs_f64()
            ),
            Self::Refused { records, reason } => write!(
                f,
                "the receiver refused {records} records, which are reported as lost: {}",
                shown(reason.as_bytes())
            ),
            Self::Full => f.write_str(
                "the spool is full: the oldest records are discarded and reported as lost; increase its \
                 capacity with --spool-size",
            ),
            Self::Damaged { records } => write!(
                f,
                "the spool was damaged: {records} records are unreadable and are reported as lost"
            ),
            Self::Spool(error) => error.fmt(f),
        }
    }
}
