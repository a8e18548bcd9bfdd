//! The first event of a process that no event has shown before, because a filter excluded its fork.

use proc_connector_core::EventData;
use proc_connector_core::testing::context::RawContext;

use super::{A, B, FakeProc, INIT, Stream, program, tick};
use crate::process::snapshot::Ids;

/// A process changes its user at 1,001 ns. Its `/proc` is read after that event was received, at
/// 2,000 ns, when it may execute another program.
fn first_event() -> (Stream, FakeProc) {
    let (mut stream, proc) = Stream::with_proc(&[INIT]);
    proc.set(&[INIT, A]);
    proc.show("later\0", 2_000);
    let mut extension = program("");
    extension.exec = None;
    extension.recorded = (extension.recorded - super::Recorded::ARGS) | super::Recorded::PID_TGID;
    extension.task.pid_tgid = (u64::from(A.0) << 32 | u64::from(A.0)).into();
    let data = EventData::Uid { process_pid: A.0, process_tgid: A.0, ruid: 1_000, euid: 1_002 };
    let context = RawContext { extension: Some(extension), ..RawContext::of_process(A, INIT) };
    stream.apply(data, &context);
    (stream, proc)
}

#[test]
fn a_first_event_shows_no_later_program() {
    let (mut stream, _) = first_event();
    let process = stream.table.get(A.0).expect("it lives");
    assert_eq!(process.comm(), Some(&b"ls"[..]), "the name at the event");
    assert_eq!(process.uid(), Some(Ids { real: 1_000, effective: 1_002 }));
    assert!(process.args().is_none(), "{:?}", process.args());
    // The event of an exec that precedes the reading.
    stream.exec(A, Some(program("now\0")));
    let args = stream.table.get(A.0).and_then(|process| process.args().map(|args| args.bytes()));
    assert_eq!(args, Some(&b"now\0"[..]));
}

#[test]
fn the_program_is_known_once_no_exec_can_precede_it() {
    let (mut stream, _) = first_event();
    stream.now_ns = 3_000;
    stream.thread(INIT, 77);
    let process = stream.table.get(A.0).expect("it lives");
    assert_eq!(process.args().map(|args| args.bytes()), Some(&b"later\0"[..]));
    assert_eq!(process.comm(), Some(&b"ls"[..]));
}

#[test]
fn a_name_that_follows_an_exec_is_known_although_proc_was_read_later() {
    let (mut stream, proc) = Stream::with_proc(&[INIT]);
    proc.set(&[INIT, A, B]);
    proc.show("program\0", tick(61, 0));
    stream.now_ns = tick(60, 0);
    let rename = |tgid: u32| {
        let comm = *b"renamed\0\0\0\0\0\0\0\0\0";
        EventData::Comm { process_pid: tgid, process_tgid: tgid, comm }
    };
    stream.apply_bare(EventData::Exec { process_pid: A.0, process_tgid: A.0 });
    stream.apply_bare(rename(A.0));
    let name = |stream: &Stream, tgid: u32| {
        let name = stream.table.get(tgid).expect("it lives").comm();
        name.map(|name| String::from_utf8_lossy(name).into_owned())
    };
    assert_eq!(name(&stream, A.0).as_deref(), Some("renamed"));
    // Without an exec, the name that was read is the newer one.
    stream.apply_bare(rename(B.0));
    assert_eq!(name(&stream, B.0).as_deref(), Some("read"));
}
