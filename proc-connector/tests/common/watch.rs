//! Collects the events of one process as plain values.

use proc_connector::{Event, Payload, ProcConnector, Received};

use super::Deadline;

/// A thread: its id and its process id.
pub(crate) type Task = (u32, u32);

/// An event. Unknown parents are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Fork { parent: Task, child: Task },
    Exec(Task),
    Uid { task: Task, ruid: u32, euid: u32 },
    Gid { task: Task, rgid: u32, egid: u32 },
    Sid(Task),
    Ptrace { task: Task, tracer: Task },
    Comm { task: Task, comm: [u8; 16] },
    Coredump { task: Task, parent: Task },
    Exit { task: Task, status: u32, signal: u32, parent: Task },
    Unknown(u32),
}

impl Seen {
    /// The process of the event; for a fork, the child.
    pub(crate) fn process(&self) -> u32 {
        match *self {
            Self::Fork { child: (_, tgid), .. }
            | Self::Exec((_, tgid))
            | Self::Uid { task: (_, tgid), .. }
            | Self::Gid { task: (_, tgid), .. }
            | Self::Sid((_, tgid))
            | Self::Ptrace { task: (_, tgid), .. }
            | Self::Comm { task: (_, tgid), .. }
            | Self::Coredump { task: (_, tgid), .. }
            | Self::Exit { task: (_, tgid), .. } => tgid,
            Self::Unknown(_) => 0,
        }
    }

    pub(crate) fn is_exit_of(&self, exited: Task) -> bool {
        matches!(self, Self::Exit { task, .. } if *task == exited)
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event.payload() {
            Payload::Fork(e) => Self::Fork {
                parent: (e.parent_pid(), e.parent_tgid()),
                child: (e.child_pid(), e.child_tgid()),
            },
            Payload::Exec(e) => Self::Exec((e.process_pid(), e.process_tgid())),
            Payload::Uid(e) => Self::Uid {
                task: (e.process_pid(), e.process_tgid()),
                ruid: e.ruid(),
                euid: e.euid(),
            },
            Payload::Gid(e) => Self::Gid {
                task: (e.process_pid(), e.process_tgid()),
                rgid: e.rgid(),
                egid: e.egid(),
            },
            Payload::Sid(e) => Self::Sid((e.process_pid(), e.process_tgid())),
            Payload::Ptrace(e) => Self::Ptrace {
                task: (e.process_pid(), e.process_tgid()),
                tracer: (e.tracer_pid(), e.tracer_tgid()),
            },
            Payload::Comm(e) => {
                Self::Comm { task: (e.process_pid(), e.process_tgid()), comm: *e.comm() }
            }
            Payload::Coredump(e) => Self::Coredump {
                task: (e.process_pid(), e.process_tgid()),
                parent: (e.parent_pid().unwrap_or(0), e.parent_tgid().unwrap_or(0)),
            },
            Payload::Exit(e) => Self::Exit {
                task: (e.process_pid(), e.process_tgid()),
                status: e.exit_code(),
                signal: e.exit_signal(),
                parent: (e.parent_pid().unwrap_or(0), e.parent_tgid().unwrap_or(0)),
            },
            _ => Self::Unknown(event.what()),
        }
    }
}

/// Collects the events of one process, in order.
#[derive(Debug)]
pub(crate) struct Watch {
    connector: ProcConnector,
    seen: Vec<Seen>,
}

impl Watch {
    /// Must be called before the process is started.
    pub(crate) fn start() -> Self {
        Self { connector: super::open_live(), seen: Vec::new() }
    }

    /// Collects the events of a process until `done` returns true.
    pub(crate) fn until(&mut self, process: u32, done: impl Fn(&[Seen]) -> bool) -> &[Seen] {
        let deadline = Deadline::new();
        while !done(&self.seen) {
            let Some(left) = deadline.left() else {
                panic!("timed out; events of process {process}: {:#?}", self.seen)
            };
            for received in self.connector.recv_batch_timeout(left).expect("a batch") {
                match received {
                    Received::Event(event) => self.seen.push(event.into()),
                    Received::Lost(lost) => panic!("the machine is too busy: {lost:?}"),
                }
            }
            self.seen.retain(|seen| seen.process() == process);
        }
        &self.seen
    }

    /// Collects the events of a process up to the exit of its first thread.
    pub(crate) fn until_exit(&mut self, process: u32) -> &[Seen] {
        self.until(process, |seen| seen.iter().any(|seen| seen.is_exit_of((process, process))))
    }
}
