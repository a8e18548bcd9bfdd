//! Processes of which no exit, or only a late one, reports that they are over.

use proc_connector_core::context::layout::{ExitHdr, UsageHdr};

use super::{A, ChangeKind, EventData, INIT, Process, RawContext, Reported, Stream};
use super::{ended, started, thread_ended};

/// The exit of a thread of A while others are zombies, or are about to exit. The process has a status.
fn exit_of_ending(stream: &mut Stream, process_pid: u32, status: u32) -> Vec<Reported> {
    let data = EventData::Exit {
        process_pid,
        process_tgid: A.0,
        exit_code: status,
        exit_signal: 17,
        parent_pid: INIT.0,
        parent_tgid: INIT.0,
    };
    let mut context = RawContext::of_process(A, INIT);
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
fn after_a_loss_without_proc_the_owner_of_a_reused_id_vanishes() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.lose();
    let next = (A.0, A.1 + 1_000_000_000);
    let vanished = (ChangeKind::Vanished, A.0, Some(A.1));
    assert_eq!(stream.fork(INIT, INIT, next), [vanished, started(next)]);
    // The exit was not lost, but late.
    assert_eq!(stream.exit(A, A.0, 9, Some(9)), [ended(A)]);
    assert_eq!(stream.status(A), Some(9));
}
