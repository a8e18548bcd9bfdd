//! One descriptor that is readable when a receive is worth a try: `epoll` and `timerfd`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{Epoll, check, timespec};

/// Readable when a queue wakes its reader, or when a nap is over, as was chosen last; and once a
/// shutdown was requested.
///
/// Closed at first.
#[derive(Debug)]
pub(crate) struct Gate {
    epoll: Epoll,
    timer: OwnedFd,
    wakes: OwnedFd,
    /// The queue is being waited for.
    listening: bool,
}

/// Why a gate is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Woken,
    Rested,
    Shutdown,
}

impl Gate {
    pub(crate) fn new(wakes: BorrowedFd<'_>, shutdown: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: the call takes numbers only.
        let timer = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the call above created this descriptor, and nothing else owns it.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        let wakes = wakes.try_clone_to_owned()?;
        epoll.add_ignored(wakes.as_fd(), Opened::Woken as u64)?;
        epoll.add(timer.as_fd(), Opened::Rested as u64)?;
        epoll.add(shutdown, Opened::Shutdown as u64)?;
        Ok(Self { epoll, timer, wakes, listening: false })
    }

    /// Opens when the queue wakes its reader.
    pub(crate) fn listen(&mut self) -> io::Result<()> {
        self.set_timer(Duration::ZERO)?;
        self.set_listening(true)
    }

    /// Opens when the time is over, whatever the queue does.
    pub(crate) fn rest(&mut self, time: Duration) -> io::Result<()> {
        self.set_listening(false)?;
        // Zero would turn the timer off.
        self.set_timer(time.max(Duration::from_nanos(1)))
    }

    /// Whether it is open, and why.
    pub(crate) fn opened(&self) -> io::Result<Option<Opened>> {
        let ready = self.epoll.ready()?;
        let is = |reason: Opened| ready.clone().any(|token| token == reason as u64);
        let reasons = [Opened::Shutdown, Opened::Woken, Opened::Rested];
        Ok(reasons.into_iter().find(|&reason| is(reason)))
    }

    fn set_listening(&mut self, listening: bool) -> io::Result<()> {
        if self.listening != listening {
            self.epoll.listen(self.wakes.as_fd(), Opened::Woken as u64, listening)?;
            self.listening = listening;
        }
        Ok(())
    }

    /// Sets the timer, which makes it unreadable until it is over; zero turns it off.
    fn set_timer(&self, time: Duration) -> io::Result<()> {
        let once =
            libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(time) };
        // SAFETY: the first time is live and only read, and no old one is asked for.
        check(unsafe {
            libc::timerfd_settime(self.timer.as_raw_fd(), 0, &raw const once, std::ptr::null_mut())
        })?;
        Ok(())
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
