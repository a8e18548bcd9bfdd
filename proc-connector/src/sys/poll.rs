//! Waiting for descriptors (`ppoll`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::call::{check, timespec};

/// Waits until one of `fds` is readable or in error, or until `timeout` has passed, and returns
/// which are. A `None` among `fds` is never readable; without a `timeout` the wait is unlimited.
///
/// # Errors
///
/// [`io::ErrorKind::Interrupted`] if a signal arrives during the wait.
pub(crate) fn poll_readable<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    // The kernel ignores negative descriptors (`poll(2)`).
    let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
    let mut polled =
        fds.map(|fd| libc::pollfd { fd: number(fd), events: libc::POLLIN, revents: 0 });
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array and the time live through the call, and N is the array's length.
    check(unsafe { libc::ppoll(polled.as_mut_ptr(), N as _, timeout, std::ptr::null()) })?;
    Ok(polled.map(|fd| fd.revents != 0))
}

/// Sleeps for `time` at most, until `fd` is readable or a signal arrives. Returns whether `fd` is
/// readable.
pub(crate) fn sleep_unless_readable(
    fd: Option<BorrowedFd<'_>>,
    time: Duration,
) -> io::Result<bool> {
    match poll_readable([fd], Some(time)) {
        Ok([readable]) => Ok(readable),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}
