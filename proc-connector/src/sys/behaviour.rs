//! System calls that create, end and reap processes in ways that no safe library offers, for the
//! tests of this repository.

#![allow(clippy::missing_panics_doc, reason = "a panic is a failed test")]
#![allow(clippy::exhaustive_structs, reason = "no public API")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use serde::{Deserialize, Serialize};

/// The signal that kills a child whose function panicked, and its wait status.
pub const PANICKED: i32 = 64;

/// How a child is created. The default is a plain fork.
#[derive(Clone, Copy, Debug)]
pub struct Creation {
    /// `CLONE_*`, without `CLONE_VM`: the child runs in a copy of the memory.
    pub flags: i32,
    /// The signal that the parent receives at the end of the child.
    pub exit_signal: i32,
    /// The process id of the child.
    pub pid: Option<u32>,
}

impl Default for Creation {
    fn default() -> Self {
        Self { flags: 0, exit_signal: libc::SIGCHLD, pid: None }
    }
}

/// Creates a child that runs a function and exits with 0. Returns the process id of the child. Must
/// be called by a process of one thread.
pub fn fork(child: impl FnOnce()) -> u32 {
    // SAFETY: the C library makes the forked child usable, and this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        run(child);
    }
    u32::try_from(pid).unwrap_or_else(|_| panic!("fork: {}", io::Error::last_os_error()))
}

/// The same with `clone3`.
///
/// # Errors
///
/// Those of `clone3`: an id in use, or a missing privilege.
pub fn clone(creation: Creation, child: impl FnOnce()) -> io::Result<u32> {
    let pids = creation.pid.map(|pid| [c_int::try_from(pid).expect("a pid")]);
    // SAFETY: the struct consists of numbers.
    let mut args: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    args.flags = u64::try_from(creation.flags).expect("flags");
    args.exit_signal = u64::try_from(creation.exit_signal).expect("a signal");
    if let Some(pids) = &pids {
        args.set_tid = pids.as_ptr() as u64;
        args.set_tid_size = 1;
    }
    // SAFETY: without `CLONE_VM` the child has a copy of this process's memory, in which the one
    // thread continues on the same stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    if pid == 0 {
        run(child);
    }
    u32::try_from(pid).map_err(|_| io::Error::last_os_error())
}

fn run(child: impl FnOnce()) -> ! {
    if catch_unwind(AssertUnwindSafe(child)).is_err() {
        kill(std::process::id(), PANICKED);
    }
    exit(0)
}

/// Ends the process, without the handlers of the C library.
pub fn exit(code: i32) -> ! {
    // SAFETY: the call takes a number only, and does not return.
    unsafe { libc::_exit(code) }
}

/// Ends the calling thread only, unlike the C library, whose first thread ends the process. The last
/// thread's code becomes that of the process.
pub fn exit_thread(code: i32) -> ! {
    // SAFETY: the call takes a number only. The thread releases nothing that others use.
    unsafe { libc::syscall(libc::SYS_exit, code) };
    unreachable!("the thread has ended")
}

/// A program that [`vfork`] executes.
#[derive(Debug)]
pub struct Plan {
    path: CString,
    args: Vec<CString>,
    argv: Vec<*const c_char>,
    /// Executed by a child of the child, before it executes its own program.
    inner: Option<Box<Plan>>,
    stack: Vec<u128>,
    pid: c_int,
}

impl Plan {
    /// The execution of `path` with `args`. The child first creates a child that executes `inner`.
    pub fn new(path: &CStr, args: &[CString], inner: Option<Plan>) -> Self {
        Self {
            path: path.to_owned(),
            args: args.to_vec(),
            argv: Vec::new(),
            inner: inner.map(Box::new),
            stack: vec![0; 4096],
            pid: 0,
        }
    }

    fn prepare(&mut self) {
        self.argv = self.args.iter().map(|arg| arg.as_ptr()).chain([ptr::null()]).collect();
        if let Some(inner) = &mut self.inner {
            inner.prepare();
        }
    }

    /// The process ids of the inner children, the innermost last.
    pub fn inner_pids(&self) -> Vec<u32> {
        let Some(inner) = &self.inner else { return Vec::new() };
        let mut pids = vec![u32::try_from(inner.pid).expect("a child")];
        pids.extend(inner.inner_pids());
        pids
    }

    fn vfork(&mut self) -> c_int {
        // SAFETY: the end of the stack is the end of its allocation.
        let top = unsafe { self.stack.as_mut_ptr().add(self.stack.len()) };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the child runs on its own stack, and this thread waits until it executes a
        // program or exits.
        self.pid = unsafe { libc::clone(exec_plan, top.cast(), flags, ptr::from_mut(self).cast()) };
        self.pid
    }
}

/// Creates a child that shares this process's memory until it executes a program, as `vfork` does.
/// Returns the process id of the child.
pub fn vfork(plan: &mut Plan) -> u32 {
    plan.prepare();
    u32::try_from(plan.vfork()).expect("a child")
}

extern "C" fn exec_plan(plan: *mut c_void) -> c_int {
    // SAFETY: `Plan::vfork` passes a plan, which nothing else uses until the child is done.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    if let Some(inner) = &mut plan.inner {
        inner.vfork();
    }
    let empty = [ptr::null()];
    // SAFETY: both arrays end with a null pointer, and their strings are alive.
    unsafe { libc::execve(plan.path.as_ptr(), plan.argv.as_ptr(), empty.as_ptr()) };
    kill(std::process::id(), PANICKED);
    0
}

/// Resource usage as `wait4` reports it: of the process, and of the children that it reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time, in nanoseconds with a resolution of 1 us each.
    pub cpu_ns: u64,
    /// Peak resident memory, in KiB.
    pub max_rss_kib: u64,
    /// Page faults that needed no I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// Voluntary context switches.
    pub voluntary_switches: u64,
    /// Involuntary context switches.
    pub involuntary_switches: u64,
}

/// Reaps a child. Returns its wait status and its resource usage.
///
/// # Errors
///
/// Those of `wait4`: the process is no child.
pub fn wait4(pid: u32) -> io::Result<(i32, Usage)> {
    let pid = c_int::try_from(pid).expect("a pid");
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to live memory.
        let waited = unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, usage.as_mut_ptr()) };
        match waited {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ => break,
        }
    }
    // SAFETY: the struct consists of numbers, which the call wrote.
    let usage = unsafe { usage.assume_init() };
    Ok((status, usage.into()))
}

impl From<libc::rusage> for Usage {
    fn from(usage: libc::rusage) -> Self {
        let number = |number: c_long| u64::try_from(number).expect("not negative");
        let time = |time: libc::timeval| {
            number(time.tv_sec) * 1_000_000_000 + number(time.tv_usec) * 1_000
        };
        Self {
            cpu_ns: time(usage.ru_utime) + time(usage.ru_stime),
            max_rss_kib: number(usage.ru_maxrss),
            minor_faults: number(usage.ru_minflt),
            major_faults: number(usage.ru_majflt),
            voluntary_switches: number(usage.ru_nvcsw),
            involuntary_switches: number(usage.ru_nivcsw),
        }
    }
}

/// Gives a signal its default action.
pub fn default_action(signal: i32) {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores a signal.
pub fn ignore(signal: i32) {
    // SAFETY: ignoring runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives this process the lowest precedence.
pub fn yield_to_others() {
    // SAFETY: the call takes a number only.
    unsafe { libc::nice(19) };
}

/// Sends a signal by number, also one without a name.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(c_int::try_from(pid).expect("a pid"), signal) };
}

/// Changes the user ids of the calling thread only. The C library would change those of all.
///
/// # Errors
///
/// Those of `setresuid`: a missing privilege.
pub fn set_thread_user(user: u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    match unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const _: () = assert!(size_of::<libc::clone_args>() >= 88, "`set_tid` is in the struct");
