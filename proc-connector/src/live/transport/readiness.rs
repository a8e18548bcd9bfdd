//! The descriptor that callers poll, and the promise behind it: it is readable while anything is
//! unread.
//!
//! The kernel keeps that promise for a socket's queue. What is unread elsewhere, in a ring above all,
//! is announced through an `eventfd` beside the socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{Epoll, EventFd};

/// Where something unread can be that the socket does not announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// In the ring.
    Ring = 1,
    /// Datagrams that were put back by a receive that shares the connector.
    Stash = 2,
}

/// Readable while anything unread was noted.
#[derive(Debug)]
pub(crate) struct Notice {
    event: EventFd,
    unread: AtomicU8,
    /// Held while the set changes, so that the descriptor follows it.
    changing: Mutex<()>,
}

impl Notice {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let (event, unread) = (EventFd::new()?, AtomicU8::new(0));
        Ok(Arc::new(Self { event, unread, changing: Mutex::new(()) }))
    }

    /// ContextPlan whether something is unread there. Each place has a single writer at a time.
    #[inline]
    pub(crate) fn set(&self, place: Unread, unread: bool) {
        let is_set = self.unread.load(Relaxed) & place as u8 != 0;
        if is_set != unread {
            self.change(place, unread);
        }
    }

    #[cold]
    fn change(&self, place: Unread, unread: bool) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.unread.load(Relaxed);
        let now = if unread { before | place as u8 } else { before & !(place as u8) };
        self.unread.store(now, Relaxed);
        // The counter changes between 0 and 1, which the kernel never refuses.
        let _ = match (before, now) {
            (0, 1..) => self.event.raise(),
            (1.., 0) => self.event.lower(),
            _ => Ok(()),
        };
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// What callers poll.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// The socket and the notice together; `None` where events are queued at the socket, which
    /// announces them itself.
    both: Option<Epoll>,
    given_out: AtomicBool,
}

impl Readiness {
    /// The socket itself.
    pub(crate) fn socket_only() -> Self {
        Self { both: None, given_out: AtomicBool::new(false) }
    }

    /// A descriptor that is readable while the socket is, or anything unread was noted.
    pub(crate) fn socket_and_notice(socket: BorrowedFd<'_>, notice: &Notice) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(socket, 0)?;
        epoll.add(notice.as_fd(), 1)?;
        Ok(Self { both: Some(epoll), given_out: AtomicBool::new(false) })
    }

    /// The descriptor for callers, which may poll it from now on.
    pub(crate) fn give_out<'a>(&'a self, socket: &'a impl AsFd) -> BorrowedFd<'a> {
        self.given_out.store(true, Relaxed);
        self.both.as_ref().map_or(socket.as_fd(), Epoll::as_fd)
    }

    /// Whether a caller may be polling.
    pub(crate) fn is_given_out(&self) -> bool {
        self.given_out.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Notice, Unread};
    use crate::sys::poll_readable;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn a_notice_is_readable_while_any_place_has_something_unread() {
        let notice = Notice::new().expect("a descriptor");
        let steps = [
            (Unread::Ring, true, true),
            (Unread::Ring, true, true),
            (Unread::Stash, true, true),
            (Unread::Ring, false, true),
            (Unread::Stash, false, false),
            (Unread::Stash, false, false),
            (Unread::Stash, true, true),
        ];
        for (place, unread, readable) in steps {
            notice.set(place, unread);
            let polled = poll_readable([Some(notice.as_fd())], Some(Duration::ZERO));
            assert_eq!(polled.expect("a poll"), [readable], "{place:?} {unread}");
        }
    }
}
