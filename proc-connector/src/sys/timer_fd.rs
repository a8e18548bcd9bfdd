//! A timer that can be polled (`timerfd`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::call::{check, timespec};

/// A timer that is readable from its expiry until it is set again. A new timer is off.
#[derive(Debug)]
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: the call takes numbers only.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the call above created this descriptor, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Starts the timer and makes it unreadable until it expires. `None` turns it off.
    pub(crate) fn set(&self, time: Option<Duration>) -> io::Result<()> {
        // Zero would turn the timer off.
        let value = time.map_or(Duration::ZERO, |time| time.max(Duration::from_nanos(1)));
        let once =
            libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(value) };
        // SAFETY: the new value is live and only read, and a null pointer discards the old one.
        check(unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const once, std::ptr::null_mut())
        })?;
        Ok(())
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
