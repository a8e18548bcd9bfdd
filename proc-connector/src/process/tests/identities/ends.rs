//! Processes of which no exit, or only a late one, reports that they are over.

use proc_connector_core::context::layout::{ExitHdr, UsageHdr};

use super::{A, ChangeKind, EventData, INIT, Id, Process, RawContext, Reported, Stream};
use super::{ended, thread_ended};

/// The exit of a thread of A while others are zombies, or are about to exit. The process has a status.
fn exit_of_ending(stream: &mut Stream, process_pid: u32, status: u32) -> Vec<Reported> {
    let (process_tgid, parent): (u32, Id) = (A.0, INIT);
    let data = EventData::Exit {
        process_pid,
        process_tgid,
        exit_code: status,
        exit_signal: 17,
        parent_pid: parent.0,
        parent_tgid: parent.0,
    };
    let mut context = RawContext::of_process(A, parent);
    let exit = ExitHdr { state: ExitHdr::ENDING.into(), status: status.into() };
    context.identity.detail = zerocopy::transmute!(exit);
    stream.apply(data, &context)
}

#[test]
fn a_process_ends_with_its_last_known_thread_if_a_tracer_keeps_zombies() {
    for pids in [[30, A.0], [A.0, 30]] {
        let mut stream = Stream::new();
        stream.fork(INIT, INIT, A);
        stream.thread(A, 30);
        assert_eq!(exit_of_ending(&mut stream, pids[0], 9), [thread_ended(A, pids[0])]);
        assert_eq!(exit_of_ending(&mut stream, pids[1], 9), [ended(A)]);
        assert_eq!((stream.status(A), stream.table.get(A.0).is_none()), (Some(9), true));
    }
}

#[test]
fn an_unknown_thread_adds_the_usage_of_an_ended_process() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    assert_eq!(exit_of_ending(&mut stream, A.0, 9), [ended(A)]);
    for cpu_ns in [7, 8] {
        let usage = UsageHdr { cpu_ns: cpu_ns.into(), ..UsageHdr::default() };
        assert_eq!(stream.exit_with(A, 30, 9, Some(9), Some(usage)), []);
        let known = stream.table.ended().next().and_then(Process::usage);
        assert_eq!(known.map(|usage| usage.cpu_ns), Some(7));
    }
}

#[test]
fn the_exit_of_a_replaced_first_thread_ends_nothing() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.thread(A, 30);
    let executed = (ChangeKind::Executed, A.0, Some(A.1));
    assert_eq!(stream.exec(A, None), [executed]);
    assert_eq!(stream.exit(A, A.0, 0, None), []);
    assert!(stream.table.get(A.0).is_some_and(Process::is_alive));
}
