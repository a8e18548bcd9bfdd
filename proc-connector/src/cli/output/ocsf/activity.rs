//! The activity of an event: what the actor does to the process.

use proc_connector::{Event, Payload};

use crate::cli::output::sink::Item;

/// An activity of the class Process Activity or of the base class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) id: u8,
    pub(super) name: &'static str,
    /// The id and the name of the type of a launch.
    pub(super) launch: Option<(u8, &'static str)>,
}

impl Activity {
    const FORK: Self = Self { launch: Some((2, "Fork")), ..Self::of_schema(1, "Launch") };
    const EXEC: Self = Self { launch: Some((3, "Exec")), ..Self::of_schema(1, "Launch") };
    pub(super) const TERMINATE: Self = Self::of_schema(2, "Terminate");
    const OPEN: Self = Self::of_schema(3, "Open");
    const SET_USER_ID: Self = Self::of_schema(5, "Set User ID");
    pub(super) const LOST: Self = Self::other("Events Lost");
    pub(super) const UNKNOWN_KIND: Self = Self::other("Unknown Process Event");

    const fn of_schema(id: u8, name: &'static str) -> Self {
        Self { id, name, launch: None }
    }

    /// An activity that the schema does not name.
    const fn other(name: &'static str) -> Self {
        Self::of_schema(99, name)
    }

    /// The activity of an event of a known kind.
    pub(super) fn of(event: &Event<'_>, item: &Item<'_>) -> Self {
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() != fork.child_tgid() => {
                Self::other("Start Thread")
            }
            Payload::Fork(_) => Self::FORK,
            Payload::Exec(_) => Self::EXEC,
            Payload::Exit(_) if item.end.is_some() => Self::TERMINATE,
            Payload::Exit(_) => Self::other("Exit Thread"),
            Payload::Uid(_) => Self::SET_USER_ID,
            Payload::Gid(_) => Self::other("Set Group ID"),
            Payload::Sid(_) => Self::other("Set Session ID"),
            Payload::Ptrace(ptrace) if ptrace.tracer_tgid() == 0 => Self::other("Stop Tracing"),
            Payload::Ptrace(_) => Self::OPEN,
            Payload::Comm(_) => Self::other("Set Name"),
            Payload::Coredump(_) => Self::other("Dump Core"),
            _ => Self::UNKNOWN_KIND,
        }
    }
}
