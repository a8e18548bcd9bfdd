//! The ends of processes, which exits of threads report.

use std::collections::{HashSet, VecDeque};

use proc_connector::process::{Change, ChangeKind, Changes, Process};
use proc_connector::{Event, Payload, Received};
use rustc_hash::FxBuildHasher;

use super::identify::Subject;
use crate::cli::output::sink::End;

/// The end of a process that is not the process of the event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherEnd {
    pub(crate) subject: Subject,
    pub(crate) end: End,
}

/// The ends of processes as the kernel records them, each once: the last two threads of a process can
/// exit at the same time, and then both report the end.
///
/// An exit while other threads are still about to exit has the status of the process, but is not its
/// end, even if it is the exit of the first thread. Without a table, an end is missing if the last of
/// these exits is lost.
#[derive(Debug, Default)]
pub(crate) struct NotedEnds {
    /// The processes that ended last, by their ids and creation times.
    recent: HashSet<(u32, u64), FxBuildHasher>,
    /// The same in the order of their ends.
    order: VecDeque<(u32, u64)>,
}

/// The number of ended processes that are remembered. A thread can report the end late, because it
/// waits for a CPU.
const RECENT: usize = 4096;

impl NotedEnds {
    /// Whether the process of an exit is over, and its end if this is the first event to report it.
    pub(crate) fn of(&mut self, received: &Received<'_>) -> (Option<bool>, Option<End>) {
        let context = match received {
            Received::Event(event) => event.context(),
            Received::Lost(_) => None,
        };
        let Some(context) = context else { return (None, None) };
        let is_over = context.is_over();
        if is_over != Some(true) {
            return (is_over, None);
        }
        let process = context.tgid().zip(context.start_boottime_ns());
        let is_first = process.is_none_or(|process| self.remember(process));
        let end = is_first.then(|| End {
            status: context.process_status(),
            lifetime_ns: None,
            usage: context.process_usage(),
        });
        (is_over, end)
    }

    /// Returns whether the process is new.
    fn remember(&mut self, process: (u32, u64)) -> bool {
        if !self.recent.insert(process) {
            return false;
        }
        self.order.push_back(process);
        if self.order.len() > RECENT {
            if let Some(oldest) = self.order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
        true
    }
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
                return (Some(true), Some(end(process)));
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
    End {
        status: process.exit_status(),
        lifetime_ns: process.lifetime_ns(),
        usage: process.usage(),
    }
}

#[cfg(test)]
mod tests {
    use proc_connector::parser::testing::context::RawContext;
    use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
    use proc_connector::{ExitStatus, Received};

    use super::{NotedEnds, RECENT};

    /// An exit of a thread of process 100, with a context. Returns what it reports about the process.
    #[allow(clippy::option_option, reason = "an end has an optional status")]
    fn exit(
        ends: &mut NotedEnds,
        pid: u32,
        context: &RawContext,
    ) -> (Option<bool>, Option<Option<ExitStatus>>) {
        let data = EventData::Exit {
            process_pid: pid,
            process_tgid: 100,
            exit_code: 0x500,
            exit_signal: 17,
            parent_pid: 1,
            parent_tgid: 1,
        };
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: 9, data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("capacity");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram[..len]).next()
        else {
            panic!("an event");
        };
        let context = context.bytes();
        let received = Received::Event(event.with_context(&context));
        let (is_over, end) = ends.of(&received);
        (is_over, end.map(|end| end.status))
    }

    fn process(start: u64) -> RawContext {
        RawContext::of_process((100, start), (1, 1))
    }

    #[test]
    fn two_threads_that_end_at_once_end_their_process_once() {
        let mut ends = NotedEnds::default();
        let zero = Some(ExitStatus::from_raw(0));
        assert_eq!(exit(&mut ends, 100, &process(5).with_end(None)), (Some(false), None));
        let over = process(5).with_end(Some(0));
        assert_eq!(exit(&mut ends, 101, &over), (Some(true), Some(zero)));
        assert_eq!(exit(&mut ends, 102, &over), (Some(true), None));
        // The id belongs to a new process.
        let over = process(6).with_end(Some(0));
        assert_eq!(exit(&mut ends, 100, &over), (Some(true), Some(zero)));
        // Nothing was recorded about the end.
        assert_eq!(exit(&mut ends, 100, &process(7)), (None, None));
    }

    #[test]
    fn many_ends_are_remembered_in_bounded_memory() {
        let mut ends = NotedEnds::default();
        let last = u32::try_from(RECENT).expect("a small number");
        let mut is_first = |tgid, start| {
            let over = RawContext::of_process((tgid, start), (1, 1)).with_end(Some(0));
            exit(&mut ends, tgid, &over).1.is_some()
        };
        assert!((1..=last).all(|tgid| is_first(tgid, 5)));
        assert!(!(1..=last).any(|tgid| is_first(tgid, 5)));
        // Later processes replace them, in the order of their ends.
        assert!((1..=last).all(|tgid| is_first(last + tgid, 9)));
        assert!(!(1..=last).any(|tgid| is_first(last + tgid, 9)));
        assert!(is_first(1, 5) && !is_first(last + 2, 9) && is_first(last + 1, 9));
        assert_eq!((ends.recent.len(), ends.order.len()), (RECENT, RECENT));
    }
}
