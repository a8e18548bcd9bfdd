//! Helper processes that end in every way, and what `wait4` says of them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;

use nix::sys::ptrace;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use proc_connector::process::ProcessExit;
use proc_connector::testing::behaviour::exit_thread;

use super::helper_process::{HelperProcess, command, pause, print_number};
use super::load::this_task;
use super::{CAP_SYS_ADMIN, Deadline, require_capability};

/// The ways to end, as orders: an exit code, or 256 and a signal.
pub(crate) const ORDERS: [u32; 5] = [0, 3, 255, 256 + 9, 256 + 6];

/// Ends as the number on the standard input says.
pub(crate) fn ends_as_ordered() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let order: i32 = line.trim().parse().expect("a number");
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("a lower limit");
    match order.checked_sub(256) {
        Some(signal @ 0..) => raise(Signal::try_from(signal).expect("a signal")).expect("an end"),
        _ => std::process::exit(order),
    }
}

/// Starts a child for each order and prints its id. Each child ends after a pause; after a further
/// pause this process reaps it and prints its status.
pub(crate) fn has_children() {
    let start = |_| command("ends_as_ordered").stdin(Stdio::piped()).spawn().expect("a process");
    let children: Vec<Child> = ORDERS.into_iter().map(start).collect();
    for child in &children {
        print_number(child.id());
    }
    for (mut child, order) in children.into_iter().zip(ORDERS) {
        pause();
        let stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut { stdin }, format!("{order}\n").as_bytes())
            .expect("it reads");
        pause();
        print_number(raw_status(child.wait().expect("a child")));
    }
}

pub(crate) fn keeps_a_thread() {
    thread::spawn(|| {
        print_number(this_task().0);
        thread::park();
    });
    pause();
}

/// Ends the first thread, prints a number, and ends the process with the code 7 from another
/// thread after a pause.
pub(crate) fn ends_its_first_thread_first() {
    end_first_thread(|| std::process::exit(7));
}

/// The same, except that the last thread ends only itself.
pub(crate) fn ends_with_its_last_thread() {
    end_first_thread(|| exit_thread(7));
}

pub(crate) fn end_first_thread(end: fn()) {
    thread::spawn(move || {
        let has_ended = || {
            let stat = fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
            stat.rsplit(") ").next().expect("a state").starts_with('Z')
        };
        while !has_ended() {
            thread::yield_now();
        }
        print_number(1);
        pause();
        end();
    });
    exit_thread(5);
}

/// Processes that run without their first thread, and the first number of their statuses.
pub(crate) fn without_first_threads() -> Vec<HelperProcess> {
    let start = |role| {
        let mut helper = HelperProcess::start(role);
        helper.read_number();
        helper
    };
    ["ends_its_first_thread_first", "ends_with_its_last_thread"].map(start).into()
}

/// A process that ends as ordered.
pub(crate) fn ordered() -> HelperProcess {
    HelperProcess::start("ends_as_ordered")
}

/// The status of an exit, as `wait4` encodes it.
pub(crate) fn raw(exit: &ProcessExit) -> Option<u32> {
    exit.status().map(proc_connector::ExitStatus::into_raw)
}

pub(crate) fn raw_status(status: ExitStatus) -> u32 {
    status.into_raw().try_into().expect("wait statuses are positive")
}

/// The status that `wait4` returns.
pub(crate) fn reaped(helper: HelperProcess) -> u32 {
    raw_status(helper.wait())
}

pub(crate) fn pid_of(helper: &HelperProcess) -> Pid {
    Pid::from_raw(helper.pid().try_into().expect("a pid"))
}

/// Waits until a process has ended, and leaves it unreaped.
pub(crate) fn until_ended(helper: &HelperProcess) {
    let options = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid_of(helper)), options).expect("a child");
}

/// Starts a process that ends as ordered, with a process id that is free.
pub(crate) fn ordered_with_id(tgid: u32) -> HelperProcess {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    let deadline = Deadline::new();
    loop {
        // The kernel gives the next id to the next process on the machine, which may be another.
        fs::write("/proc/sys/kernel/ns_last_pid", (tgid - 1).to_string()).expect("a privilege");
        let helper = ordered();
        if helper.pid() == tgid {
            return helper;
        }
        assert!(deadline.left().is_some(), "no process got the id {tgid}");
    }
}

/// A thread of a [`keeps_a_thread`] process that this thread traces. It stays a zombie until this is
/// dropped, and its process with it.
#[derive(Debug)]
pub(crate) struct KeptThread {
    process: Pid,
    thread: Pid,
}

impl KeptThread {
    /// Traces the thread of a new process.
    pub(crate) fn start() -> (HelperProcess, Self) {
        let mut helper = HelperProcess::start("keeps_a_thread");
        let thread = Pid::from_raw(helper.read_number().try_into().expect("an id"));
        ptrace::seize(thread, ptrace::Options::empty()).expect("a child may be traced");
        let process = pid_of(&helper);
        (helper, Self { process, thread })
    }

    /// Waits until all threads have ended, and asserts that `waitpid` does not return.
    pub(crate) fn until_ended(&self) {
        let is_zombie = |thread: Pid| {
            let stat = fs::read_to_string(format!("/proc/{}/task/{thread}/stat", self.process));
            stat.expect("an unreaped thread").rsplit(") ").next().expect("a state").starts_with('Z')
        };
        let deadline = Deadline::new();
        while ![self.process, self.thread].into_iter().all(is_zombie) {
            assert!(deadline.left().is_some(), "it does not end");
            thread::yield_now();
        }
        let state = waitpid(self.process, Some(WaitPidFlag::WNOHANG));
        assert_eq!(state, Ok(WaitStatus::StillAlive));
    }
}

impl Drop for KeptThread {
    fn drop(&mut self) {
        let _ = kill(self.process, Signal::SIGKILL);
        let _ = waitpid(self.thread, Some(WaitPidFlag::__WALL));
    }
}
