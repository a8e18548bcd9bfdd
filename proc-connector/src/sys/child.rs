//! The command that `trace` runs: started in the signal state that this process inherited, and
//! watched by signal handlers instead of a thread.

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

use super::call::{check, retry_on_interrupt};
use super::end_request::{PATIENCE, monotonic_ns};
use super::event_fd::EventFd;
use super::signals::{self, is_ignored, set_ignored};
use super::started_with::{ignored_sigpipe, was_closed};

/// A running command.
#[derive(Debug)]
pub struct TracedChild {
    child: Child,
    /// The command's process id. Zero before the command starts and from just before it is reaped:
    /// the kernel may then give the id to another process.
    pid: Arc<AtomicI32>,
}

impl TracedChild {
    /// Starts a command with the signal mask, the ignored signals and the closed standard streams
    /// that this process was started with. This process must have a single thread.
    ///
    /// While the command runs, SIGTERM and SIGHUP to this process are forwarded to the command.
    /// SIGINT is ignored, because the terminal sends it to the command as well.
    ///
    /// When the command ends, `ended` is raised. One second after that, the three signals take
    /// their default action: this process may be blocked on the reader of its output.
    ///
    /// # Errors
    ///
    /// An error of the system if a handler cannot be installed or the command cannot be started.
    /// The command does not run in either case.
    pub(crate) fn start(command: &mut Command, ended: Arc<EventFd>) -> io::Result<Self> {
        let pid = Arc::new(AtomicI32::new(0));
        let inherited = Inherited::capture();
        // Blocks signals in this process until the process id is stored, and in the child until its
        // signal state is restored.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started = install_handlers(inherited, &pid, ended).and_then(|()| {
            let restore = move || inherited.restore(mask);
            // SAFETY: between fork and exec the closure makes only system calls that
            // `signal-safety(7)` lists, and allocates nothing.
            unsafe { command.pre_exec(restore) }.spawn()
        });
        if let Ok(child) = &started {
            pid.store(pid_t::try_from(child.id()).unwrap_or(0), Relaxed);
        }
        // SIGCHLD reports the command's end.
        let mut own = mask;
        own.remove(Signal::SIGCHLD);
        own.thread_set_mask()?;
        Ok(Self { child: started?, pid })
    }

    /// The command's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the command to end, and returns its exit status.
    ///
    /// # Errors
    ///
    /// An error of `waitid` or `waitpid`.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let pid = self.pid.load(Relaxed);
        // Until the id is cleared the command stays a zombie: a handler that forwards a signal
        // cannot hit a new process with the same id.
        retry_on_interrupt(|| has_ended(pid, 0))?;
        self.pid.store(0, Relaxed);
        self.child.wait()
    }
}

/// Inherited state that this process changes and the command restores.
#[derive(Clone, Copy)]
struct Inherited {
    /// Which of [`CHANGED`] were ignored.
    ignored: [bool; CHANGED.len()],
    /// Which of the standard streams were closed.
    closed: [bool; 3],
}

/// The signals whose disposition this process, its runtime or the standard library changes.
const CHANGED: [c_int; 5] = [SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE];

impl Inherited {
    /// Records the state. Must be called before this process installs handlers.
    fn capture() -> Self {
        let ignored =
            |signal| if signal == SIGPIPE { ignored_sigpipe() } else { is_ignored(signal) };
        Self { ignored: CHANGED.map(ignored), closed: [0, 1, 2].map(was_closed) }
    }

    fn ignores(self, signal: c_int) -> bool {
        CHANGED.iter().zip(self.ignored).any(|(&changed, ignored)| changed == signal && ignored)
    }

    /// Restores the state in the child between fork and exec. Unblocking comes last, and delivers
    /// the signals that arrived while all were blocked.
    fn restore(self, mask: SigSet) -> io::Result<()> {
        for (&signal, ignored) in CHANGED.iter().zip(self.ignored) {
            set_ignored(signal, ignored)?;
        }
        for (fd, _) in (0..).zip(self.closed).filter(|(_, closed)| *closed) {
            // SAFETY: the runtime opened this descriptor in place of a closed one, and nothing owns
            // it. Closing `/dev/null` cannot fail in a way that loses data.
            unsafe { libc::close(fd) };
        }
        mask.thread_set_mask()?;
        Ok(())
    }
}

/// Installs the handlers that watch the command and forward signals to it.
fn install_handlers(
    inherited: Inherited,
    pid: &Arc<AtomicI32>,
    ended: Arc<EventFd>,
) -> io::Result<()> {
    // When the command ended, in nanoseconds; zero while it runs.
    let end_ns = Arc::new(AtomicU64::new(0));
    let (child, end) = (Arc::clone(pid), Arc::clone(&end_ns));
    let on_child_end = move || {
        let pid = child.load(Relaxed);
        if pid != 0 && matches!(has_ended(pid, libc::WNOHANG), Ok(true)) {
            let _ = end.compare_exchange(0, monotonic_ns(), Relaxed, Relaxed);
            let _ = ended.raise();
        }
    };
    // Installed even if SIGCHLD was ignored: the kernel discards the exit status of children of a
    // process that ignores it.
    // SAFETY: the handler reads a clock, stores a number, and calls `waitid` and `write`.
    unsafe { signals::handle(SIGCHLD, on_child_end) }?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if inherited.ignores(signal) {
            continue;
        }
        let (child, end) = (Arc::clone(pid), Arc::clone(&end_ns));
        let forward = move || {
            let pid = child.load(Relaxed);
            let end = end.load(Relaxed);
            if end != 0 && Duration::from_nanos(monotonic_ns().saturating_sub(end)) > PATIENCE {
                let _ = emulate_default_handler(signal);
            } else if pid != 0 && signal != SIGINT {
                // SAFETY: the call takes numbers only. It fails if the command now runs as another
                // user.
                unsafe { libc::kill(pid, signal) };
            }
        };
        // SAFETY: the handler reads a clock and calls `kill`; `emulate_default_handler` is
        // async-signal-safe.
        unsafe { signals::handle(signal, forward) }?;
    }
    Ok(())
}

/// Whether a child has ended, without reaping it. Waits for its end unless `options` has `WNOHANG`.
fn has_ended(pid: pid_t, options: c_int) -> io::Result<bool> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = options | libc::WEXITED | libc::WNOWAIT;
    // SAFETY: the call writes to live memory.
    check(unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options) })?;
    // SAFETY: the struct consists of numbers, zeroed above or written by the call.
    let info = unsafe { info.assume_init() };
    // SAFETY: `waitid` filled in the pid of a child that ended, or left the zero.
    Ok(unsafe { info.si_pid() } != 0)
}
