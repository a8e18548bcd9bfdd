//! One descriptor that is readable when it is worth looking: `epoll` and `timerfd`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{check, timespec};

/// Readable when a queue wakes its reader, or when a nap is over, as was chosen last; and once a
/// shutdown was asked for.
///
/// Closed at first.
#[derive(Debug)]
pub(crate) struct Gate {
    epoll: OwnedFd,
    timer: OwnedFd,
    wakes: OwnedFd,
    /// The queue is being waited for.
    listening: bool,
}

const READABLE: u32 = libc::EPOLLIN as u32;

/// Why a gate is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Woken,
    Rested,
    Shutdown,
}

impl Gate {
    pub(crate) fn new(wakes: BorrowedFd<'_>, shutdown: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call above made this descriptor and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: takes numbers only.
        let timer = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the call above made this descriptor and nobody else has it.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        let wakes = wakes.try_clone_to_owned()?;
        let gate = Self { epoll, timer, wakes, listening: false };
        gate.watch(libc::EPOLL_CTL_ADD, gate.wakes.as_fd(), Opened::Woken, false)?;
        gate.watch(libc::EPOLL_CTL_ADD, gate.timer.as_fd(), Opened::Rested, true)?;
        gate.watch(libc::EPOLL_CTL_ADD, shutdown, Opened::Shutdown, true)?;
        Ok(gate)
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
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 3];
        // SAFETY: the array lives through the call, and 3 is its length.
        let count =
            check(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 3, 0) });
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => usize::try_from(count?).unwrap_or_default(),
        };
        let is = |reason: Opened| events[..count].iter().any(|event| event.u64 == reason as u64);
        let reasons = [Opened::Shutdown, Opened::Woken, Opened::Rested];
        Ok(reasons.into_iter().find(|&reason| is(reason)))
    }

    fn set_listening(&mut self, listening: bool) -> io::Result<()> {
        if self.listening != listening {
            self.watch(libc::EPOLL_CTL_MOD, self.wakes.as_fd(), Opened::Woken, listening)?;
            self.listening = listening;
        }
        Ok(())
    }

    fn watch(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        reason: Opened,
        on: bool,
    ) -> io::Result<()> {
        let events = if on { READABLE } else { 0 };
        let mut event = libc::epoll_event { events, u64: reason as u64 };
        // SAFETY: the event lives through the call, which copies it.
        check(unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event)
        })?;
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
