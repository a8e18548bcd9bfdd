//! What the places that events go to have in common.

use std::io;
use std::time::SystemTime;

use proc_connector::Received;

/// Takes what is received or replayed, with the time of day if that is known.
pub(super) trait Sink {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}
