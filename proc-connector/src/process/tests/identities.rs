//! Single cases of events with identities, against a `/proc` with the given processes.

mod ends;
mod fake_proc;
mod first_events;
mod losses;
mod stream;

use std::path::Path;

use proc_connector_core::EventData;
use proc_connector_core::context::layout::{Recorded, UsageHdr};
use proc_connector_core::testing::context::RawContext;

use self::fake_proc::{A, B, FakeProc, INIT, Id, tick};
use self::stream::{Reported, Stream, ended, program, started, thread_ended};
use crate::process::change::ChangeKind;
use crate::process::identity::BootId;
use crate::process::process::Process;
use crate::process::snapshot::Ids;
use crate::process::time::TICK_NS;

#[test]
fn a_process_ends_with_its_last_thread_and_the_status_of_the_process() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.thread(A, 30);
    assert_eq!(stream.exit(A, A.0, 5 << 8, None), [thread_ended(A, A.0)]);
    assert!(stream.table.get(A.0).is_some_and(|process| process.threads() == 1));
    let usage = UsageHdr { cpu_ns: 7.into(), ..UsageHdr::default() };
    assert_eq!(stream.exit_with(A, 30, 0, Some(3 << 8), Some(usage)), [ended(A)]);
    assert_eq!(stream.status(A), Some(3 << 8));
    let cpu = stream.table.ended().next().and_then(Process::usage).map(|usage| usage.cpu_ns);
    assert_eq!((cpu, stream.table.get(A.0).is_none()), (Some(7), true));
}

#[test]
fn two_last_exits_end_a_process_once() {
    for keep in [4_096, 0] {
        let mut stream = Stream::new();
        stream.table = stream.table.keep_ended(keep, std::time::Duration::from_secs(60));
        stream.fork(INIT, INIT, A);
        stream.thread(A, 30);
        stream.exit(A, 30, 9, Some(9));
        assert_eq!(stream.exit(A, A.0, 9, Some(9)), [], "{keep} are kept");
        // Without the memory of ended processes, the exit would look like that of an unknown one.
        assert_eq!(stream.table.len(), 1, "only init");
    }
}

#[test]
fn a_sibling_made_with_clone_parent_has_the_values_of_its_creator() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.exec(A, Some(program("a\0")));
    assert_eq!(stream.fork(A, INIT, B), [started(B)]);
    let creator = stream.table.get(A.0).map(Process::serial);
    let child = stream.table.get(B.0).expect("it lives");
    assert_eq!((child.parent(), child.creator()), (Some(INIT.0), creator));
    assert_eq!(child.args().map(|args| args.bytes()), Some(&b"a\0"[..]));
}

#[test]
fn a_late_exit_ends_the_earlier_owner_of_the_id() {
    // The creation times differ by ticks, or within one.
    for later in [(A.0, A.1 + 5 * TICK_NS), (A.0, A.1 + 1)] {
        for has_proc in [false, true] {
            let mut stream = Stream::new();
            if has_proc {
                // The table knows the creation time of the first one only in ticks.
                (stream, _) = Stream::with_proc(&[INIT, A]);
            } else {
                stream.fork(INIT, INIT, A);
            }
            assert_eq!(stream.fork(INIT, INIT, later), [started(later)]);
            stream.exec(later, None);
            assert_eq!(stream.exit(A, A.0, 9, Some(9)), [ended(A)]);
            assert_eq!(stream.exit(A, A.0, 9, Some(9)), []);
            let lives = stream.table.get(A.0).map(Process::start_boottime_ns);
            assert_eq!(lives, Some(Some(later.1)));
            assert_eq!(stream.exit(later, A.0, 1 << 8, Some(1 << 8)), [ended(later)]);
            assert_eq!((stream.status(A), stream.status(later)), (Some(9), Some(1 << 8)));
        }
    }
}

#[test]
fn values_read_after_the_end_belong_to_another_process() {
    let later = (A.0, A.1 + 1);
    // Before the first event is received, a scan finds the second process with the id.
    let (mut stream, _) = Stream::with_proc(&[INIT, later]);
    stream.now_ns = 100;
    stream.fork(INIT, INIT, A);
    assert_eq!(stream.exit(A, A.0, 9, Some(9)), [ended(A)]);
    assert_eq!(stream.table.ended().next().map(Process::comm), Some(None));
    assert_eq!(stream.fork(INIT, INIT, later), [started(later)]);
}

#[test]
fn an_exec_of_another_thread_keeps_process_and_identity() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.thread(A, 30);
    let serial = stream.table.get(A.0).map(Process::serial);
    assert_eq!(stream.exec(A, None), [(ChangeKind::Executed, A.0, Some(A.1))]);
    // The exit of the first thread, which the exec replaced, can arrive later.
    assert_eq!(stream.exit(A, A.0, 0, None), []);
    let process = stream.table.get(A.0).expect("it lives");
    assert_eq!((process.threads(), Some(process.serial())), (1, serial));
    assert_eq!(stream.exit(A, A.0, 0, Some(0)), [ended(A)]);
}

#[test]
fn each_of_several_execs_has_its_own_program() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    for number in 1..=3 {
        let args = format!("ls\0{number}\0");
        stream.exec(A, Some(program(&args)));
        let process = stream.table.get(A.0).expect("it lives");
        assert_eq!(process.args().map(|args| args.bytes()), Some(args.as_bytes()));
        assert_eq!(process.execs(), Some(number));
    }
    let process = stream.table.get(A.0).expect("it lives");
    assert_eq!(process.exe(), Some(Path::new("/bin/ls")));
    assert_eq!(process.cwd(), Some(Path::new("/root")));
    assert_eq!((process.filename(), process.comm()), (Some(&b"./ls"[..]), Some(&b"ls"[..])));
    assert_eq!(process.program().map(|program| program.ino), Some(77));
    assert_eq!(process.uid(), Some(Ids { real: 1_000, effective: 1_002 }));
    assert_eq!(process.gid(), Some(Ids { real: 1_001, effective: 1_003 }));
    assert_eq!((process.session(), process.tty()), (Some(20), Some(34_816)));
    assert_eq!((process.login_uid(), process.audit_session()), (Some(1_000), Some(3)));
    assert_eq!((process.ns_tgid(), process.pid_ns()), (Some(2), Some(4_026_531_836)));
    // An exec of which nothing was recorded leaves no value of the program before.
    stream.exec(A, None);
    let process = stream.table.get(A.0).expect("it lives");
    assert!(process.args().is_none() && process.exe().is_none() && process.comm().is_none());
}

#[test]
fn a_process_known_from_proc_learns_its_identity_at_its_first_event() {
    let (mut stream, _) = Stream::with_proc(&[INIT, A]);
    let known = |stream: &Stream| stream.table.get(A.0).and_then(Process::id);
    assert_eq!(known(&stream), None);
    let serial = stream.table.get(A.0).map(Process::serial);
    stream.exec(A, None);
    let id = known(&stream).expect("the kernel recorded it");
    assert_eq!((id.tgid, id.start_boottime_ns), A);
    assert_eq!(id.boot_id, BootId::from_bytes([9; 16]));
    let process = stream.table.get(A.0).expect("it lives");
    assert_eq!((Some(process.serial()), process.execs()), (serial, None));

    // A process that was created in another tick is another one.
    let (mut stream, proc) = Stream::with_proc(&[INIT, A]);
    let later = (A.0, A.1 + TICK_NS);
    proc.set(&[INIT, later]);
    stream.exec(later, None);
    let process = stream.table.get(A.0).expect("it lives");
    assert_eq!(
        (process.start_boottime_ns(), Some(process.serial()) == serial),
        (Some(later.1), false)
    );
}

#[test]
fn an_orphan_has_no_parent_until_its_next_event() {
    let mut stream = Stream::new();
    stream.fork(INIT, INIT, A);
    stream.fork(A, A, B);
    stream.exit(A, A.0, 0, Some(0));
    let parent = |stream: &Stream| stream.table.get(B.0).expect("it lives").parent();
    assert_eq!(parent(&stream), None);
    stream.exec(B, None);
    assert_eq!(parent(&stream), Some(INIT.0));
}

#[test]
fn a_lost_exit_makes_a_process_vanish_and_never_end_twice() {
    let (mut stream, proc) = Stream::with_proc(&[INIT, A, B]);
    stream.exec(A, None);
    stream.exec(B, None);
    stream.lose();
    proc.set(&[INIT]);
    let kinds: Vec<_> = stream.table.rescan().expect("a scan").map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Vanished, ChangeKind::Vanished]);
    // The exit of A was not lost: it was only received after the scan.
    assert_eq!(stream.exit(A, A.0, 9, Some(9)), [ended(A)]);
    assert_eq!(stream.exit(A, A.0, 9, Some(9)), []);
    assert_eq!((stream.status(A), stream.status(B)), (Some(9), None));
}

#[test]
fn version_1_cgroups_are_read_only_where_processes_are_moved() {
    let (mut stream, proc) = Stream::with_proc(&[INIT]);
    proc.set_version_1();
    let mut exec = |child: Id, at_fork: u64, at_exec: u64| {
        let mut program = program("ls\0");
        program.recorded |= Recorded::CSS_SET;
        program.task.css_set = at_exec.into();
        proc.set(&[INIT, child]);
        let before = proc.reads();
        stream.fork_in(child, at_fork);
        stream.exec(child, Some(program));
        proc.reads() - before
    };
    // The table learns that there are version 1 hierarchies.
    assert_eq!(exec((100, tick(60, 0)), 4, 4), 1);
    assert_eq!(exec((101, tick(60, 1)), 4, 4), 0);
    assert_eq!(exec((102, tick(60, 2)), 4, 5), 1, "the child was moved");
    assert_eq!(exec((103, tick(60, 3)), 5, 5), 1, "the creator was moved");
}

#[test]
fn events_with_a_whole_context_read_no_files() {
    let (mut stream, proc) = Stream::with_proc(&[INIT]);
    let before = proc.reads();
    for number in 0..50 {
        let child = (100 + number, tick(60, u64::from(number)));
        stream.fork(INIT, INIT, child);
        proc.set(&[INIT, child]);
        let mut program = program("ls\0");
        program.recorded |= Recorded::CGROUP_ID;
        program.task.cgroup_id = 7.into();
        stream.exec(child, Some(program));
        let cgroup = stream.table.get(child.0).and_then(Process::cgroup);
        assert_eq!(cgroup, Some(Path::new("/a")));
        stream.exit(child, child.0, 0, Some(0));
    }
    // The path of the cgroup is read once.
    assert_eq!(proc.reads() - before, 1);
}
