//! How events get from the kernel to this process.

mod item;
mod moderation;
mod readiness;
mod ring;
mod selection;
mod socket;
mod wait;

pub(crate) use self::item::Item;
pub(crate) use self::readiness::{Notice, Readiness, Unread};
pub(crate) use self::ring::{ContextPlan, Popped, RingError, RingQueue, event_room};
#[cfg(any(test, fuzzing))]
pub use self::ring::{FakeRing, Seen};
pub(crate) use self::selection::Selection;
pub(crate) use self::socket::QUEUED_EVENT;
pub(crate) use self::wait::Wait;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proc_connector_core::Filter;

use self::moderation::EventQueue as _;
use self::moderation::Moderator;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use self::moderation::Step;
use self::ring::Records;
use self::socket::{Datagrams, SocketQueue};
use crate::error::Result;
use crate::stats::Counters;
use crate::sys::{EventFd, NetlinkSocket, poll_readable};
use crate::transport_kind::Transport;

/// A bound socket, and the queue that its events come through.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) socket: NetlinkSocket,
    pub(crate) selection: Selection,
    pub(crate) notice: Arc<Notice>,
    readiness: Readiness,
    queue: Backend,
    moderator: Moderator,
}

#[derive(Debug)]
enum Backend {
    Socket(SocketQueue),
    /// Locked by the receives that share the connector; the others have it for themselves.
    Ring(Mutex<RingQueue>),
}

/// What one receive brought.
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
    /// A listening socket with a receive buffer of so many bytes, which may have overrun already.
    pub(crate) fn socket(
        socket: NetlinkSocket,
        selection: Selection,
        coalesce: Duration,
        notice: Arc<Notice>,
        receive_buffer: usize,
        overrun: bool,
    ) -> Self {
        let queue = Backend::Socket(SocketQueue::new(receive_buffer, overrun));
        let (readiness, moderator) = (Readiness::socket_only(), Moderator::new(coalesce));
        Self { socket, selection, notice, readiness, queue, moderator }
    }

    /// A listening socket whose events go to a ring.
    pub(crate) fn ring(
        socket: NetlinkSocket,
        selection: Selection,
        coalesce: Duration,
        (notice, readiness): (Arc<Notice>, Readiness),
        queue: RingQueue,
    ) -> Self {
        let (queue, moderator) = (Backend::Ring(Mutex::new(queue)), Moderator::new(coalesce));
        Self { socket, selection, notice, readiness, queue, moderator }
    }

    /// The descriptor that becomes readable with the next event after the reader armed it.
    pub(crate) fn wakes(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What is readable while anything is unread, for callers to poll.
    pub(crate) fn readable(&self) -> BorrowedFd<'_> {
        self.readiness.give_out(&self.socket)
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.queue {
            Backend::Socket(_) => Transport::Socket,
            Backend::Ring(_) => Transport::Ring,
        }
    }

    /// Bytes of the buffer: a socket's as the kernel accounts them, a ring's as they are.
    pub(crate) fn buffer(&self) -> usize {
        match &self.queue {
            Backend::Socket(queue) => queue.receive_buffer(),
            Backend::Ring(queue) => lock(queue).size(),
        }
    }

    /// Events that the buffer holds.
    pub(crate) fn buffer_events(&self) -> usize {
        match &self.queue {
            Backend::Socket(queue) => queue.receive_buffer() / QUEUED_EVENT,
            Backend::Ring(queue) => lock(queue).capacity(),
        }
    }

    /// Datagrams that never got into the queue because no kernel sends them.
    pub(crate) fn refused(&self) -> u64 {
        match &self.queue {
            Backend::Socket(_) => 0,
            Backend::Ring(queue) => lock(queue).refused(),
        }
    }

    /// Puts `filter` in the place of the one before. From now on every event that passes it is
    /// queued and no other; what is queued already was chosen by the filter of its time.
    pub(crate) fn set_filter(&mut self, filter: &Filter) -> Result<()> {
        match &mut self.queue {
            Backend::Socket(_) => self.selection.apply(filter, &self.socket),
            Backend::Ring(queue) => {
                exclusive(queue).attach(filter)?;
                self.selection.note(filter);
                Ok(())
            }
        }
    }

    /// Numbers of the sequence that never came, as far as they are no acknowledgements to others.
    pub(crate) fn missing(&self) -> Option<u64> {
        let missing = self.selection.missing()?;
        Some(match &self.queue {
            Backend::Socket(_) => missing,
            Backend::Ring(queue) => missing.saturating_sub(lock(queue).lost_acks()),
        })
    }

    /// Whether the last batch was not read to its end and could be lost.
    pub(crate) fn has_leftovers(&self) -> bool {
        match &self.queue {
            Backend::Socket(queue) => queue.has_leftovers(),
            // What was not read is still in the ring.
            Backend::Ring(_) => false,
        }
    }

    /// Takes a datagram that was received by other means as the next batch.
    pub(crate) fn load(&mut self, datagram: &[u8]) {
        match &mut self.queue {
            Backend::Socket(queue) => queue.load(datagram),
            // A record is one message, so no receive leaves a part of one behind.
            Backend::Ring(_) => {}
        }
    }

    /// Takes a new batch, and says whether there is anything in it.
    pub(crate) fn fill(
        &mut self,
        wait: Wait,
        shutdown: Option<&EventFd>,
        counters: &Counters,
    ) -> Result<bool> {
        let polled = self.readiness.is_given_out();
        match &mut self.queue {
            Backend::Socket(queue) => self.moderator.fill(
                &mut queue.with_socket(&self.socket, polled),
                wait,
                shutdown,
                counters,
            ),
            Backend::Ring(queue) => {
                let queue = exclusive(queue);
                let filled = self.moderator.fill(queue, wait, shutdown, counters)?;
                if polled && filled {
                    queue.announce_next();
                }
                Ok(filled)
            }
        }
    }

    /// Takes a new batch, or says what to do before there can be one. No nap is so long that the
    /// queue could be full before it is over.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn step(&mut self) -> Result<Step> {
        let polled = self.readiness.is_given_out();
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

    /// What is left of the batch, and the selection to hold it against.
    pub(crate) fn items(&mut self) -> (Items<'_>, &mut Selection) {
        let items = match &mut self.queue {
            Backend::Socket(queue) => Items::Socket(queue.datagrams(&self.socket)),
            Backend::Ring(queue) => Items::Ring(exclusive(queue).records()),
        };
        (items, &mut self.selection)
    }

    /// Takes one datagram off the ring, for a receive that shares the connector; `None` where
    /// there is no ring.
    pub(crate) fn pop_shared(&self, buf: &mut [u8]) -> Result<Option<Popped>> {
        let Backend::Ring(queue) = &self.queue else { return Ok(None) };
        let mut queue = lock(queue);
        let popped = queue.pop(buf)?;
        if !matches!(popped, Popped::Nothing) {
            if self.readiness.is_given_out() {
                queue.announce_next();
            }
            self.moderator.note_shared();
        }
        Ok(Some(popped))
    }

    /// Drops of the socket since the last report.
    pub(crate) fn take_lost(&self) -> Option<u64> {
        match &self.queue {
            Backend::Socket(queue) => queue.take_lost(&self.socket),
            Backend::Ring(_) => None,
        }
    }

    /// Waits, for a receive that shares the connector and found nothing, until it is worth another
    /// try. False if the time is over and there is still nothing, in which case the next event
    /// makes the descriptor readable. Fails when a signal arrives.
    pub(crate) fn wait_shared(&self, wait: Wait, counters: &Counters) -> io::Result<bool> {
        let remaining = wait.remaining();
        let is_over = remaining.is_some_and(|left| left.is_zero());
        if let Backend::Ring(queue) = &self.queue {
            if !is_over && self.moderator.nap_shared(queue, remaining)? {
                return Ok(true);
            }
            if !lock(queue).arm() {
                return Ok(true);
            }
        }
        if is_over {
            return Ok(false);
        }
        let [arrived, left_behind] =
            poll_readable([Some(self.wakes()), Some(self.notice.as_fd())], remaining)?;
        if arrived || left_behind {
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
