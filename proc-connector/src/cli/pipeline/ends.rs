//! The ends of processes, which exits of threads report.

use proc_connector::process::{Change, ChangeKind, Changes, Process};
use proc_connector::{Event, Payload, Received};

use super::identify::Subject;
use crate::cli::output::sink::End;

/// The end of a process that is not the process of the event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherEnd {
    pub(crate) subject: Subject,
    pub(crate) end: End,
}

/// Whether a process is over after an event, and its end, as the kernel recorded them.
pub(crate) fn noted(received: &Received<'_>) -> (Option<bool>, Option<End>) {
    let context = match received {
        Received::Event(event) => event.context(),
        Received::Lost(_) => None,
    };
    let Some(context) = context else { return (None, None) };
    let is_over = context.is_over();
    let end =
        End { status: context.process_status(), lifetime_ns: None, usage: context.process_usage() };
    (is_over, Some(end).filter(|_| is_over == Some(true)))
}

/// Whether a process is over after an event, and its end, as the table of processes determined them.
pub(crate) fn identified(
    received: &Received<'_>,
    changes: Changes<'_>,
) -> (Option<bool>, Option<End>) {
    let Some((event, tgid)) = exit(received) else { return (None, None) };
    let mut is_over = event.context().and_then(|context| context.is_over());
    for Change { kind, process, .. } in changes {
        match kind {
            ChangeKind::Ended if process.tgid() == tgid => {
                let usage = event.context().and_then(|context| context.process_usage());
                return (Some(true), Some(End { usage, ..end(process) }));
            }
            ChangeKind::ThreadEnded(_) => is_over = Some(false),
            _ => {}
        }
    }
    (is_over, None)
}

/// The end of another process than that of the event.
pub(crate) fn other(received: &Received<'_>, mut changes: Changes<'_>) -> Option<OtherEnd> {
    let of_exit = exit(received).map(|(_, tgid)| tgid);
    let ended = changes.find(|change| {
        change.kind == ChangeKind::Ended && Some(change.process.tgid()) != of_exit
    })?;
    Some(OtherEnd { subject: Subject::of(ended.process), end: end(ended.process) })
}

/// The process id in an exit.
fn exit<'a>(received: &'a Received<'a>) -> Option<(&'a Event<'a>, u32)> {
    let Received::Event(event) = received else { return None };
    match event.payload() {
        Payload::Exit(exit) => Some((event, exit.process_tgid())),
        _ => None,
    }
}

fn end(process: &Process) -> End {
    End { status: process.exit_status(), lifetime_ns: process.lifetime_ns(), usage: None }
}
