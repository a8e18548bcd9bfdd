//! The descriptor that callers poll.
//!
//! Invariant: the descriptor is readable while anything is unread.
//!
//! On the socket transport the descriptor is the socket, and the kernel maintains the invariant for
//! its queue. On the ring transport, the socket does not report all unread events, so the
//! descriptor is an `epoll` over the socket and a [`Notice`]: an `eventfd` that is raised while the
//! ring or the stash holds unread events. Either of them makes the descriptor readable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{Epoll, EventFd};

/// A place whose unread events the socket does not report. The value is a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Ring = 1,
    /// Datagrams that a shared receive put back.
    Stash = 2,
}

/// An `eventfd` that is readable while any [`Unread`] place holds events.
#[derive(Debug)]
pub(crate) struct Notice {
    event: EventFd,
    /// The places that hold unread events, bits of [`Unread`].
    places: AtomicU8,
    /// Held during a change, so that concurrent changes cannot leave the descriptor in a state that
    /// differs from `places`.
    changing: Mutex<()>,
}

impl Notice {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let (event, places) = (EventFd::new()?, AtomicU8::new(0));
        Ok(Arc::new(Self { event, places, changing: Mutex::new(()) }))
    }

    /// Sets whether a place holds unread events. Calls for the same place must not be concurrent.
    ///
    /// Most calls change nothing, and cost a relaxed load.
    #[inline]
    pub(crate) fn set(&self, place: Unread, unread: bool) {
        let is_set = self.places.load(Relaxed) & place as u8 != 0;
        if is_set != unread {
            self.change(place, unread);
        }
    }

    #[cold]
    fn change(&self, place: Unread, unread: bool) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.places.load(Relaxed);
        let now = if unread { before | place as u8 } else { before & !(place as u8) };
        self.places.store(now, Relaxed);
        // The counter alternates between 0 and 1, so neither call can fail.
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

/// The descriptor that callers poll.
#[derive(Debug)]
pub(crate) struct PollFd {
    /// The `epoll` over the socket and the notice. `None` if the socket suffices.
    epoll: Option<Epoll>,
    /// Whether a caller has obtained the descriptor.
    exposed: AtomicBool,
}

impl PollFd {
    /// The socket itself is the descriptor.
    pub(crate) fn socket_only() -> Self {
        Self { epoll: None, exposed: AtomicBool::new(false) }
    }

    /// The descriptor is readable while the socket or the notice is.
    pub(crate) fn socket_and_notice(socket: BorrowedFd<'_>, notice: &Notice) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(socket, 0)?;
        epoll.add(notice.as_fd(), 1)?;
        Ok(Self { epoll: Some(epoll), exposed: AtomicBool::new(false) })
    }

    /// Returns the descriptor to a caller, which may poll it from now on.
    pub(crate) fn expose<'a>(&'a self, socket: &'a impl AsFd) -> BorrowedFd<'a> {
        self.exposed.store(true, Relaxed);
        self.descriptor(socket)
    }

    /// Returns the descriptor to code that does not poll it before a call of
    /// [`expose`](Self::expose).
    #[cfg(feature = "process")]
    pub(crate) fn unpolled<'a>(&'a self, socket: &'a impl AsFd) -> BorrowedFd<'a> {
        self.descriptor(socket)
    }

    fn descriptor<'a>(&'a self, socket: &'a impl AsFd) -> BorrowedFd<'a> {
        self.epoll.as_ref().map_or(socket.as_fd(), Epoll::as_fd)
    }

    /// Whether a caller may be polling the descriptor.
    pub(crate) fn is_exposed(&self) -> bool {
        self.exposed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Notice, Unread};
    use crate::sys::poll_readable;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn a_notice_is_readable_while_any_place_has_unread_events() {
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
