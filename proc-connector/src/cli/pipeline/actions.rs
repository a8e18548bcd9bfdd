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

/// Passes on actions, a fork by a process that waits for the program of an exec together with the exec.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    waiting: Vec<WaitingFork>,
}

/// The most forks that wait. A busy machine makes this number in some milliseconds.
const CAPACITY: usize = 4096;

#[derive(Debug)]
struct WaitingFork {
    by: Process,
    is_thread: bool,
    /// The serial of the process whose exec is reported later.
    awaited: u64,
}

impl Actions {
    /// Passes on what an event or a loss reports that was just applied to the table.
    pub(crate) fn each(
        &mut self,
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
                    self.executed(change.process, &mut take);
                }
                _ => {}
            }
        }
        match received {
            Received::Event(event) => self.take_event(event, table, take),
            Received::Lost(lost) => take(Action::Lost(lost)),
        }
    }

    /// Passes on the execs that the table has reported without an event.
    pub(crate) fn each_deferred(&mut self, changes: Changes<'_>, mut take: impl FnMut(Action<'_>)) {
        for change in changes.filter(|change| change.kind == ChangeKind::Executed) {
            self.executed(change.process, &mut take);
        }
    }

    /// Passes on the forks that still wait.
    pub(crate) fn rest(&mut self, mut take: impl FnMut(Action<'_>)) {
        for WaitingFork { by, is_thread, .. } in self.waiting.drain(..) {
            take(Action::Forked { by: Some(&by), is_thread });
        }
    }

    /// Passes on an exec that was awaited, after the forks that waited for it.
    fn executed(&mut self, process: &Process, take: &mut impl FnMut(Action<'_>)) {
        let serial = process.serial();
        self.waiting.retain_mut(|fork| {
            let waits = fork.awaited != serial;
            if !waits {
                fork.by.take_program(process);
                take(Action::Forked { by: Some(&fork.by), is_thread: fork.is_thread });
            }
            waits
        });
        take(Action::Executed(Some(process)));
    }

    fn forked(
        &mut self,
        by: Option<&Process>,
        is_thread: bool,
        table: &ProcessTable,
        take: &mut impl FnMut(Action<'_>),
    ) {
        match by.and_then(|by| Some((by, table.awaited_exec(by)?))) {
            Some((by, awaited)) if self.waiting.len() < CAPACITY => {
                self.waiting.push(WaitingFork { by: by.clone(), is_thread, awaited });
            }
            _ => take(Action::Forked { by, is_thread }),
        }
    }

    fn take_event(
        &mut self,
        event: &Event<'_>,
        table: &ProcessTable,
        mut take: impl FnMut(Action<'_>),
    ) {
        let kind = match event.payload() {
            Payload::Fork(fork) => {
                let is_thread = fork.child_pid() != fork.child_tgid();
                // Only the context has the creator. The event has the parent, which for a thread is the
                // parent of its process.
                let creator = event.context().and_then(|context| context.tgid());
                let named = if is_thread { fork.child_tgid() } else { fork.parent_tgid() };
                let by = table.get(creator.unwrap_or(named));
                self.forked(by, is_thread, table, &mut take);
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
}
