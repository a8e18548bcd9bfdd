//! Processes of which no exit, or only a late one, reports that they are over.

use proc_connector_core::context::layout::{ExitHdr, UsageHdr};

use super::{A, B, ChangeKind, EventData, INIT, Process, RawContext, Reported, Stream};
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

#[test]
fn a_late_exit_never_adds_a_process_that_has_ended() {
    let mut stream = Stream::new();
    stream.table = stream.table.keep_ended(0, std::time::Duration::ZERO);
    // One process existed before the first event, the other is created by it.
    let early = (19, A.1 - 1);
    assert_eq!(stream.exit(early, early.0, 9, Some(9)).last(), Some(&ended(early)));
    stream.fork(INIT, INIT, B);
    let later = (B.0 + 1, B.1 + 2_000_000_000);
    stream.fork(INIT, INIT, later);
    stream.exit(later, later.0, 9, Some(9));
    for number in 0..1_000 {
        let other = (1_000 + number, later.1 + 1 + u64::from(number));
        stream.fork(INIT, INIT, other);
        stream.exit(other, other.0, 0, Some(0));
    }
    assert_eq!(stream.exit(early, 30, 9, Some(9)), []);
    assert_eq!(stream.exit(later, 30, 9, Some(9)), []);
    // After a loss, the fork of a process may be missing.
    stream.lose();
    let unseen = (5_000, later.1 + 9_000);
    assert_eq!(stream.exit(unseen, unseen.0, 9, Some(9)).last(), Some(&ended(unseen)));
}
