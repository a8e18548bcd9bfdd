//! Single cases of events with identities, against a `/proc` with the given processes.

mod ends;
mod first_events;
mod losses;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proc_connector_core::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector_core::testing::context::{RawContext, RawExtension};
use proc_connector_core::{EventData, EventRecord, ExitStatus, Notification, Notifications};

use crate::process::change::ChangeKind;
use crate::process::identity::BootId;
use crate::process::process::Process;
use crate::process::snapshot::{
    Activity, Arguments, Cgroup, Fields, Ids, Image, ReadError, Snapshot, SnapshotSource,
};
use crate::process::table::ProcessTable;
use crate::process::time::TICK_NS;
use crate::stream::{LossCause, Lost, Received};

/// A process: its id and its creation time.
type Id = (u32, u64);

/// 10 ms by the clock of `/proc`, and some ns.
const fn tick(ticks: u64, ns: u64) -> u64 {
    ticks * TICK_NS + ns
}

const INIT: Id = (1, tick(1, 7));
const A: Id = (20, tick(50, 3));
const B: Id = (21, tick(51, 4));

/// A `/proc` with these processes, each with its start in ticks. Counts the reads.
#[derive(Clone, Debug, Default)]
struct FakeProc {
    processes: Arc<Mutex<BTreeMap<u32, u64>>>,
    reads: Arc<AtomicUsize>,
    has_version_1: Arc<AtomicBool>,
    /// The arguments of each process, and when they are read.
    program: Arc<Mutex<Option<(&'static str, u64)>>>,
}

impl FakeProc {
    fn set(&self, processes: &[Id]) {
        let ticks = |&(tgid, start): &Id| (tgid, start / TICK_NS);
        *self.processes.lock().expect("a map") = processes.iter().map(ticks).collect();
    }

    fn set_version_1(&self) {
        self.has_version_1.store(true, Ordering::Relaxed);
    }

    /// Shows these arguments at this time, and processes that are idle.
    fn show(&self, args: &'static str, at_ns: u64) {
        *self.program.lock().expect("a program") = Some((args, at_ns));
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl SnapshotSource for FakeProc {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.processes.lock().expect("a map").keys().copied().collect())
    }

    fn read(&self, tgid: u32, _: Fields) -> Result<Snapshot, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let processes = self.processes.lock().expect("a map");
        let start_ticks = *processes.get(&tgid).ok_or(ReadError::Gone)?;
        let program = *self.program.lock().expect("a program");
        let arguments =
            |(args, _): (&str, u64)| Arguments { bytes: args.as_bytes().into(), is_cut: false };
        let image =
            program.map(|program| Image { args: Some(arguments(program)), ..Image::default() });
        let activity = program.map(|(_, read_ns)| Activity {
            read_ns,
            has_other_args: false,
            has_executed: true,
            is_idle: true,
            cpu_ticks: 0,
        });
        Ok(Snapshot {
            seen_ns: program.map_or(500, |(_, at_ns)| at_ns),
            boottime_offset_ns: 0,
            start_ticks,
            parent: (tgid != 1).then_some(1),
            session: 1,
            is_kernel_thread: false,
            comm: b"read".to_vec(),
            first: Ok(()),
            is_alive: true,
            others: Some(Vec::new()),
            image,
            uid: Some(Ids { real: 0, effective: 0 }),
            gid: Some(Ids { real: 0, effective: 0 }),
            activity,
            cgroup: Some(Cgroup {
                path: "/a".into(),
                id_determines_path: !self.has_version_1.load(Ordering::Relaxed),
            }),
        })
    }

    fn cgroup_id(&self, _: &Path) -> Option<u64> {
        Some(7)
    }

    fn boot_id(&self) -> Option<BootId> {
        Some(BootId::from_bytes([9; 16]))
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        start_boottime_ns / TICK_NS
    }

    fn boottime_offset_ns(&self) -> u64 {
        0
    }

    fn now_ns(&self) -> u64 {
        500
    }
}

/// A change: its kind, and the process with its creation time.
type Reported = (ChangeKind, u32, Option<u64>);

/// A table, and the time of the next event.
struct Stream {
    table: ProcessTable,
    now_ns: u64,
}

impl Stream {
    fn new() -> Self {
        Self { table: ProcessTable::without_proc(), now_ns: 1_000 }
    }

    /// A table of a machine with these processes, and the `/proc` that it reads.
    fn with_proc(processes: &[Id]) -> (Self, FakeProc) {
        let proc = FakeProc::default();
        proc.set(processes);
        let table = ProcessTable::with_source(Box::new(proc.clone())).expect("a machine");
        (Self { table, now_ns: 1_000 }, proc)
    }

    fn apply(&mut self, data: EventData<'_>, context: &RawContext) -> Vec<Reported> {
        self.now_ns += 1;
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: self.now_ns, data };
        record.encode_native(&mut datagram).expect("a buffer of the maximum length");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
            panic!("an event")
        };
        let context = context.bytes();
        let changes = self.table.apply(&Received::Event(event.with_context(&context)));
        let row = |process: &Process| (process.tgid(), process.start_boottime_ns());
        changes
            .map(|change| (change.kind, row(change.process)))
            .map(|(k, (t, s))| (k, t, s))
            .collect()
    }

    fn fork(&mut self, creator: Id, parent: Id, child: Id) -> Vec<Reported> {
        let data = EventData::Fork {
            parent_pid: parent.0,
            parent_tgid: parent.0,
            child_pid: child.0,
            child_tgid: child.0,
        };
        // The creator's parent is `parent` with `CLONE_PARENT`, or else init.
        let creators_parent = if creator == parent { INIT } else { parent };
        let context = RawContext::of_process(creator, creators_parent).with_child_start(child.1);
        self.apply(data, &context)
    }

    /// A fork by init, with its pid namespace.
    fn fork_in(&mut self, child: Id, css_set: u64) -> Vec<Reported> {
        let data = EventData::Fork {
            parent_pid: INIT.0,
            parent_tgid: INIT.0,
            child_pid: child.0,
            child_tgid: child.0,
        };
        let task = TaskHdr { css_set: css_set.into(), ..TaskHdr::default() };
        let recorded = Recorded::CSS_SET;
        let extension = RawExtension { recorded, task, ..RawExtension::default() };
        let context = RawContext::of_process(INIT, (0, 0)).with_child_start(child.1);
        self.apply(data, &context.with_extension(extension))
    }

    fn thread(&mut self, process: Id, child_pid: u32) -> Vec<Reported> {
        let (parent, child_tgid) = (INIT.0, process.0);
        let data =
            EventData::Fork { parent_pid: parent, parent_tgid: parent, child_pid, child_tgid };
        self.apply(data, &RawContext::of_process(process, INIT))
    }

    fn exec(&mut self, process: Id, extension: Option<RawExtension>) -> Vec<Reported> {
        let data = EventData::Exec { process_pid: process.0, process_tgid: process.0 };
        let context = RawContext { extension, ..RawContext::of_process(process, INIT) };
        self.apply(data, &context)
    }

    /// The exit of a thread, and the status of the process if it is over.
    fn exit(&mut self, process: Id, pid: u32, code: u32, over: Option<u32>) -> Vec<Reported> {
        self.exit_with(process, pid, code, over, None)
    }

    fn exit_with(
        &mut self,
        process: Id,
        process_pid: u32,
        exit_code: u32,
        over: Option<u32>,
        process_usage: Option<UsageHdr>,
    ) -> Vec<Reported> {
        let data = EventData::Exit {
            process_pid,
            process_tgid: process.0,
            exit_code,
            exit_signal: 17,
            parent_pid: INIT.0,
            parent_tgid: INIT.0,
        };
        let mut context = RawContext::of_process(process, INIT).with_end(over);
        context.extension = process_usage
            .map(|usage| RawExtension { process_usage: Some(usage), ..RawExtension::default() });
        self.apply(data, &context)
    }

    fn lose(&mut self) {
        let lost = Lost { count: Some(1), cause: LossCause::Overrun };
        self.table.apply(&Received::Lost(lost));
    }

    fn status(&self, (tgid, start): Id) -> Option<u32> {
        let mut ended = self.table.ended();
        let process = ended
            .find(|process| (process.tgid(), process.start_boottime_ns()) == (tgid, Some(start)));
        process.and_then(Process::exit_status).map(ExitStatus::into_raw)
    }
}

fn started((tgid, start): Id) -> Reported {
    (ChangeKind::Started, tgid, Some(start))
}

fn ended((tgid, start): Id) -> Reported {
    (ChangeKind::Ended, tgid, Some(start))
}

fn thread_ended((tgid, start): Id, pid: u32) -> Reported {
    (ChangeKind::ThreadEnded(pid), tgid, Some(start))
}

/// The program of an exec with these arguments.
fn program(args: &str) -> RawExtension {
    let (exe, name) = ("ls\0bin\0", "./ls");
    let exec = ExecHdr {
        ino: 77.into(),
        args_len: u32::try_from(args.len()).expect("short").into(),
        filename_len: u32::try_from(name.len()).expect("short").into(),
        exe_len: u32::try_from(exe.len()).expect("short").into(),
        cwd_len: 5.into(),
        ..ExecHdr::default()
    };
    let task = TaskHdr {
        comm: *b"ls\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        uid_gid: (1_001_u64 << 32 | 0x3e8).into(),
        euid_egid: (1_003_u64 << 32 | 0x3ea).into(),
        session: 20.into(),
        tty: (136 << 20_u32).into(),
        login_uid: 1_000.into(),
        audit_session: 3.into(),
        ns_tgid: 2.into(),
        pid_ns: 4_026_531_836_u32.into(),
        ..TaskHdr::default()
    };
    let recorded = Recorded::ARGS
        | Recorded::FILENAME
        | Recorded::EXE
        | Recorded::CWD
        | Recorded::PROGRAM
        | Recorded::COMM
        | Recorded::UID_GID
        | Recorded::EUID_EGID
        | Recorded::SESSION
        | Recorded::TTY
        | Recorded::AUDIT
        | Recorded::PID_NS;
    let tail = [args, name, exe, "root\0"].concat().into_bytes();
    RawExtension { recorded, task, exec: Some(exec), tail, ..RawExtension::default() }
}

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
