//! The descriptor of a stream, for event loops.
//!
//! Invariant: once a caller has obtained the descriptor, it is readable while the stream has
//! anything to yield or a scan of `/proc` is due. It is an `epoll` over the connector's descriptor,
//! an `eventfd` that is raised while changes are queued, and a timer for the scan.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::error::Result;
use crate::live::ProcConnector;
use crate::sys::{Epoll, EventFd, TimerFd};

#[derive(Debug)]
pub(super) struct Descriptor {
    epoll: Epoll,
    queued: EventFd,
    rescan: TimerFd,
    /// Whether the timer was started and not turned off since.
    is_timing: AtomicBool,
    /// Whether a caller has obtained the descriptor.
    is_exposed: AtomicBool,
}

impl Descriptor {
    pub(super) fn new(connector: &ProcConnector) -> Result<Self> {
        let (epoll, queued, rescan) = (Epoll::new()?, EventFd::new()?, TimerFd::new()?);
        epoll.add(connector.unpolled_fd(), 0)?;
        epoll.add(queued.as_fd(), 1)?;
        epoll.add(rescan.as_fd(), 2)?;
        let [is_timing, is_exposed] = [(); 2].map(|()| AtomicBool::new(false));
        Ok(Self { epoll, queued, rescan, is_timing, is_exposed })
    }

    /// Makes the descriptor readable if changes are queued, and after `rescan_in`.
    pub(super) fn update(&self, is_queued: bool, rescan_in: Option<Duration>) {
        if self.is_exposed.load(Relaxed) {
            // The calls change the state of valid descriptors, and cannot fail.
            let _ = self.set(is_queued, rescan_in);
        }
    }

    /// Returns the descriptor to a caller, which may poll it from now on.
    pub(super) fn expose(&self) -> BorrowedFd<'_> {
        self.is_exposed.store(true, Relaxed);
        self.epoll.as_fd()
    }

    fn set(&self, is_queued: bool, rescan_in: Option<Duration>) -> io::Result<()> {
        if is_queued != self.queued.is_raised() {
            if is_queued { self.queued.raise()? } else { self.queued.lower()? }
        }
        if rescan_in.is_some() || self.is_timing.load(Relaxed) {
            self.rescan.set(rescan_in)?;
            self.is_timing.store(rescan_in.is_some(), Relaxed);
        }
        Ok(())
    }
}
