//! A bound socket with the queue of its transport: the interface of the transports to the rest of
//! the crate.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proc_connector_core::Filter;

use super::item::Item;
#[cfg(any(feature = "tokio", feature = "async-io"))]
use super::moderation::{self, Step};
use super::moderation::{EventQueue as _, Moderator};
use super::readiness::{Notice, PollFd};
use super::ring::{Popped, Records, RingQueue};
use super::selection::Selection;
use super::socket::{Datagrams, SocketQueue};
use super::wait::Deadline;
use crate::error::{Error, Result};
use crate::live::host::processes;
use crate::stats::{Counters, ShareLoss};
use crate::sys::{EventFd, NetlinkSocket, poll_readable};
use crate::transport_kind::Transport;

/// A bound socket and the queue that delivers its events.
///
/// Batched receives use `&mut self`. The methods named `*_shared` are for 0.1.5's receives, which
/// several threads may call at once.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) socket: NetlinkSocket,
    pub(crate) selection: Selection,
    pub(crate) notice: Arc<Notice>,
    poll_fd: PollFd,
    queue: Backend,
    moderator: Moderator,
}

#[derive(Debug)]
enum Backend {
    Socket(SocketQueue),
    /// Locked by shared receives only. Batched receives have exclusive access.
    Ring(Mutex<RingQueue>),
}

/// Iterates over a batch.
#[derive(Debug)]
pub(crate) enum Items<'a> {
    Socket(Datagrams<'a>),
    Ring(Records<'a>),
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Socket(datagrams) => datagrams.next(),
            Self::Ring(records) => records.next(),
        }
    }
}

impl Intake {
    /// A listening socket with a receive buffer of `receive_buffer` bytes. `overrun` is whether the
    /// socket has already dropped events.
    pub(crate) fn socket(
        socket: NetlinkSocket,
        selection: Selection,
        coalesce: Duration,
        notice: Arc<Notice>,
        receive_buffer: usize,
        overrun: bool,
    ) -> Self {
        let queue = Backend::Socket(SocketQueue::new(receive_buffer, overrun));
        let (poll_fd, moderator) = (PollFd::socket_only(), Moderator::new(coalesce));
        Self { socket, selection, notice, poll_fd, queue, moderator }
    }

    /// A listening socket whose events are written to a ring.
    pub(crate) fn ring(
        socket: NetlinkSocket,
        selection: Selection,
        coalesce: Duration,
        notice: Arc<Notice>,
        poll_fd: PollFd,
        queue: RingQueue,
    ) -> Self {
        let (queue, moderator) = (Backend::Ring(Mutex::new(queue)), Moderator::new(coalesce));
        Self { socket, selection, notice, poll_fd, queue, moderator }
    }

    /// The descriptor that becomes readable with the wake-up that the reader requested.
    pub(crate) fn wakeup_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The descriptor for callers to poll, readable while anything is unread.
    pub(crate) fn readable_fd(&self) -> BorrowedFd<'_> {
        self.poll_fd.expose(&self.socket)
    }

    /// The same descriptor, while no caller polls it.
    #[cfg(feature = "process")]
    pub(crate) fn unpolled_fd(&self) -> BorrowedFd<'_> {
        self.poll_fd.unpolled(&self.socket)
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.queue {
            Backend::Socket(_) => Transport::Socket,
            Backend::Ring(_) => Transport::Ring,
        }
    }

    /// The size of the buffer in bytes. For a socket these are bytes of accounted memory.
    pub(crate) fn buffer(&self) -> usize {
        match &self.queue {
            Backend::Socket(queue) => queue.receive_buffer(),
            Backend::Ring(queue) => lock(queue).size(),
        }
    }

    /// How many events the buffer holds.
    pub(crate) fn buffer_events(&self) -> usize {
        match &self.queue {
            Backend::Socket(queue) => queue.capacity(),
            Backend::Ring(queue) => lock(queue).capacity(),
        }
    }

    /// How many datagrams were refused before they reached the queue.
    pub(crate) fn refused(&self) -> u64 {
        match &self.queue {
            Backend::Socket(_) => 0,
            Backend::Ring(queue) => lock(queue).refused(),
        }
    }

    /// Replaces the filter. From now on exactly the events that pass it are queued. Events that are
    /// already queued stay.
    pub(crate) fn set_filter(&mut self, filter: &Filter) -> Result<()> {
        match &mut self.queue {
            Backend::Socket(_) => self.selection.apply(filter, &self.socket),
            Backend::Ring(queue) => {
                // Fails before anything is changed if a root does not exist.
                if !filter.roots().is_empty() {
                    processes::members(filter, |_| false)?;
                }
                let queue = exclusive(queue);
                queue.attach(filter)?;
                self.selection.record_filter(filter);
                match queue.seed() {
                    // It has ended since then, and the queue has its exit.
                    Err(Error::NoSuchProcess { .. }) => Ok(()),
                    result => result,
                }
            }
        }
    }

    /// The cgroups that have exceeded their share.
    pub(crate) fn share_losses(&self) -> Vec<ShareLoss> {
        match &self.queue {
            Backend::Socket(_) => Vec::new(),
            Backend::Ring(queue) => lock(queue).share_losses(),
        }
    }

    /// How many sequence numbers are missing, not counting acknowledgements that did not fit the
    /// ring. `None` if the stream was ever filtered.
    pub(crate) fn missing(&self) -> Option<u64> {
        let missing = self.selection.missing()?;
        Some(match &self.queue {
            Backend::Socket(_) => missing,
            Backend::Ring(queue) => missing.saturating_sub(lock(queue).lost_acks()),
        })
    }

    /// Whether a part of the last batch is unread, and must be read before a new batch.
    pub(crate) fn has_leftovers(&self) -> bool {
        match &self.queue {
            Backend::Socket(queue) => queue.has_leftovers(),
            // Unread records are still in the ring.
            Backend::Ring(_) => false,
        }
    }

    /// Makes a datagram that a shared receive put back the next batch.
    pub(crate) fn load(&mut self, datagram: &[u8]) {
        match &mut self.queue {
            Backend::Socket(queue) => queue.load(datagram),
            // A record holds one message, so no receive puts back a part of it.
            Backend::Ring(_) => {}
        }
    }

    /// Waits for a new batch. Returns false if the deadline passes first.
    pub(crate) fn fill(
        &mut self,
        deadline: Deadline,
        shutdown: Option<&EventFd>,
        counters: &Counters,
    ) -> Result<bool> {
        let polled = self.poll_fd.is_exposed();
        match &mut self.queue {
            Backend::Socket(queue) => self.moderator.fill(
                &mut queue.with_socket(&self.socket, polled),
                deadline,
                shutdown,
                counters,
            ),
            Backend::Ring(queue) => {
                let queue = exclusive(queue);
                let filled = self.moderator.fill(queue, deadline, shutdown, counters)?;
                if polled && filled {
                    queue.announce_next();
                }
                Ok(filled)
            }
        }
    }

    /// Takes a new batch, or returns how the caller must wait before the next call. A nap is too
    /// short for the queue to overflow.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn step(&mut self) -> Result<Step> {
        let polled = self.poll_fd.is_exposed();
        let (step, capacity) = match &mut self.queue {
            Backend::Socket(queue) => {
                let mut queue = queue.with_socket(&self.socket, polled);
                (self.moderator.step(&mut queue)?, queue.capacity())
            }
            Backend::Ring(queue) => {
                let queue = exclusive(queue);
                (self.moderator.step(queue)?, queue.capacity())
            }
        };
        Ok(match step {
            Step::Nap(time) => Step::Nap(time.min(moderation::slice(capacity))),
            step => step,
        })
    }

    /// The rest of the batch, and the selection to apply to it.
    pub(crate) fn items(&mut self) -> (Items<'_>, &mut Selection) {
        let items = match &mut self.queue {
            Backend::Socket(queue) => Items::Socket(queue.datagrams(&self.socket)),
            Backend::Ring(queue) => Items::Ring(exclusive(queue).records()),
        };
        (items, &mut self.selection)
    }

    /// Takes one datagram off the ring, for a shared receive. `None` on the socket transport.
    pub(crate) fn pop_shared(&self, buf: &mut [u8]) -> Result<Option<Popped>> {
        let Backend::Ring(queue) = &self.queue else { return Ok(None) };
        let mut queue = lock(queue);
        let popped = queue.pop(buf)?;
        if !matches!(popped, Popped::Nothing) {
            if self.poll_fd.is_exposed() {
                queue.announce_next();
            }
            self.moderator.record_shared_receive();
        }
        Ok(Some(popped))
    }

    /// How many events the socket dropped since the last report. `None` if unknown.
    pub(crate) fn take_lost(&self) -> Option<u64> {
        match &self.queue {
            Backend::Socket(queue) => queue.take_lost(&self.socket),
            Backend::Ring(_) => None,
        }
    }

    /// Makes a shared receive that found the queue empty wait until a retry may succeed. Returns
    /// false if the deadline has passed and the queue is still empty. The next event then makes the
    /// descriptor readable.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Interrupted`] if a signal arrives.
    pub(crate) fn wait_shared(&self, deadline: Deadline, counters: &Counters) -> io::Result<bool> {
        let remaining = deadline.remaining();
        let is_over = remaining.is_some_and(|left| left.is_zero());
        if let Backend::Ring(queue) = &self.queue {
            if !is_over && self.moderator.nap_shared(|| lock(queue).capacity(), remaining)? {
                return Ok(true);
            }
            if !lock(queue).arm() {
                return Ok(true);
            }
        }
        if is_over {
            return Ok(false);
        }
        let [woken, noticed] =
            poll_readable([Some(self.wakeup_fd()), Some(self.notice.as_fd())], remaining)?;
        if woken || noticed {
            counters.woken();
        }
        Ok(true)
    }
}

fn lock<T>(queue: &Mutex<T>) -> MutexGuard<'_, T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn exclusive<T>(queue: &mut Mutex<T>) -> &mut T {
    queue.get_mut().unwrap_or_else(PoisonError::into_inner)
}
