//! The interface of output formats.

use std::borrow::Cow;
use std::time::SystemTime;

use proc_connector::Received;
use proc_connector::process::Process;

use crate::cli::failure::Failure;

/// An event or a loss, with all data that a format may show.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) received: &'a Received<'a>,
    pub(crate) time: Option<SystemTime>,
    /// The process that the event is about, in its state after the event.
    pub(crate) process: Option<&'a Process>,
    /// The name of the process's effective user, or the id of a user without a name.
    pub(crate) user: Option<Cow<'a, str>>,
}

/// Formats items and writes them out.
pub(crate) trait Sink {
    /// Whether the format shows the names of users. If not, they are not looked up.
    fn shows_users(&self) -> bool {
        false
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure>;

    fn flush(&mut self) -> Result<(), Failure>;
}
