//! The connector: one socket that listens.

use std::fmt;
#[cfg(any(feature = "tokio", feature = "async-io"))]
use std::io;
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
#[cfg(any(feature = "tokio", feature = "async-io"))]
use crate::live::transport::Step;
use crate::live::transport::{Intake, Wait};
use crate::stats::{Counters, Stats};
#[cfg(any(feature = "tokio", feature = "async-io"))]
use crate::sys::Gate;
use crate::sys::{EventFd, exists};
use crate::transport_kind::NoRing;

/// A listener to this machine's process events.
///
/// Open one with [`builder`](Self::builder) and read it with [`recv_batch`](Self::recv_batch),
/// which delivers events and losses in the order of the stream:
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
/// [`recv`](Self::recv) and its siblings, which take a buffer, are those of 0.1.5 and can be shared
/// between threads. Use one family or the other on a connector: they read the same queue.
///
/// Dropping a connector tells the kernel, which otherwise would go on paying for its events.
pub struct ProcConnector {
    pub(super) intake: Intake,
    /// Why events do not come through a ring, if they do not.
    pub(super) no_ring: Option<NoRing>,
    pub(super) stash: Stash,
    pub(super) counters: Counters,
    shutdown: Arc<EventFd>,
    pub(super) nonblocking: AtomicBool,
    /// LISTEN requests not yet taken back. Kernels before 6.6 count each.
    pub(super) listens: AtomicU32,
    /// The process that opened it.
    owner: u32,
}

/// Opening and looking.
impl ProcConnector {
    /// Opens a connector that behaves as one of 0.1.5: events come through the socket, and
    /// [`as_raw_fd`](Self::as_raw_fd) is that socket.
    ///
    /// [`builder`](Self::builder) opens one with the defaults of today, which uses the ring where
    /// the kernel allows it.
    ///
    /// # Errors
    ///
    /// As [`Builder::open`].
    pub fn new() -> Result<Self> {
        Self::builder().open_compatible()
    }

    /// Options for a new connector.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new_with(
        intake: Intake,
        no_ring: Option<NoRing>,
        shutdown: EventFd,
        requests: u32,
    ) -> Self {
        let stash = Stash::new(Arc::clone(&intake.notice));
        Self {
            intake,
            no_ring,
            stash,
            counters: Counters::default(),
            shutdown: Arc::new(shutdown),
            nonblocking: AtomicBool::new(false),
            listens: AtomicU32::new(requests),
            owner: std::process::id(),
        }
    }

    /// Totals since the connector was opened.
    pub fn stats(&self) -> Stats {
        let Self { intake, no_ring, counters, .. } = self;
        let mut totals = counters.totals();
        totals.missing = intake.missing();
        totals.refused += intake.refused();
        totals.receive_buffer = intake.buffer();
        totals.receive_buffer_events = intake.buffer_events();
        totals.transport = intake.transport();
        totals.no_ring = *no_ring;
        totals
    }

    /// Changes the filter. Every event that happens from now on and passes the new filter is
    /// delivered once; events queued before passed the old one.
    ///
    /// # Errors
    ///
    /// [`Error::FilterRefused`] or [`Error::RingUnavailable`] if the kernel does not take it; the
    /// old one stays. Over the ring a new program is loaded, so a process that gave up `CAP_BPF`
    /// after opening cannot change its filter any more; over the socket it can.
    pub fn set_filter(&mut self, filter: &Filter) -> Result<()> {
        self.intake.set_filter(filter)
    }

    /// A handle that ends receives from another thread.
    pub fn shutdown_handle(&self) -> Shutdown {
        Shutdown { event: Arc::clone(&self.shutdown) }
    }
}

/// Receiving in batches.
impl ProcConnector {
    /// Waits for something to arrive, then takes all there is, up to a few hundred events.
    ///
    /// The batch borrows the connector's memory; nothing is allocated once the connector has run
    /// for a moment. It may turn out empty, when all that arrived were acknowledgements of other
    /// listeners or forged datagrams.
    ///
    /// # Errors
    ///
    /// [`Error::Shutdown`] once a [`Shutdown`] handle was used, [`Error::WouldBlock`] if the
    /// connector is non-blocking and nothing is there, [`Error::Os`] for what the system says.
    /// Signals do not end the wait.
    pub fn recv_batch(&mut self) -> Result<Batch<'_>> {
        let nonblocking = *self.nonblocking.get_mut();
        if self.fill(if nonblocking { Wait::No } else { Wait::Forever })? {
            Ok(self.batch())
        } else {
            Err(Error::WouldBlock)
        }
    }

    /// The same, but gives up after `timeout` with an empty batch. With [`Duration::ZERO`] it
    /// never waits, and works after a shutdown too.
    ///
    /// # Errors
    ///
    /// As [`recv_batch`](Self::recv_batch), except that it is never [`Error::WouldBlock`].
    pub fn recv_batch_timeout(&mut self, timeout: Duration) -> Result<Batch<'_>> {
        let nonblocking = *self.nonblocking.get_mut();
        self.fill(if nonblocking { Wait::No } else { Wait::for_at_most(timeout) })?;
        Ok(self.batch())
    }

    /// What is left of the batch that was filled last.
    pub(crate) fn batch(&mut self) -> Batch<'_> {
        let (items, selection) = self.intake.items();
        Batch::new(items, selection, &mut self.counters)
    }

    /// Fills the batch, or says what to do before that is possible.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn step(&mut self) -> Result<Step> {
        if self.has_leftovers() { Ok(Step::Filled) } else { self.intake.step() }
    }

    /// Counts a wake-up that the caller waited for.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn woken(&self) {
        self.counters.woken();
    }

    /// A gate before the queue, for a reader that must not block.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn gate(&self) -> io::Result<Gate> {
        Gate::new(self.intake.wakes(), self.shutdown.as_fd())
    }

    /// Whether the batch has something in it that was received before.
    fn has_leftovers(&mut self) -> bool {
        let Self { intake, stash, .. } = self;
        if intake.has_leftovers() {
            return true;
        }
        let Some(Ok(datagram)) = stash.pop(|_| true) else { return false };
        intake.load(&datagram);
        true
    }

    /// Makes sure that the batch has something in it; false if nothing came in time.
    fn fill(&mut self, wait: Wait) -> Result<bool> {
        if self.has_leftovers() {
            return Ok(true);
        }
        // Without a handle there is nobody who could raise it later: `&mut self` makes none.
        let has_handles = Arc::get_mut(&mut self.shutdown).is_none();
        if !matches!(wait, Wait::No) && self.shutdown.is_raised() {
            return Err(Error::Shutdown);
        }
        let shutdown = has_handles.then_some(&*self.shutdown);
        self.intake.fill(wait, shutdown, &self.counters)
    }
}

impl Drop for ProcConnector {
    fn drop(&mut self) {
        // A child of `fork` has the same socket. Its request would end its parent's events.
        if std::process::id() == self.owner || !exists(self.owner) {
            handshake::ignore(&self.intake.socket, *self.listens.get_mut());
        }
    }
}

/// The descriptor to poll: readable while anything is unread.
///
/// This holds on every transport, for callers that read until nothing is left and for those that
/// read one event for each time that the descriptor is readable. The descriptor may also be
/// readable when nothing is there: acknowledgements to other listeners and forged datagrams arrive
/// as events do.
///
/// Over [`Transport::Socket`](crate::Transport::Socket) it is the socket, over
/// [`Transport::Ring`](crate::Transport::Ring) an `epoll` descriptor, which is for polling only.
impl AsFd for ProcConnector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.intake.readable()
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
            .field("fd", &self.intake.wakes().as_raw_fd())
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
    fn a_child_that_drops_a_connector_leaves_its_parent_the_events() {
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
            // What was sent before the child dropped it.
            while connector.recv_timeout(&mut buffer, Duration::ZERO).expect("no error").is_some() {
            }
            thread::spawn(|| {}).join().expect("a thread that ends");
            let event = connector.recv_timeout(&mut buffer, Duration::from_secs(10));
            assert!(event.expect("no error").is_some(), "the kernel still sends events");
        }
    }
}
