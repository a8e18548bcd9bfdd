//! A command that is traced: started with what this process was started with, and followed to its end
//! without a thread.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use libc::{SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM, c_int, pid_t};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::low_level::emulate_default_handler;

use super::end_request::{PATIENCE, monotonic_ns};
use super::signals::{self, is_ignored, set_ignored};
use super::started_with::{ignored_sigpipe, was_closed};
use super::{EventFd, check, retry_on_interrupt};

/// A command that runs.
#[derive(Debug)]
pub struct TracedChild {
    child: Child,
    /// Its process id for as long as that is its; zero before and after.
    pid: Arc<AtomicI32>,
}

impl TracedChild {
    /// Starts a command with the signal mask, the ignored signals and the closed standard streams that
    /// this process was started with.
    ///
    /// From then on SIGTERM and SIGHUP to this process are passed on to the command, and SIGINT is left
    /// to it, which has it from the terminal as well. When the command has ended, `ended` ends the
    /// receives, and a second later these signals end this process: what is left to do may wait for a
    /// reader. This process must have no other threads.
    ///
    /// # Errors
    ///
    /// What the system says to the handlers, or to the command. Nothing runs then.
    pub(crate) fn start(command: &mut Command, ended: Arc<EventFd>) -> io::Result<Self> {
        let pid = Arc::new(AtomicI32::new(0));
        let before = Inherited::look();
        // Signals wait until the process id is stored, and in the child until its state is restored.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started = follow(before, &pid, ended).and_then(|()| {
            let restore = move || before.restore(mask);
            // SAFETY: between fork and exec it makes only system calls that `signal-safety(7)`
            // lists, and allocates nothing.
            unsafe { command.pre_exec(restore) }.spawn()
        });
        if let Ok(child) = &started {
            pid.store(pid_t::try_from(child.id()).unwrap_or(0), Relaxed);
        }
        // This signal reports the command's end.
        let mut own = mask;
        own.remove(Signal::SIGCHLD);
        own.thread_set_mask()?;
        Ok(Self { child: started?, pid })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    ///
    /// What the system says to waiting for it.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let pid = self.pid.load(Relaxed);
        // It stays a zombie, so that its id cannot be another's while a signal may be passed on.
        retry_on_interrupt(|| has_ended(pid, 0))?;
        self.pid.store(0, Relaxed);
        self.child.wait()
    }
}

/// The state that the command inherits, and that this process has changed.
#[derive(Clone, Copy)]
struct Inherited {
    /// Of [`CHANGED`], which were ignored.
    ignored: [bool; CHANGED.len()],
    /// Of the standard streams, which were closed.
    closed: [bool; 3],
}

/// The signals whose action is changed by this process, its runtime or the standard library.
const CHANGED: [c_int; 5] = [SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE];

impl Inherited {
    /// To be called before anything is changed.
    fn look() -> Self {
        let ignored =
            |signal| if signal == SIGPIPE { ignored_sigpipe() } else { is_ignored(signal) };
        Self { ignored: CHANGED.map(ignored), closed: [0, 1, 2].map(was_closed) }
    }

    fn ignores(self, signal: c_int) -> bool {
        CHANGED.iter().zip(self.ignored).any(|(&changed, ignored)| changed == signal && ignored)
    }

    /// In the child, where all signals are blocked: those that came meanwhile are delivered at the end.
    fn restore(self, mask: SigSet) -> io::Result<()> {
        for (&signal, ignored) in CHANGED.iter().zip(self.ignored) {
            set_ignored(signal, ignored)?;
        }
        for (fd, _) in (0..).zip(self.closed).filter(|(_, closed)| *closed) {
            // SAFETY: the runtime opened this descriptor in a closed one's place, and nothing of this
            // process, which is about to be replaced, owns it. It has nothing to write that could fail.
            unsafe { libc::close(fd) };
        }
        mask.thread_set_mask()?;
        Ok(())
    }
}

/// Installs the handlers of signals that are about the command.
fn follow(before: Inherited, pid: &Arc<AtomicI32>, ended: Arc<EventFd>) -> io::Result<()> {
    let child = Arc::clone(pid);
    // When it had ended, in nanoseconds; zero for not yet.
    let end = Arc::new(AtomicU64::new(0));
    let noticed = Arc::clone(&end);
    let notice = move || {
        let pid = child.load(Relaxed);
        if pid != 0 && matches!(has_ended(pid, libc::WNOHANG), Ok(true)) {
            let _ = noticed.compare_exchange(0, monotonic_ns(), Relaxed, Relaxed);
            let _ = ended.raise();
        }
    };
    // Also where it was ignored: the kernel would throw the command's status away.
    // SAFETY: the handler reads a clock, stores a number, and makes a system call that looks at a child
    // and a `write`.
    unsafe { signals::handle(SIGCHLD, notice) }?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if before.ignores(signal) {
            continue;
        }
        let (child, end) = (Arc::clone(pid), Arc::clone(&end));
        let pass_on = move || {
            let pid = child.load(Relaxed);
            let end = end.load(Relaxed);
            if end != 0 && Duration::from_nanos(monotonic_ns().saturating_sub(end)) > PATIENCE {
                let _ = emulate_default_handler(signal);
            } else if pid != 0 && signal != SIGINT {
                // SAFETY: takes numbers only. It fails if the command has become another user's.
                unsafe { libc::kill(pid, signal) };
            }
        };
        // SAFETY: the handler reads a clock and makes one system call; the default action's stand-in is
        // made for handlers.
        unsafe { signals::handle(signal, pass_on) }?;
    }
    Ok(())
}

/// Whether a child has ended, which it is not reaped for; without `WNOHANG` among the options, waits
/// for it.
fn has_ended(pid: pid_t, options: c_int) -> io::Result<bool> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = options | libc::WEXITED | libc::WNOWAIT;
    // SAFETY: writes to memory that is there.
    check(unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options) })?;
    // SAFETY: all of it was zero or written by the call, and it is numbers.
    let info = unsafe { info.assume_init() };
    // SAFETY: `waitid` says who ended, or leaves the zero.
    Ok(unsafe { info.si_pid() } != 0)
}
