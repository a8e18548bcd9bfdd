//! What the places that events go to have in common.

use std::io;
use std::time::{Duration, SystemTime};

use proc_connector::Received;

/// Takes what is received or replayed, with the time of day if that is known.
pub(crate) trait Sink {
    /// Whether it was an event that is shown.
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<bool>;

    fn flush(&mut self) -> io::Result<()>;

    /// When it has something to do though nothing comes.
    fn due_in(&self) -> Option<Duration> {
        None
    }

    /// Does that.
    fn catch_up(&mut self) {}
}
