//! What events report about processes, for counting: forks, execs and ends.

use proc_connector::process::{ChangeKind, Changes, Process, ProcessTable};
use proc_connector::{Event, EventMask, Lost, Payload, Received};

/// A part of what an event or a loss reports.
#[derive(Debug)]
pub(crate) enum Action<'a> {
    /// An event of this kind, which is empty for kinds that this program does not know.
    Event(EventMask),
    Lost(&'a Lost),
    /// A process, if it is known, made a process or a thread.
    Forked {
        by: Option<&'a Process>,
        is_thread: bool,
    },
    /// A process, if it is known, executed a program.
    Executed(Option<&'a Process>),
    Ended(&'a Process),
}

/// Passes on what an event or a loss reports that was just applied to the table.
pub(crate) fn each(
    received: &Received<'_>,
    table: &ProcessTable,
    mut take: impl FnMut(Action<'_>),
) {
    let exec_ns = match received {
        Received::Event(event) => Some(event.timestamp_ns()),
        Received::Lost(_) => None,
    };
    for change in table.changes() {
        match change.kind {
            ChangeKind::Ended => take(Action::Ended(change.process)),
            ChangeKind::Executed if change.process.exec_ns() != exec_ns => {
                take(Action::Executed(Some(change.process)));
            }
            _ => {}
        }
    }
    match received {
        Received::Event(event) => take_event(event, table, take),
        Received::Lost(lost) => take(Action::Lost(lost)),
    }
}

/// Passes on the execs that the table has reported without an event.
pub(crate) fn each_deferred(changes: Changes<'_>, mut take: impl FnMut(Action<'_>)) {
    for change in changes.filter(|change| change.kind == ChangeKind::Executed) {
        take(Action::Executed(Some(change.process)));
    }
}

fn take_event(event: &Event<'_>, table: &ProcessTable, mut take: impl FnMut(Action<'_>)) {
    let kind = match event.payload() {
        Payload::Fork(fork) => {
            let is_thread = fork.child_pid() != fork.child_tgid();
            // Only the context has the creator. The event has the parent, which for a thread is the
            // parent of its process.
            let creator = event.context().and_then(|context| context.tgid());
            let named = if is_thread { fork.child_tgid() } else { fork.parent_tgid() };
            take(Action::Forked { by: table.get(creator.unwrap_or(named)), is_thread });
            EventMask::FORK
        }
        Payload::Exec(exec) => {
            let process = table.get(exec.process_tgid());
            if process.is_none_or(|process| table.awaited_exec(process).is_none()) {
                take(Action::Executed(process));
            }
            EventMask::EXEC
        }
        Payload::Exit(_) => EventMask::EXIT,
        Payload::Uid(_) => EventMask::UID,
        Payload::Gid(_) => EventMask::GID,
        Payload::Sid(_) => EventMask::SID,
        Payload::Ptrace(_) => EventMask::PTRACE,
        Payload::Comm(_) => EventMask::COMM,
        Payload::Coredump(_) => EventMask::COREDUMP,
        _ => EventMask::empty(),
    };
    take(Action::Event(kind));
}
