//! The command that is traced, from its start to its end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use proc_connector::{ExitStatus, Shutdown};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::Failure;
use super::super::names::printable;
use super::found;

/// A command that runs.
pub(super) struct Running {
    waiting: JoinHandle<io::Result<ExitStatus>>,
}

/// Its process id, as long as that is its.
type Alive = Arc<Mutex<Option<Pid>>>;

impl Running {
    /// Starts it, with this program's input and outputs; ends the receives when it has ended. Also
    /// gives its process id.
    pub(super) fn start(words: &[OsString], shutdown: Shutdown) -> Result<(Self, u32), Failure> {
        // Before the command, which may already be the reason for a signal.
        let signals = Signals::new(not_ignored())?;
        let child = match words {
            [] => Err(io::ErrorKind::InvalidInput.into()),
            [name, arguments @ ..] => Command::new(name).args(arguments).spawn(),
        };
        let child = child.map_err(|error| {
            let name = words.first().map(OsString::as_os_str).unwrap_or_default();
            let error = found::reason(name, error);
            Failure::Command { name: printable(name.as_encoded_bytes()), error }
        })?;
        let tgid = child.id();
        let alive = Arc::new(Mutex::new(pid(&child)));
        pass_on(signals, Arc::clone(&alive));
        let waiting = thread::spawn(move || {
            let status = wait(child, &alive);
            shutdown.shutdown()?;
            status
        });
        Ok((Self { waiting }, tgid))
    }

    /// How it ended, once it has.
    pub(super) fn wait(self) -> Result<ExitStatus, Failure> {
        let status = self.waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(status?)
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().map(Pid::from_raw)
}

fn wait(mut child: Child, alive: &Alive) -> io::Result<ExitStatus> {
    // It stays a zombie, so that its id cannot be another's yet.
    if let Some(pid) = pid(&child) {
        let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), how) == Err(Errno::EINTR) {}
    }
    *alive.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let status = child.wait()?.into_raw();
    Ok(ExitStatus::from_raw(u32::from_ne_bytes(status.to_ne_bytes())))
}

/// Of the signals that this program outlives, those that it was not started to ignore: these the
/// command has to ignore too, and a handler would keep it from that.
fn not_ignored() -> impl Iterator<Item = i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let ignored = ignored.unwrap_or_default();
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(move |signal| ignored & (1 << (signal - 1)) == 0)
}

/// Ctrl-C is for the command, which gets it from the terminal, as this program does; requests to end
/// that only this program gets are for the command too.
fn pass_on(mut signals: Signals, alive: Alive) {
    thread::spawn(move || {
        for signal in &mut signals {
            let signal = match signal {
                SIGTERM => Signal::SIGTERM,
                SIGHUP => Signal::SIGHUP,
                _ => continue,
            };
            if let Some(pid) = *alive.lock().unwrap_or_else(PoisonError::into_inner) {
                // If it cannot be told, it is another user's by now.
                let _ = kill(pid, signal);
            }
        }
    });
}
