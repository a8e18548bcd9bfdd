//! The machine of an event, and the processes that it involves besides its own.

use proc_connector::parser::Fork;
use proc_connector::process::{BootId, Process, ProcessTable};
use proc_connector::{Event, OwnedReceived, Payload, Received};

use super::identify::{Identify, Subject};
use crate::cli::output::sink::Details;

/// The names of the real users of the process and of the actor.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    user: Option<String>,
    actor_user: Option<String>,
}

/// Looks up the names of users in the details of an event.
pub(super) fn names(
    identify: &mut Identify,
    received: &Received<'_>,
    subject: Subject,
    before: Option<&Process>,
) -> Names {
    let real = |process: &Process| process.uid().map(|ids| ids.real);
    let process = identify.process(subject);
    let uid = process.and_then(real);
    let actor_uid = actor(identify.table(), received, process, before).and_then(real);
    let user = uid.and_then(|uid| identify.user_name(uid).map(str::to_owned));
    let actor_user = match actor_uid {
        None => None,
        _ if actor_uid == uid => user.clone(),
        Some(uid) => identify.user_name(uid).map(str::to_owned),
    };
    Names { user, actor_user }
}

/// The details of an event. `before` is the state of its process before the event.
pub(super) fn of<'a>(
    identify: &'a Identify,
    received: &Received<'_>,
    subject: Subject,
    before: Option<&'a Process>,
    names: &'a Names,
) -> Details<'a> {
    let (table, process) = (identify.table(), identify.process(subject));
    let parent = process.and_then(Process::parent).and_then(|tgid| existing(table, tgid, received));
    Details {
        host: identify.host(),
        boot_id: table.boot_id(),
        actor: actor(table, received, process, before),
        parent,
        user: names.user.as_deref(),
        actor_user: names.actor_user.as_deref(),
    }
}

impl Identify {
    /// The process of an event in its state before the event, if the event may change it.
    pub(super) fn before(&self, received: &Received<'_>) -> Option<Process> {
        let Received::Event(event) = received else { return None };
        match event.payload() {
            Payload::Exec(_)
            | Payload::Uid(_)
            | Payload::Gid(_)
            | Payload::Sid(_)
            | Payload::Comm(_) => existing(self.table(), event.process()?.tgid, received).cloned(),
            _ => None,
        }
    }
}

/// The process that caused an event. `process` is that of the event.
fn actor<'a>(
    table: &'a ProcessTable,
    received: &Received<'_>,
    process: Option<&Process>,
    before: Option<&'a Process>,
) -> Option<&'a Process> {
    let Received::Event(event) = received else { return None };
    match event.payload() {
        Payload::Fork(fork) if process.is_some_and(|child| child.tgid() == fork.child_tgid()) => {
            creator(table, event, fork, process)
        }
        Payload::Ptrace(ptrace) => existing(table, ptrace.tracer_tgid(), received),
        // The id can have belonged to another process before.
        _ => before.filter(|before| Some(before.serial()) == process.map(Process::serial)),
    }
}

/// The process that forked. Over the socket, it is the parent unless another is certain.
fn creator<'a>(
    table: &'a ProcessTable,
    event: &Event<'_>,
    fork: &Fork,
    child: Option<&Process>,
) -> Option<&'a Process> {
    let running = event.context().and_then(|task| task.tgid().zip(task.start_boottime_ns()));
    if let Some((tgid, start)) = running {
        return table.get(tgid).filter(|process| process.start_boottime_ns() == Some(start));
    }
    let parent = existing(table, fork.parent_tgid(), &Received::Event(*event));
    match child.and_then(Process::creator) {
        Some(serial) if parent.map(Process::serial) != Some(serial) => table.by_serial(serial),
        _ => parent,
    }
}

/// The process that has this id, unless it started after the event.
fn existing<'a>(
    table: &'a ProcessTable,
    tgid: u32,
    received: &Received<'_>,
) -> Option<&'a Process> {
    let Received::Event(event) = received else { return None };
    let process = table.get(tgid)?;
    process.start_ns().is_none_or(|start| start <= event.timestamp_ns()).then_some(process)
}

/// Details that own their values.
#[derive(Debug, Default)]
pub(super) struct OwnedDetails {
    host: Option<String>,
    boot_id: Option<BootId>,
    processes: Option<Box<Processes>>,
    names: Names,
}

#[derive(Debug)]
struct Processes {
    actor: Option<Process>,
    parent: Option<Process>,
}

impl OwnedDetails {
    pub(super) fn new(details: &Details<'_>) -> Self {
        let &Details { host, boot_id, actor, parent, user, actor_user } = details;
        let (actor, parent) = (actor.cloned(), parent.cloned());
        let is_any = actor.is_some() || parent.is_some();
        Self {
            host: host.map(str::to_owned),
            boot_id,
            processes: is_any.then(|| Box::new(Processes { actor, parent })),
            names: Names {
                user: user.map(str::to_owned),
                actor_user: actor_user.map(str::to_owned),
            },
        }
    }

    /// Completes the processes with a program that was awaited. Before an exec, the process had another.
    pub(super) fn take_program(&mut self, received: &OwnedReceived, executed: &Process) {
        let Some(Processes { actor, parent }) = self.processes.as_deref_mut() else { return };
        let is_exec = matches!(
            received.as_received(),
            Received::Event(event) if matches!(event.payload(), Payload::Exec(_))
        );
        let actor = actor.as_mut().filter(|_| !is_exec);
        for other in actor.into_iter().chain(parent) {
            if other.serial() == executed.serial() {
                other.take_program(executed);
            }
        }
    }

    pub(super) fn borrowed(&self) -> Details<'_> {
        let Self { host, boot_id, processes, names } = self;
        let processes = processes.as_deref();
        Details {
            host: host.as_deref(),
            boot_id: *boot_id,
            actor: processes.and_then(|processes| processes.actor.as_ref()),
            parent: processes.and_then(|processes| processes.parent.as_ref()),
            user: names.user.as_deref(),
            actor_user: names.actor_user.as_deref(),
        }
    }
}
