//! The interface of output formats.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use proc_connector::parser::Usage;
use proc_connector::process::{BootId, Process};
use proc_connector::{ExitStatus, Received};

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
    /// Whether the process is over, if this is an exit and that is known.
    pub(crate) is_over: Option<bool>,
    /// The end of the process, if this is the first event to report it.
    pub(crate) end: Option<End>,
    pub(crate) details: Details<'a>,
}

/// The machine of an event, and other processes. Nothing is known unless the format
/// [shows](Sink::shows_details) it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Details<'a> {
    pub(crate) host: Option<&'a str>,
    pub(crate) boot_id: Option<BootId>,
    /// The process that caused the event. If that is the process of the event: its state before.
    pub(crate) actor: Option<&'a Process>,
    /// The parent of the process of the event.
    pub(crate) parent: Option<&'a Process>,
    /// The names of the real users of the process and of the actor.
    pub(crate) user: Option<&'a str>,
    pub(crate) actor_user: Option<&'a str>,
}

/// The end of a process: all of its threads have exited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// The status that `waitpid` returns to the parent.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) lifetime_ns: Option<u64>,
    /// The resources that all threads used.
    pub(crate) usage: Option<Usage>,
}

impl End {
    /// Whether the process is known to have failed.
    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_some_and(|status| !status.success())
    }
}

/// Formats items and writes them out.
pub(crate) trait Sink {
    /// Whether the format shows the names of users. If not, they are not looked up.
    fn shows_users(&self) -> bool {
        false
    }

    /// Whether the format shows the [details](Item::details). If not, they are not determined.
    fn shows_details(&self) -> bool {
        false
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure>;

    /// How long the source may wait for events before it calls [`flush`](Self::flush). `None` stands for
    /// an unlimited time.
    fn due_in(&self) -> Option<Duration> {
        None
    }

    /// Writes the end of a process that is not the process of the event: a fork that reuses its id
    /// shows that it has ended. Returns whether the format shows ends that have no event of their own.
    fn write_end(&mut self, _: &Item<'_>) -> Result<bool, Failure> {
        Ok(false)
    }

    fn flush(&mut self) -> Result<(), Failure>;
}
