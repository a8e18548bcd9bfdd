//! The events of each action of a process, compared with what the test did.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::mpsc;
use std::thread;

use common::helper_process::{HelperProcess, exec_role, pause, print_number};
use common::load::this_task;
use common::watch::{Seen, Task, Watch};
use common::{CAP_SETGID, CAP_SETUID, named, require_capability};
use nix::sys::ptrace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, getresgid, getresuid, setresgid, setresuid, setsid};

fn main() -> ExitCode {
    let roles = named![
        exits_3,
        waits,
        crashes_without_a_core,
        aborts_with_a_core,
        starts_a_thread,
        changes_user_ids,
        changes_group_ids,
        starts_a_session,
        renames_itself,
        renames_its_other_thread,
        executes_under_another_name,
        asks_to_be_traced,
        executes_from_a_thread,
        reports_its_pid,
    ];
    let tests = named![
        an_exit_has_its_code,
        a_kill_has_its_signal,
        a_fork_names_the_thread_that_forked,
        a_crash_without_a_core_is_a_core_dump_and_an_exit,
        a_crash_with_a_core_sets_the_core_flag,
        a_thread_is_a_fork_by_the_parent_of_its_process,
        a_change_of_user_ids_is_reported,
        a_change_of_group_ids_is_reported,
        a_new_session_is_reported,
        a_new_name_is_reported_whichever_thread_wrote_it,
        exec_changes_the_name_without_a_comm_event,
        attaching_and_detaching_report_the_tracer,
        traceme_is_not_reported,
        exec_from_a_thread_keeps_the_process_alive,
    ];
    common::main(&roles, &tests)
}

/// `exit_signal` of a process: the signal sent to its parent.
const SIGCHLD: u32 = Signal::SIGCHLD as u32;
/// `exit_signal` of a thread: no signal.
const NO_SIGNAL: u32 = u32::MAX;
/// The parent of a thread, and the tracer after tracing ended.
const NO_TASK: Task = (0, 0);

/// The events of starting a helper.
fn started(helper: &HelperProcess) -> Vec<Seen> {
    vec![Seen::Fork { parent: this_task(), child: helper.task() }, Seen::Exec(helper.task())]
}

/// The event of a helper's end, with the status that its parent received.
fn ended(task: Task, status: ExitStatus) -> Seen {
    Seen::Exit { task, status: raw(status), signal: SIGCHLD, parent: this_task() }
}

fn raw(status: ExitStatus) -> u32 {
    status.into_raw().try_into().expect("a wait status has 16 bits")
}

/// Starts a helper that needs no interaction, and compares all of its events with those that
/// `between` returns, plus those of its start and end.
fn assert_events(role: &str, between: impl FnOnce(Task) -> Vec<Seen>) -> ExitStatus {
    let mut watch = Watch::start();
    let helper = HelperProcess::start(role);
    let (mut expected, task) = (started(&helper), helper.task());
    expected.extend(between(task));
    let seen = watch.until_exit(helper.pid());
    let status = helper.wait();
    expected.push(ended(task, status));
    assert_eq!(seen, expected);
    status
}

fn pid(helper: &HelperProcess) -> Pid {
    Pid::from_raw(helper.pid().try_into().expect("ids are positive"))
}

fn an_exit_has_its_code() {
    let status = assert_events("exits_3", |_| vec![]);
    assert_eq!((status.code(), raw(status)), (Some(3), 768));
}

fn exits_3() {
    std::process::exit(3)
}

fn a_kill_has_its_signal() {
    let mut watch = Watch::start();
    let helper = HelperProcess::start("waits");
    let (mut expected, task) = (started(&helper), helper.task());
    watch.until(helper.pid(), |seen| seen.contains(&Seen::Exec(task)));
    kill(pid(&helper), Signal::SIGKILL).expect("a kill");
    let seen = watch.until_exit(helper.pid());
    let status = helper.wait();
    assert_eq!((status.signal(), raw(status)), (Some(9), 9));
    expected.push(ended(task, status));
    assert_eq!(seen, expected);
}

fn waits() {
    pause();
}

fn a_fork_names_the_thread_that_forked() {
    let process = std::process::id();
    let forker = thread::spawn(move || {
        let (thread, of) = this_task();
        assert_eq!(of, process);
        assert_ne!(thread, process);
        assert_events("exits_3", |_| vec![]);
    });
    forker.join().expect("the forker's own assertions hold");
}

fn a_crash_without_a_core_is_a_core_dump_and_an_exit() {
    let parent = this_task();
    let status =
        assert_events("crashes_without_a_core", |task| vec![Seen::Coredump { task, parent }]);
    assert_eq!((status.signal(), status.core_dumped()), (Some(11), false));
}

fn crashes_without_a_core() {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("less is always granted");
    // The standard library's handler restores the default action and returns.
    loop {
        raise(Signal::SIGSEGV).expect("a signal");
    }
}

fn a_crash_with_a_core_sets_the_core_flag() {
    let directory = Directory::new();
    let parent = this_task();
    let mut watch = Watch::start();
    let helper = HelperProcess::start_in("aborts_with_a_core", &directory.0);
    let (mut expected, task) = (started(&helper), helper.task());
    let seen = watch.until_exit(helper.pid());
    let status = helper.wait();
    // `core_pattern` determines whether a core is written; the wait status reports it.
    if !status.core_dumped() {
        eprintln!("skipped: this machine writes no cores, so the core flag stays clear");
    }
    assert_eq!(raw(status), if status.core_dumped() { 134 } else { 6 });
    expected.extend([Seen::Coredump { task, parent }, ended(task, status)]);
    assert_eq!(seen, expected);
}

fn aborts_with_a_core() {
    let (_, most) = getrlimit(Resource::RLIMIT_CORE).expect("a limit");
    setrlimit(Resource::RLIMIT_CORE, most, most).expect("a permitted limit");
    std::process::abort()
}

/// A directory for a core file, removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("proc-connector-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn a_thread_is_a_fork_by_the_parent_of_its_process() {
    let mut watch = Watch::start();
    let mut helper = HelperProcess::start("starts_a_thread");
    let thread = (helper.read_number(), helper.pid());
    assert_ne!(thread, helper.task());
    watch.until(helper.pid(), |seen| seen.iter().any(|seen| seen.is_exit_of(thread)));
    helper.resume();
    let (mut expected, task) = (started(&helper), helper.task());
    let seen = watch.until_exit(helper.pid());
    expected.extend([
        Seen::Fork { parent: this_task(), child: thread },
        Seen::Exit { task: thread, status: 0, signal: NO_SIGNAL, parent: NO_TASK },
        ended(task, helper.wait()),
    ]);
    assert_eq!(seen, expected);
}

fn starts_a_thread() {
    thread::spawn(|| print_number(this_task().0)).join().expect("a thread that ends");
    pause();
}

fn a_change_of_user_ids_is_reported() {
    require_capability(CAP_SETUID, "CAP_SETUID");
    assert_events("changes_user_ids", |task| {
        let [(a, b), (c, d)] = IDS;
        vec![Seen::Uid { task, ruid: a, euid: b }, Seen::Uid { task, ruid: c, euid: d }]
    });
}

/// Real and effective ids; each pair is permitted after the other.
const IDS: [(u32, u32); 2] = [(10_001, 10_002), (10_002, 10_001)];

fn changes_user_ids() {
    for (ruid, euid) in IDS {
        let [real, effective] = [ruid, euid].map(Uid::from_raw);
        // Repeating the change has no effect.
        for _ in 0..2 {
            setresuid(real, effective, real).expect("a privileged process");
        }
        let now = getresuid().expect("ids");
        assert_eq!((now.real, now.effective), (real, effective));
    }
}

fn a_change_of_group_ids_is_reported() {
    require_capability(CAP_SETGID, "CAP_SETGID");
    assert_events("changes_group_ids", |task| {
        let [(a, b), (c, d)] = IDS;
        vec![Seen::Gid { task, rgid: a, egid: b }, Seen::Gid { task, rgid: c, egid: d }]
    });
}

fn changes_group_ids() {
    for (rgid, egid) in IDS {
        let [real, effective] = [rgid, egid].map(Gid::from_raw);
        for _ in 0..2 {
            setresgid(real, effective, real).expect("a privileged process");
        }
        let now = getresgid().expect("ids");
        assert_eq!((now.real, now.effective), (real, effective));
    }
}

fn a_new_session_is_reported() {
    assert_events("starts_a_session", |task| vec![Seen::Sid(task)]);
}

fn starts_a_session() {
    let session = setsid().expect("a child leads no group");
    assert_eq!(session, Pid::this());
    // A session leader cannot start a session, and the failed attempt causes no event.
    assert!(setsid().is_err());
}

/// A name as in an event: truncated to leave space for its NUL.
fn comm(name: &[u8]) -> [u8; 16] {
    let name = &name[..name.len().min(15)];
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name);
    comm
}

const NAMES: [&[u8]; 3] = [b"a name much too long", b"short", b"\xff not UTF-8"];

fn a_new_name_is_reported_whichever_thread_wrote_it() {
    let mut watch = Watch::start();
    let mut helper = HelperProcess::start("renames_itself");
    let (mut expected, task) = (started(&helper), helper.task());
    for name in NAMES {
        for _ in ["by prctl", "by writing"] {
            helper.read_number();
            expected.push(Seen::Comm { task, comm: comm(name) });
            let now = fs::read(format!("/proc/{}/comm", helper.pid())).expect("a name");
            assert_eq!(now, [&name[..name.len().min(15)], b"\n"].concat());
            helper.resume();
        }
    }
    let seen = watch.until_exit(helper.pid());
    expected.push(ended(task, helper.wait()));
    assert_eq!(seen, expected);

    let mut watch = Watch::start();
    let mut helper = HelperProcess::start("renames_its_other_thread");
    let thread = (helper.read_number(), helper.pid());
    let renamed = Seen::Comm { task: thread, comm: comm(NAMES[1]) };
    let seen = watch.until(helper.pid(), |seen| seen.contains(&renamed));
    let names = seen.iter().filter(|seen| matches!(seen, Seen::Comm { .. }));
    assert_eq!(names.count(), 1);
}

fn renames_itself() {
    for name in NAMES {
        let c_name = std::ffi::CString::new(name).expect("no NUL inside");
        nix::sys::prctl::set_name(&c_name).expect("any name is valid");
        print_number(0);
        pause();
        fs::write("/proc/self/comm", name).expect("a process may write its own name");
        print_number(0);
        pause();
    }
}

fn renames_its_other_thread() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        sender.send(this_task().0).expect("an open channel");
        thread::park();
    });
    let thread = receiver.recv().expect("a thread id");
    fs::write(format!("/proc/self/task/{thread}/comm"), NAMES[1]).expect("one process");
    print_number(thread);
    pause();
}

fn exec_changes_the_name_without_a_comm_event() {
    let mut watch = Watch::start();
    let mut helper = HelperProcess::start("executes_under_another_name");
    let name_file = format!("/proc/{}/comm", helper.pid());
    helper.read_number();
    let before = fs::read(&name_file).expect("a name");
    assert_eq!(before, [NAMES[1], b"\n"].concat());
    helper.resume();
    let (mut expected, task) = (started(&helper), helper.task());
    expected.extend([Seen::Comm { task, comm: comm(NAMES[1]) }, Seen::Exec(task)]);
    assert_eq!(watch.until(helper.pid(), |seen| seen.len() >= expected.len()), expected);
    let after = fs::read(&name_file).expect("a name");
    assert_ne!(before, after);
    helper.resume();
    let seen = watch.until_exit(helper.pid());
    expected.push(ended(task, helper.wait()));
    assert_eq!(seen, expected);
}

fn executes_under_another_name() {
    fs::write("/proc/self/comm", NAMES[1]).expect("a process may write its own name");
    print_number(0);
    pause();
    exec_role("waits")
}

fn attaching_and_detaching_report_the_tracer() {
    let mut watch = Watch::start();
    let helper = HelperProcess::start("waits");
    // Tracing starts after the exec, not in the forked copy of the test.
    watch.until(helper.pid(), |seen| seen.contains(&Seen::Exec(helper.task())));
    let (mut expected, task, pid) = (started(&helper), helper.task(), pid(&helper));
    for seize in [true, false] {
        if seize {
            ptrace::seize(pid, ptrace::Options::empty()).expect("a child may be traced");
            ptrace::interrupt(pid).expect("the tracer may stop it");
        } else {
            ptrace::attach(pid).expect("a child may be traced");
        }
        let stopped = waitpid(pid, Some(WaitPidFlag::__WALL)).expect("it stops");
        assert!(matches!(
            stopped,
            WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(..)
        ));
        ptrace::detach(pid, None).expect("it is stopped");
        expected.push(Seen::Ptrace { task, tracer: this_task() });
        expected.push(Seen::Ptrace { task, tracer: NO_TASK });
    }
    let mut helper = helper;
    helper.resume();
    let seen = watch.until_exit(helper.pid());
    expected.push(ended(task, helper.wait()));
    assert_eq!(seen, expected);
}

fn traceme_is_not_reported() {
    assert_events("asks_to_be_traced", |_| vec![]);
}

fn asks_to_be_traced() {
    ptrace::traceme().expect("a parent that may trace");
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    assert_ne!(tracer.map(str::trim), Some("0"));
}

fn exec_from_a_thread_keeps_the_process_alive() {
    let mut watch = Watch::start();
    let mut helper = HelperProcess::start("executes_from_a_thread");
    let thread = (helper.read_number(), helper.pid());
    let (mut expected, task) = (started(&helper), helper.task());
    expected.push(Seen::Fork { parent: this_task(), child: thread });
    assert_eq!(watch.until(helper.pid(), |seen| seen.len() >= expected.len()), expected);
    helper.resume();

    // The new program prints a number, long after the exit of the old first thread.
    let seen = watch.until(helper.pid(), |seen| seen.len() >= expected.len() + 2);
    assert_eq!(seen.len(), expected.len() + 2);
    assert!(seen[3].is_exit_of(task), "{seen:#?}");
    assert_eq!(seen[4], Seen::Exec(task));
    assert_eq!(helper.read_number(), helper.pid(), "the thread has become the leader");
    assert!(Path::new(&format!("/proc/{}", helper.pid())).exists());

    helper.resume();
    let exits = |seen: &[Seen]| seen.iter().filter(|seen| seen.is_exit_of(task)).count();
    let seen = watch.until(helper.pid(), |seen| exits(seen) == 2);
    assert_eq!(seen.len(), expected.len() + 3);
    let last = seen[5].clone();
    assert_eq!(last, ended(task, helper.wait()));
}

fn executes_from_a_thread() {
    thread::spawn(|| {
        print_number(this_task().0);
        pause();
        exec_role("reports_its_pid")
    });
    loop {
        thread::park();
    }
}

fn reports_its_pid() {
    print_number(this_task().0);
    pause();
}
