//! Ends that the stream reports of processes with the same id, against the descriptor of a real
//! process.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proc_connector_core::testing::context::RawContext;
use proc_connector_core::{EventData, EventRecord, Notification, Notifications};

use super::ProcessExit;
use super::target::Target;
use crate::platform::{ProcessHandle, clock_ns};
use crate::process::change::ChangeKind;
use crate::process::proc_fs;
use crate::process::table::ProcessTable;
use crate::process::time::Start;
use crate::stream::Received;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// The status of the process after [`Case::kill`].
const KILLED: u32 = 9;

/// A real process that is waited for, and a table with events that the test invents.
struct Case {
    child: Child,
    target: Target,
    table: ProcessTable,
    opened_ns: u64,
    now: Instant,
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Case {
    fn new() -> Self {
        Self::with(proc_fs::start)
    }

    /// The start of the process cannot be read.
    fn without_proc() -> Self {
        Self::with(|_| None)
    }

    fn with(start: impl Fn(u32) -> Option<Start>) -> Self {
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("a child");
        let opened_ns = clock_ns();
        let handle = ProcessHandle::open(child.id()).expect("a descriptor");
        let target = Target::new(child.id(), handle, start(child.id()), opened_ns).expect("a poll");
        let (table, now) = (ProcessTable::without_proc(), Instant::now());
        Self { child, target, table, opened_ns, now }
    }

    fn apply(&mut self, data: EventData<'_>, ns: u64, context: &[u8]) {
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: ns, data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("capacity");
        let event = match Notifications::new(&datagram[..len]).next() {
            Some(Ok(Notification::Event(event))) => event.with_context(context),
            other => panic!("{other:?}"),
        };
        for change in self.table.apply(&Received::Event(event)) {
            match change.kind {
                ChangeKind::Started | ChangeKind::Appeared => {
                    self.target.record_start(change.process);
                }
                ChangeKind::Ended => self.target.record_end(change.process),
                _ => {}
            }
        }
    }

    /// A process with the target's id starts.
    fn fork(&mut self, ns: u64) {
        let tgid = self.child.id();
        let data =
            EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: tgid, child_tgid: tgid };
        self.apply(data, ns, &[]);
    }

    /// A process with the target's id ends.
    fn exit(&mut self, ns: u64, exit_code: u32, context: &[u8]) {
        let tgid = self.child.id();
        let data = EventData::Exit {
            process_pid: tgid,
            process_tgid: tgid,
            exit_code,
            exit_signal: 17,
            parent_pid: 1,
            parent_tgid: 1,
        };
        self.apply(data, ns, context);
    }

    /// Ends and reaps the process.
    fn kill(&mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a status");
        assert!(self.target.handle.as_ref().expect("a descriptor").has_ended().expect("a poll"));
    }

    /// What is certain after this time.
    fn after(&mut self, ms: u64, is_over: bool) -> Option<ProcessExit> {
        self.now += Duration::from_millis(ms);
        self.target.exit(is_over, &self.table, self.now)
    }

    /// The status of the process after [`kill`](Self::kill), if the kernel keeps it.
    fn kept(&self) -> Option<u32> {
        raw(&self.target.known_exit(&ProcessTable::without_proc()))
    }

    /// Asserts that an exit has the status of the process, and no values of another process.
    fn assert_alone(&self, exit: Option<ProcessExit>) {
        let exit = exit.expect("an end");
        assert!(exit.process().is_none(), "{exit:?}");
        assert_eq!(raw(&exit), self.kept());
        assert!([None, Some(KILLED)].contains(&raw(&exit)), "{exit:?}");
    }

    /// Asserts that nothing proves the end until the event of the exit must have arrived.
    fn assert_alone_after_a_second(&mut self) {
        for _ in 0..2 {
            assert!(self.after(499, true).is_none());
        }
        let exit = self.after(502, true);
        self.assert_alone(exit);
    }
}

fn raw(exit: &ProcessExit) -> Option<u32> {
    exit.status().map(proc_connector_core::ExitStatus::into_raw)
}

#[test]
fn the_recorded_process_is_the_target() {
    for mut case in [Case::new(), Case::without_proc()] {
        case.fork(case.opened_ns - MS);
        assert!(case.after(0, false).is_none());
        case.kill();
        case.exit(clock_ns(), KILLED, &[]);
        let exit = case.after(1, true).expect("an end");
        assert_eq!(raw(&exit), Some(KILLED));
        assert!(exit.lifetime_ns().is_some());
    }
}

#[test]
fn a_successor_is_not_the_target() {
    for mut case in [Case::new(), Case::without_proc()] {
        case.kill();
        // The events of the target were lost.
        let later = clock_ns();
        case.fork(later);
        case.exit(later + MS, 0x700, &[]);
        case.assert_alone_after_a_second();
    }
}

#[test]
fn a_running_successor_is_not_the_target() {
    for mut case in [Case::new(), Case::without_proc()] {
        case.kill();
        case.fork(clock_ns());
        case.assert_alone_after_a_second();
    }
}

#[test]
fn a_process_with_an_unknown_start_is_not_the_target() {
    for mut case in [Case::new(), Case::without_proc()] {
        // The start of the reported process was lost. It may be a successor.
        case.exit(case.opened_ns + MS, 0x700, &[]);
        assert!(case.after(0, false).is_none());
        case.kill();
        if case.kept().is_some() {
            let exit = case.after(1, true);
            case.assert_alone(exit);
        } else {
            case.assert_alone_after_a_second();
        }
    }
}

#[test]
fn a_predecessor_is_not_the_target() {
    for is_over in [false, true] {
        let mut case = Case::new();
        // The start of the target was lost, and perhaps the end of its predecessor.
        case.fork(case.opened_ns - SECOND);
        if is_over {
            case.exit(case.opened_ns - MS, 0x700, &[]);
        }
        case.kill();
        case.assert_alone_after_a_second();
    }
}

#[test]
fn an_end_before_the_descriptor_was_opened_is_that_of_a_predecessor() {
    let mut case = Case::without_proc();
    case.fork(case.opened_ns - SECOND);
    case.exit(case.opened_ns - 21 * MS, 0x700, &[]);
    case.kill();
    case.assert_alone_after_a_second();
}

#[test]
fn an_end_in_the_table_before_the_wait_is_found() {
    let mut case = Case::new();
    let opened_ns = case.opened_ns;
    case.fork(opened_ns - MS);
    case.kill();
    case.exit(clock_ns(), KILLED, &[]);
    // The wait starts after the end was reported.
    case.target = Target::new(
        case.child.id(),
        case.target.handle.take().expect("a descriptor"),
        None,
        opened_ns,
    )
    .expect("a poll");
    case.target.search(&case.table);
    assert!(case.after(1, true).expect("an end").lifetime_ns().is_some());
}

#[test]
fn a_report_of_a_process_that_still_runs_is_dropped_unless_it_is_certain() {
    // The last threads have exited, and a tracer has not waited for one of them.
    let mut case = Case::new();
    case.fork(case.opened_ns - MS);
    case.exit(case.opened_ns + MS, KILLED, &[]);
    assert!(case.after(1, false).is_none());
    assert!(case.after(60_000, false).is_none());
    case.kill();
    assert!(case.after(1, true).expect("an end").lifetime_ns().is_some());

    // The reported process can be a predecessor.
    let mut case = Case::without_proc();
    case.fork(case.opened_ns - MS);
    case.exit(case.opened_ns + MS, 0x700, &[]);
    assert!(case.after(999, false).is_none());
    assert!(case.after(2, false).is_none());
    case.kill();
    case.assert_alone_after_a_second();
}

#[test]
fn a_report_is_dropped_if_another_process_with_the_id_can_be_the_target() {
    let mut case = Case::without_proc();
    case.fork(case.opened_ns - 9 * MS);
    case.exit(case.opened_ns - 2 * MS, 0x700, &[]);
    case.fork(case.opened_ns - MS);
    case.kill();
    // The end of the target was lost.
    assert!(case.after(0, true).is_none());
    let exit = case.after(1_001, true).expect("an end");
    assert_eq!(raw(&exit), case.kept());
    assert_eq!(exit.process().and_then(|process| process.start_ns()), Some(case.opened_ns - MS));
}

#[test]
fn an_identity_is_compared_with_the_start_in_proc() {
    for (later_ns, is_target) in [(0, true), (20 * MS, false)] {
        let mut case = Case::new();
        let start = proc_fs::start(case.child.id()).expect("/proc");
        let start = (start.ticks().expect("ticks") * 10 + 5) * MS + later_ns;
        let context = RawContext::of_process((case.child.id(), start), (1, 1));
        case.kill();
        case.exit(clock_ns(), KILLED, &context.with_end(Some(KILLED)).bytes());
        if is_target {
            let exit = case.after(1, true).expect("an end");
            let known = exit.process().and_then(|process| process.start_boottime_ns());
            assert_eq!((raw(&exit), known), (Some(KILLED), Some(start)));
        } else {
            case.assert_alone_after_a_second();
        }
    }
}

#[test]
fn the_next_check_is_as_soon_as_it_can_change_the_result() {
    let ms = Duration::from_millis;
    let mut case = Case::new();
    assert_eq!(case.target.check_in(case.now), ms(250));
    case.kill();
    assert!(case.after(0, true).is_none());
    assert_eq!(case.target.check_in(case.now), ms(1_000));
    assert_eq!(case.target.check_in(case.now + ms(400)), ms(600));

    let mut case = Case::new();
    case.fork(case.opened_ns - MS);
    case.exit(case.opened_ns + MS, KILLED, &[]);
    let reported = Instant::now();
    assert_eq!(case.target.check_in(case.now), ms(1));
    assert_eq!(case.target.check_in(reported + ms(21)), ms(20));
    assert_eq!(case.target.check_in(reported + ms(1_001)), ms(250));
}
