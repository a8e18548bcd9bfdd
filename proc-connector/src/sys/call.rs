//! Helpers for calling the system: results as `io::Result`, and conversions of arguments.

use std::io;
use std::time::Duration;

/// Repeats a system call while it fails with `EINTR`.
pub(crate) fn retry_on_interrupt<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The result of a system call: a negative number becomes the error in `errno`.
pub(super) fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// Like [`check`], for system calls that return a length.
pub(super) fn check_len(returned: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// The size of a type as a `socklen_t`.
#[expect(clippy::cast_possible_truncation, reason = "types passed to system calls are small")]
pub(super) const fn socklen_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// A duration as a `timespec`, saturating at the longest that the type holds.
pub(super) fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: long(time.subsec_nanos()),
    }
}

/// A small number as a `c_long`, which has 32 or 64 bits.
#[allow(clippy::cast_lossless, clippy::cast_possible_wrap, reason = "callers pass small numbers")]
pub(super) const fn long(number: u32) -> libc::c_long {
    number as libc::c_long
}
