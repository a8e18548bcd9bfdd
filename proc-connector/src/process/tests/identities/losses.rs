//! Values around losses and scans.

use super::{A, B, ChangeKind, EventData, INIT, Ids, Process, RawContext, Stream, program};

/// What the table shows of the name, the arguments, the user and the session of a process.
type Shown<'a> = (Option<&'a [u8]>, bool, Option<Ids>, Option<u32>);

fn shown(process: &Process) -> Shown<'_> {
    (process.comm(), process.args().is_some(), process.uid(), process.session())
}

const USER: Ids = Ids { real: 1_000, effective: 1_002 };

#[test]
fn values_older_than_a_loss_are_not_shown() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.exec(A, Some(program("a\0")));
    let known: Shown<'_> = (Some(b"ls"), true, Some(USER), Some(20));
    assert_eq!(stream.table.get(A.0).map(shown), Some(known));
    stream.lose();
    let a = stream.table.get(A.0).expect("it lives");
    assert_eq!(shown(a), (None, false, None, None));
    assert_eq!(
        (a.gid(), a.tty(), a.login_uid(), a.exe(), a.execs()),
        (None, None, None, None, None)
    );
    // A child inherits values that are unknown.
    stream.fork(A, A, B);
    assert_eq!(stream.table.get(B.0).map(shown), Some((None, false, None, None)));
    let renamed = EventData::Comm { process_pid: A.0, process_tgid: A.0, comm: [b'x'; 16] };
    stream.apply(renamed, &RawContext::of_process(A, INIT));
    assert_eq!(stream.table.get(A.0).map(shown), Some((Some(&[b'x'; 16][..]), false, None, None)));
    stream.exec(A, Some(program("a\0")));
    assert_eq!(stream.table.get(A.0).map(shown), Some(known));
}

#[test]
fn a_scan_shows_again_what_it_has_read() {
    let (mut stream, _) = Stream::with_proc(&[INIT, A]);
    stream.lose();
    assert_eq!(stream.table.get(A.0).map(Process::comm), Some(None));
    let kinds = stream.table.rescan().expect("a machine").map(|change| change.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [], "nothing differs");
    let root = Some(Ids { real: 0, effective: 0 });
    let expected: Shown<'_> = (Some(b"read"), false, root, Some(1));
    assert_eq!(stream.table.get(A.0).map(shown), Some(expected));
}

#[test]
fn an_event_older_than_the_scan_does_not_replace_its_values() {
    let (mut stream, _) = Stream::with_proc(&[INIT, A]);
    // The scan took place at 500 ns.
    stream.now_ns = 100;
    stream.exec(A, Some(program("a\0")));
    let executed: Vec<_> =
        stream.table.changes().map(|change| (change.kind, shown(change.process))).collect();
    let then: Shown<'_> = (Some(b"ls"), true, Some(USER), Some(20));
    assert_eq!(executed, [(ChangeKind::Executed, then)]);
    let renamed = EventData::Comm { process_pid: A.0, process_tgid: A.0, comm: [b'x'; 16] };
    stream.apply(renamed, &RawContext::of_process(A, INIT));
    let names: Vec<_> = stream.table.changes().map(|change| change.process.comm()).collect();
    assert_eq!(names, [Some(&[b'x'; 16][..])]);
    assert_eq!(stream.table.get(A.0).map(Process::comm), Some(Some(&b"read"[..])));
    stream.now_ns = 1_000;
    stream.exec(A, Some(program("a\0")));
    assert_eq!(stream.table.get(A.0).map(shown), Some(then));
}

#[test]
fn processes_without_an_exit_vanish_once_the_table_has_grown() {
    // Only the first process exists in `/proc`.
    let (mut stream, _) = Stream::with_proc(&[INIT]);
    stream.table.unreported.patience = std::time::Duration::ZERO;
    let (mut longest, mut vanished) = (0, 0);
    for tgid in 100..5_100 {
        stream.fork(INIT, INIT, (tgid, u64::from(tgid) * 1_000));
        let changes = stream.table.rescan_if_due().expect("a machine");
        vanished += changes.filter(|change| change.kind == ChangeKind::Vanished).count();
        longest = longest.max(stream.table.len());
    }
    assert!((1_024..1_100).contains(&longest), "{longest}");
    assert_eq!(vanished + stream.table.len(), 5_001);
    assert!(stream.table.get(INIT.0).is_some());
}
