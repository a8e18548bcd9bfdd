//! A process that this process waits for without a connector.

use std::io;
use std::time::Duration;

use proc_connector_core::ExitStatus;

use crate::live::host::kernel::Version;
use crate::live::host::proc_mount;
use crate::sys::{PidFd, ProcDir, Reaped, poll_ended, poll_reaped, retry_on_interrupt};

/// A process that keeps its identity when its id is reused.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    fd: PidFd,
    tgid: u32,
}

/// Why no process could be opened.
#[derive(Debug)]
pub(crate) enum HandleError {
    /// No process has this id, or the process was reaped.
    NoSuchProcess,
    /// The id is that of a thread of this process.
    Thread(Option<u32>),
    /// The kernel is older than 5.3, or a sandbox forbids the system call.
    Unsupported(io::Error),
    Os(io::Error),
}

impl ProcessHandle {
    /// Opens the process that has this id now. It may have ended, but was not reaped.
    pub(crate) fn open(tgid: u32) -> Result<Self, HandleError> {
        let fd = PidFd::open(tgid).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => HandleError::NoSuchProcess,
            Some(libc::EINVAL | libc::ENOENT) => HandleError::Thread(process_of_thread(tgid)),
            Some(libc::ENOSYS | libc::EPERM | libc::EACCES) => HandleError::Unsupported(error),
            _ => HandleError::Os(error),
        })?;
        Ok(Self { fd, tgid })
    }

    /// Whether all threads of the process have ended.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        let handles = || std::iter::once(&self.fd);
        let ended = retry_on_interrupt(|| poll_ended(handles(), Some(Duration::ZERO)))?;
        Ok(ended.contains(&true))
    }

    /// Whether the parent has certainly not reaped the process, so that no other process has its id.
    pub(crate) fn is_unreaped(&self) -> bool {
        matches!(self.fd.reaped(), Ok(Reaped::No))
    }

    /// The status of the ended process as `waitpid(2)` returns it. `None` if the kernel does not
    /// report it to this process. The process stays unreaped.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.fd.status_of_child() {
            return Some(ExitStatus::from_raw(status));
        }
        let reported = |reaped| match reaped {
            Reaped::Yes(status) => Some(status.map(ExitStatus::from_raw)),
            Reaped::No => None,
        };
        if let Some(status) = reported(self.fd.reaped().ok()?) {
            return status;
        }
        let of_zombie = status_of_zombie(self.tgid);
        // `/proc` showed this process unless it was reaped meanwhile.
        if let Some(status) = reported(self.fd.reaped().ok()?) {
            return status;
        }
        of_zombie
    }

    /// Waits until the parent has reaped the ended process, or until `timeout` has passed. The
    /// status may then be known. Before Linux 6.15 always waits until `timeout`.
    pub(crate) fn wait_reaped(&self, timeout: Duration) {
        let _ = retry_on_interrupt(|| poll_reaped(&self.fd, timeout));
    }

    /// Waits until one of these processes has ended, or until `timeout` has passed, and returns
    /// which have.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Interrupted`] if a signal arrives during the wait.
    pub(crate) fn poll_ended<'a>(
        handles: impl Iterator<Item = &'a Self>,
        timeout: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        poll_ended(handles.map(|handle| &handle.fd), timeout)
    }
}

/// The wait status of an ended process that was not reaped, as `/proc/PID/stat` shows it.
fn status_of_zombie(tgid: u32) -> Option<ExitStatus> {
    // Earlier kernels show the status of the first thread, which can differ from that of the
    // process.
    if Version::running()? < Version(6, 15, 0) {
        return None;
    }
    let directory = proc_mount::open().ok()?.process(tgid).ok()?;
    let mut buffer = [0; 1024];
    let stat = directory.read(c"stat", &mut buffer).ok()?;
    // The name, the only field that can contain spaces, is in parentheses.
    let after_name = stat.rsplit(|&byte| byte == b')').next()?;
    let mut fields = after_name.trim_ascii().split(|&byte| byte == b' ');
    if fields.next()? != b"Z" {
        return None;
    }
    // Field 52 of `proc_pid_stat(5)`; the state is field 3.
    let status: u32 = std::str::from_utf8(fields.nth(52 - 4)?).ok()?.parse().ok()?;
    // Without permission the kernel shows zero.
    (status != 0 || is_inspectable(&directory)).then_some(ExitStatus::from_raw(status))
}

/// Whether this process may inspect another (`PTRACE_MODE_READ`), which this link requires.
fn is_inspectable(directory: &ProcDir) -> bool {
    directory.read_link(c"ns/user", &mut [0; 64]).is_ok()
}

/// The process that a thread belongs to, from `/proc/TID/status`.
fn process_of_thread(tid: u32) -> Option<u32> {
    let mut buffer = [0; 1024];
    let directory = proc_mount::open().ok()?.process(tid).ok()?;
    let status = directory.read(c"status", &mut buffer).ok()?;
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
    std::str::from_utf8(line.trim_ascii()).ok()?.parse().ok()
}
