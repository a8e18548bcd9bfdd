//! One descriptor for an asynchronous reader to wait for: an `epoll` over the event queue, a
//! `timerfd` and a shutdown request.
//!
//! An asynchronous reader waits either for the next event or for the end of a nap, and a shutdown
//! ends both waits. The runtime watches one descriptor all the time; the reader switches what makes
//! that descriptor readable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::epoll::Epoll;
use super::timer_fd::TimerFd;

/// A descriptor that becomes readable at a shutdown, and for the reason that the last call of
/// [`open_on_event`](Self::open_on_event) or [`open_after`](Self::open_after) chose.
///
/// A new gate is closed: only a shutdown makes it readable.
#[derive(Debug)]
pub(crate) struct Gate {
    epoll: Epoll,
    timer: TimerFd,
    /// The descriptor that becomes readable with the wake-up that the queue's reader requested.
    wakeup: OwnedFd,
    /// Whether `epoll` watches `wakeup` at present.
    watches_wakeup: bool,
}

/// Why a gate is readable. The discriminants are its `epoll` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenReason {
    Event,
    TimeOver,
    Shutdown,
}

impl Gate {
    pub(crate) fn new(wakeup: BorrowedFd<'_>, shutdown: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let timer = TimerFd::new()?;
        let wakeup = wakeup.try_clone_to_owned()?;
        epoll.add_disabled(wakeup.as_fd(), OpenReason::Event as u64)?;
        epoll.add(timer.as_fd(), OpenReason::TimeOver as u64)?;
        epoll.add(shutdown, OpenReason::Shutdown as u64)?;
        Ok(Self { epoll, timer, wakeup, watches_wakeup: false })
    }

    /// Opens the gate at the next event, if the reader has requested a wake-up, but after `limit`
    /// at the latest.
    pub(crate) fn open_on_event(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.timer.set(limit)?;
        self.watch_wakeup(true)
    }

    /// Opens the gate after `time`. Events do not open it earlier.
    pub(crate) fn open_after(&mut self, time: Duration) -> io::Result<()> {
        self.watch_wakeup(false)?;
        self.timer.set(Some(time))
    }

    /// Why the gate is open, or `None` while it is closed. A shutdown takes precedence.
    pub(crate) fn open_reason(&self) -> io::Result<Option<OpenReason>> {
        let ready = self.epoll.ready()?;
        let by_precedence = [OpenReason::Shutdown, OpenReason::Event, OpenReason::TimeOver];
        let is_ready = |reason: OpenReason| ready.clone().any(|token| token == reason as u64);
        Ok(by_precedence.into_iter().find(|&reason| is_ready(reason)))
    }

    fn watch_wakeup(&mut self, watch: bool) -> io::Result<()> {
        if self.watches_wakeup != watch {
            self.epoll.set_enabled(self.wakeup.as_fd(), OpenReason::Event as u64, watch)?;
            self.watches_wakeup = watch;
        }
        Ok(())
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
