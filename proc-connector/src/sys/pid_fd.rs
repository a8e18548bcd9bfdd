//! A process that keeps its identity: a descriptor from `pidfd_open`, which never refers to a later
//! process with the same id.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::call::{check, timespec};

/// A descriptor of a process. It is readable once all threads of the process have ended.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

/// What the kernel reports about the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// The parent has not waited for the process yet, or the process has not ended.
    No,
    /// The process has been reaped. Its wait status is known since Linux 6.15.
    Yes(Option<u32>),
}

impl PidFd {
    /// Opens the process that has this id now, which may have ended if it was not reaped yet.
    ///
    /// # Errors
    ///
    /// The errno of `pidfd_open(2)`: `ESRCH` if no task has this id, `EINVAL` or, in newer kernels,
    /// `ENOENT` if it is that of a thread, `ENOSYS` before Linux 5.3.
    pub(crate) fn open(tgid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(tgid).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the call takes numbers only.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = libc::c_int::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
        let fd = check(fd)?;
        // SAFETY: the call above created this descriptor, and nothing else owns it. The kernel
        // sets the close-on-exec flag.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The wait status of an ended child of this process, which stays unreaped.
    ///
    /// # Errors
    ///
    /// `ECHILD` if the process is not a child of this process, or was reaped.
    pub(crate) fn status_of_child(&self) -> io::Result<Option<u32>> {
        let id =
            libc::id_t::try_from(self.0.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL;
        // SAFETY: the call writes to live memory.
        check(unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), options) })?;
        // SAFETY: the struct consists of numbers, zeroed above or written by the call.
        let info = unsafe { info.assume_init() };
        // SAFETY: `waitid` filled in the pid of a child that ended, or left the zero.
        if unsafe { info.si_pid() } == 0 {
            return Ok(None);
        }
        // SAFETY: `waitid` filled in the status with the pid.
        let status = unsafe { info.si_status() };
        let status = u32::try_from(status).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(match info.si_code {
            libc::CLD_EXITED => Some((status & 0xff) << 8),
            libc::CLD_DUMPED => Some(status | 0x80),
            libc::CLD_KILLED => Some(status),
            _ => None,
        })
    }

    /// Whether the process has been reaped, and its wait status.
    pub(crate) fn reaped(&self) -> io::Result<Reaped> {
        // Kernels before 6.15 do not know the request or the flag.
        if let Ok(Some(status)) = self.exit_info() {
            return Ok(Reaped::Yes(Some(status)));
        }
        // SAFETY: the call takes numbers and a null pointer, and signal 0 is never sent.
        let sent = unsafe {
            let (fd, no_info) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
            libc::syscall(libc::SYS_pidfd_send_signal, fd, 0, no_info, 0)
        };
        if sent == 0 {
            return Ok(Reaped::No);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(Reaped::Yes(None)),
            // It exists, but must not be signalled.
            error if error.raw_os_error() == Some(libc::EPERM) => Ok(Reaped::No),
            error => Err(error),
        }
    }

    /// The wait status that the kernel keeps of a reaped process (`PIDFD_GET_INFO` with
    /// `PIDFD_INFO_EXIT`, since Linux 6.15).
    fn exit_info(&self) -> io::Result<Option<u32>> {
        let mut info = PidFdInfo { mask: PidFdInfo::EXIT, ..PidFdInfo::default() };
        #[allow(
            clippy::cast_lossless,
            reason = "the type of the number differs between C libraries"
        )]
        let request = PidFdInfo::REQUEST as _;
        // SAFETY: the kernel writes at most the size encoded in the request to a live struct.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), request, &raw mut info) })?;
        Ok((info.mask & PidFdInfo::EXIT != 0).then_some(info.exit_code))
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `struct pidfd_info` of `include/uapi/linux/pidfd.h`, in its first version.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct PidFdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 3],
    credentials: [u32; 8],
    /// A wait status, in the kernel's struct a signed number.
    exit_code: u32,
}

impl PidFdInfo {
    /// `PIDFD_INFO_EXIT`.
    const EXIT: u64 = 1 << 3;
    /// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
    const REQUEST: u32 = request(0xff, 11, size_of::<Self>());
}

const _: () = assert!(size_of::<PidFdInfo>() == 64);

/// The number of an `ioctl` that reads and writes `size` bytes: `_IOWR` of
/// `include/uapi/asm-generic/ioctl.h`. On architectures with other field widths it has the same value.
#[expect(clippy::cast_possible_truncation, reason = "structs of requests are small")]
const fn request(kind: u32, number: u32, size: usize) -> u32 {
    3 << 30 | (size as u32) << 16 | kind << 8 | number
}

/// Waits until one of these processes has ended, or until `timeout` has passed, and returns which
/// have. Without a `timeout` the wait is unlimited.
///
/// # Errors
///
/// [`io::ErrorKind::Interrupted`] if a signal arrives during the wait.
pub(crate) fn poll_ended<'a>(
    processes: impl Iterator<Item = &'a PidFd>,
    timeout: Option<Duration>,
) -> io::Result<Vec<bool>> {
    poll(processes, libc::POLLIN, timeout)
}

/// Waits until this process is reaped, or until `timeout` has passed. Before Linux 6.15 always
/// until `timeout`.
pub(crate) fn poll_reaped(process: &PidFd, timeout: Duration) -> io::Result<bool> {
    Ok(poll(std::iter::once(process), 0, Some(timeout))?.contains(&true))
}

fn poll<'a>(
    processes: impl Iterator<Item = &'a PidFd>,
    events: libc::c_short,
    timeout: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let polled = |process: &PidFd| libc::pollfd { fd: process.0.as_raw_fd(), events, revents: 0 };
    let mut polled: Vec<_> = processes.map(polled).collect();
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let len = libc::nfds_t::try_from(polled.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the list and the time live through the call, and `len` is the list's length.
    check(unsafe { libc::ppoll(polled.as_mut_ptr(), len, timeout, std::ptr::null()) })?;
    Ok(polled.iter().map(|process| process.revents != 0).collect())
}
