//! The connector: a subscription to process events, and receiving them in batches.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use proc_connector_core::Filter;

use crate::error::{Error, Result};
use crate::live::batch::Batch;
use crate::live::builder::Builder;
use crate::live::handshake;
use crate::live::shutdown::Shutdown;
use crate::live::stash::Stash;
use crate::live::transport::{Deadline, Intake};
use crate::stats::{Counters, ShareLoss, Stats};
use crate::sys::{EventFd, exists};
use crate::transport_kind::NoRing;

/// A subscription to this machine's process events.
///
/// [`builder`](Self::builder) opens it, and [`recv_batch`](Self::recv_batch) delivers events and
/// losses in the order of the stream:
///
/// ```no_run
/// use proc_connector::{ProcConnector, ProcEvent, Received};
///
/// let mut events = ProcConnector::builder().open()?;
/// loop {
///     for received in events.recv_batch()? {
///         match received {
///             Received::Event(event) => println!("{}", ProcEvent::from(event)),
///             Received::Lost(lost) => eprintln!("lost {:?} events", lost.count),
///         }
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), proc_connector::Error>(())
/// ```
///
/// [`recv`](Self::recv) and the other methods that take a buffer are those of 0.1.5, and can be
/// called from several threads at once. On one connector, use either those or
/// [`recv_batch`](Self::recv_batch), because both read the same queue.
///
/// Dropping a connector ends the subscription, so that the kernel stops creating events for it.
pub struct ProcConnector {
    pub(super) intake: Intake,
    /// Why the transport is not the ring. `None` if it is.
    pub(super) no_ring: Option<NoRing>,
    pub(super) stash: Stash,
    pub(super) counters: Counters,
    pub(super) shutdown: Arc<EventFd>,
    pub(super) nonblocking: AtomicBool,
    /// How many LISTEN requests were not followed by an IGNORE request. Kernels before 6.6 count
    /// each.
    pub(super) listens: AtomicU32,
    /// The process that opened the connector.
    owner: u32,
}

/// Opening, options and statistics.
impl ProcConnector {
    /// Opens a connector that behaves like one of 0.1.5: it uses the socket transport, and
    /// [`as_raw_fd`](Self::as_raw_fd) is the socket.
    ///
    /// [`builder`](Self::builder) opens one with this release's defaults, which uses the ring
    /// transport if the kernel allows it.
    ///
    /// # Errors
    ///
    /// As [`Builder::open`].
    pub fn new() -> Result<Self> {
        Self::builder().open_socket(NoRing::Compatibility)
    }

    /// Returns the default options, to change them and open a connector.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `listens` is how many LISTEN requests the kernel has accepted.
    pub(super) fn from_parts(
        intake: Intake,
        no_ring: Option<NoRing>,
        shutdown: EventFd,
        listens: u32,
    ) -> Self {
        let stash = Stash::new(Arc::clone(&intake.notice));
        Self {
            intake,
            no_ring,
            stash,
            counters: Counters::default(),
            shutdown: Arc::new(shutdown),
            nonblocking: AtomicBool::new(false),
            listens: AtomicU32::new(listens),
            owner: std::process::id(),
        }
    }

    /// Returns the totals since the connector was opened, and the transport in use.
    pub fn stats(&self) -> Stats {
        let Self { intake, no_ring, counters, .. } = self;
        let mut totals = counters.totals();
        totals.missing = intake.missing();
        totals.refused += intake.refused();
        totals.receive_buffer = intake.buffer();
        totals.receive_buffer_events = intake.buffer_events();
        totals.transport = intake.transport();
        totals.no_ring = *no_ring;
        totals.user_space_filter = intake.selection.is_in_user_space();
        totals
    }

    /// Replaces the filter. It applies to events from now on; queued events, which passed the old
    /// filter, are still delivered.
    ///
    /// # Errors
    ///
    /// [`Error::FilterRefused`] or [`Error::RingUnavailable`] if the kernel does not accept the new
    /// filter; the old one then stays in place. Over the ring, a new filter requires `CAP_BPF`,
    /// which the process may have dropped after opening, because the filter is part of a BPF
    /// program.
    pub fn set_filter(&mut self, filter: &Filter) -> Result<()> {
        self.intake.set_filter(filter)
    }

    /// Returns the cgroups that lost events because they exceeded their
    /// [share](crate::Builder::share), and the number of these events, since the filter was set. At
    /// most 8,192 cgroups are counted; those without events for the longest time are forgotten first.
    pub fn share_losses(&self) -> Vec<ShareLoss> {
        self.intake.share_losses()
    }

    /// Returns a handle that ends receives from another thread.
    pub fn shutdown_handle(&self) -> Shutdown {
        Shutdown { event: Arc::clone(&self.shutdown) }
    }
}

/// Receiving in batches.
impl ProcConnector {
    /// Waits until an event arrives, then returns all events that have arrived, up to a batch's
    /// limit.
    ///
    /// The limit is 256 events on the socket transport. On the ring transport it is 128 KiB of
    /// records or a quarter of the ring, whichever is less.
    ///
    /// The batch borrows the connector's memory; after the first few batches nothing is allocated.
    /// A batch may be empty: acknowledgements to other listeners and forged datagrams end the wait
    /// but are not delivered.
    ///
    /// # Errors
    ///
    /// - [`Error::Shutdown`] after a [`Shutdown`] handle was used.
    /// - [`Error::WouldBlock`] if the connector is non-blocking and nothing has arrived.
    /// - [`Error::Os`] for any other error of the system.
    ///
    /// A signal does not end the wait.
    pub fn recv_batch(&mut self) -> Result<Batch<'_>> {
        let nonblocking = *self.nonblocking.get_mut();
        if self.fill(if nonblocking { Deadline::Now } else { Deadline::Never })? {
            Ok(self.batch())
        } else {
            Err(Error::WouldBlock)
        }
    }

    /// Like [`recv_batch`](Self::recv_batch), but returns an empty batch if nothing arrives within
    /// `timeout`. With [`Duration::ZERO`] it never waits, and also works after a shutdown.
    ///
    /// # Errors
    ///
    /// As [`recv_batch`](Self::recv_batch), except that it is never [`Error::WouldBlock`].
    pub fn recv_batch_timeout(&mut self, timeout: Duration) -> Result<Batch<'_>> {
        let nonblocking = *self.nonblocking.get_mut();
        self.fill(if nonblocking { Deadline::Now } else { Deadline::after(timeout) })?;
        Ok(self.batch())
    }

    /// Takes the next batch without waiting, also after a shutdown. `None` if nothing has arrived. A
    /// batch is empty if all of its datagrams were refused or are acknowledgements; more can follow it.
    #[cfg(feature = "process")]
    pub(crate) fn try_recv_batch(&mut self) -> Result<Option<Batch<'_>>> {
        Ok(self.fill(Deadline::Now)?.then(|| self.batch()))
    }

    /// Whether receives fail with [`Error::WouldBlock`] instead of waiting.
    #[cfg(feature = "process")]
    pub(crate) fn is_nonblocking(&mut self) -> bool {
        *self.nonblocking.get_mut()
    }

    /// The descriptor that [`as_fd`](AsFd::as_fd) returns, for a caller that polls it only after it
    /// has called `as_fd`, too. Until then, receives need not maintain its readiness.
    #[cfg(feature = "process")]
    pub(crate) fn unpolled_fd(&self) -> BorrowedFd<'_> {
        self.intake.unpolled_fd()
    }

    /// The rest of the batch that was filled last.
    pub(super) fn batch(&mut self) -> Batch<'_> {
        let (items, selection) = self.intake.items();
        Batch::new(items, selection, &mut self.counters)
    }

    /// Makes data that earlier receives left unread, in the last batch or in the stash, the next
    /// batch. Returns false if nothing is left.
    pub(super) fn resume_batch(&mut self) -> bool {
        let Self { intake, stash, .. } = self;
        if intake.has_leftovers() {
            return true;
        }
        let Some(Ok(datagram)) = stash.pop(|_| true) else { return false };
        intake.load(&datagram);
        true
    }

    /// Fills the next batch, first with data left unread. Returns false if nothing arrives before
    /// the deadline.
    fn fill(&mut self, deadline: Deadline) -> Result<bool> {
        if self.resume_batch() {
            return Ok(true);
        }
        if !matches!(deadline, Deadline::Now) && self.shutdown.is_raised() {
            return Err(Error::Shutdown);
        }
        // Without a handle, no shutdown can happen during the wait: `&mut self` prevents creating
        // one.
        let has_handles = Arc::get_mut(&mut self.shutdown).is_none();
        let shutdown = has_handles.then_some(&*self.shutdown);
        self.intake.fill(deadline, shutdown, &self.counters)
    }
}

impl Drop for ProcConnector {
    fn drop(&mut self) {
        // A child of `fork` shares the socket: its IGNORE request would end the subscription of the
        // parent, if that still runs.
        if std::process::id() == self.owner || !exists(self.owner) {
            handshake::ignore(&self.intake.socket, *self.listens.get_mut());
        }
    }
}

/// The descriptor to poll. It is readable while anything is unread.
///
/// This holds over both transports, for callers that read until nothing is left as well as for
/// callers that read one event each time the descriptor is readable. The descriptor may also be
/// readable although no event is unread, because acknowledgements to other listeners and forged
/// datagrams arrive as events do.
///
/// Over [`Transport::Socket`](crate::Transport::Socket) it is the socket. Over
/// [`Transport::Ring`](crate::Transport::Ring) it is an `epoll` descriptor, which can only be
/// polled.
impl AsFd for ProcConnector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.intake.readable_fd()
    }
}

impl AsRawFd for ProcConnector {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for ProcConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcConnector")
            .field("fd", &self.intake.wakeup_fd().as_raw_fd())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::thread;
    use std::time::Duration;

    use super::ProcConnector;
    use crate::sys::run_in_child;
    use crate::transport_kind::Transport;

    #[test]
    fn a_child_that_drops_a_connector_does_not_end_its_parents_subscription() {
        for transport in [Transport::Socket, Transport::Auto] {
            let opened = ProcConnector::builder().transport(transport).open();
            let connector = match opened {
                Ok(connector) => connector,
                Err(error) => {
                    let required = env::var_os("PROC_CONNECTOR_REQUIRE_LIVE").is_some();
                    assert!(!required, "{error}");
                    eprintln!("skipped: {error}");
                    return;
                }
            };
            let mut connector = Some(connector);
            run_in_child(|| drop(connector.take())).expect("a child");
            let connector = connector.expect("the child took its own copy");
            let mut buffer = [0; 128];
            // Skips events from before the drop.
            while connector.recv_timeout(&mut buffer, Duration::ZERO).expect("no error").is_some() {
            }
            thread::spawn(|| {}).join().expect("a thread that ends");
            let event = connector.recv_timeout(&mut buffer, Duration::from_secs(10));
            assert!(event.expect("no error").is_some(), "the kernel still sends events");
        }
    }
}
