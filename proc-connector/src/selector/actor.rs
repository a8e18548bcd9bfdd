//! The task that causes an event, and what the event itself contains about it.

use proc_connector_core::{Event, Payload};

/// The acting task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) tgid: u32,
    pub(crate) pid: u32,
    /// When its process was created, in nanoseconds of `CLOCK_BOOTTIME`.
    pub(crate) start: Option<u64>,
}

impl Actor {
    /// `None` if it is unknown: an event of an unknown kind without a context.
    ///
    /// Without a context, the fork of a thread names no thread of the process that created it. The
    /// first thread then stands for it.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        let (tgid, pid) = named(event)?;
        let Some(context) = event.context() else { return Some(Self { tgid, pid, start: None }) };
        // The exit of a thread can follow that of its process, whose identity is then gone.
        let Some(actor) = context.tgid() else { return Some(Self { tgid, pid, start: None }) };
        let pid = context.pid().unwrap_or(if actor == tgid { pid } else { actor });
        Some(Self { tgid: actor, pid, start: context.start_boottime_ns() })
    }
}

/// The process and the thread that the event names.
fn named(event: &Event<'_>) -> Option<(u32, u32)> {
    match event.payload() {
        Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
            Some((fork.parent_tgid(), fork.parent_pid()))
        }
        Payload::Fork(fork) => Some((fork.child_tgid(), fork.child_tgid())),
        Payload::Ptrace(ptrace) if ptrace.tracer_tgid() != 0 => {
            Some((ptrace.tracer_tgid(), ptrace.tracer_pid()))
        }
        // After an exec, the acting thread is the first one.
        Payload::Exec(exec) => Some((exec.process_tgid(), exec.process_tgid())),
        _ => match event.process() {
            Some(process) => Some((process.tgid, process.pid)),
            None => event.context().and_then(|context| context.tgid()).map(|tgid| (tgid, tgid)),
        },
    }
}

/// The real and the effective user id that the event contains.
pub(crate) fn users(event: &Event<'_>) -> Option<(u32, u32)> {
    if let Payload::Uid(uid) = event.payload() {
        return Some((uid.ruid(), uid.euid()));
    }
    let context = event.context()?;
    context.uid().zip(context.euid())
}

/// The name of the acting thread that the event contains.
pub(crate) fn comm(event: &Event<'_>) -> Option<[u8; 16]> {
    if let Payload::Comm(comm) = event.payload() {
        return Some(*comm.comm());
    }
    event.context()?.comm().map(padded)
}

/// A name as the kernel stores it: at most 15 bytes, padded with zeros.
pub(crate) fn padded(name: &[u8]) -> [u8; 16] {
    let mut comm = [0; 16];
    let name = &name[..name.len().min(15)];
    comm[..name.len()].copy_from_slice(name);
    comm
}
