//! Totals since a connector was opened.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proc_connector_core::EventMask;

use crate::transport_kind::{NoRing, Transport};

/// Totals since the connector was opened, from [`ProcConnector::stats`].
///
/// [`ProcConnector::stats`]: crate::ProcConnector::stats
///
/// ```no_run
/// use proc_connector::{EventMask, ProcConnector};
///
/// let mut events = ProcConnector::builder().open()?;
/// let received = events.recv_batch()?.count();
/// let stats = events.stats();
/// println!("{received} items: {} exits, {} lost", stats.count(EventMask::EXIT), stats.lost);
/// # Ok::<(), proc_connector::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The number of delivered events.
    pub received: u64,
    /// The number of lost events that were reported: the sum of all
    /// [`Lost::count`](crate::Lost::count).
    pub lost: u64,
    /// The number of events missing from the kernel's sequence numbers, which count the events of
    /// each CPU. This is independent of `lost`. Counted by
    /// [`recv_batch`](crate::ProcConnector::recv_batch) on a connector that never had a filter;
    /// `None` on others.
    pub missing: Option<u64>,
    /// The number of datagrams rejected because their sender was not the kernel.
    ///
    /// With the ring transport, this includes truncated events: the filter of another listener can
    /// truncate a datagram for all listeners after it. With the socket transport, each of these is
    /// reported as [`Lost`](crate::Lost).
    pub refused: u64,
    /// How often the connector slept until the kernel woke it.
    pub wake_ups: u64,
    /// The size of the buffer in bytes: the receive buffer that the kernel granted, or the ring.
    pub receive_buffer: usize,
    /// The number of events that fit into the buffer; for a ring, without recorded arguments.
    pub receive_buffer_events: usize,
    /// The transport in use, never [`Transport::Auto`].
    pub transport: Transport,
    /// Why the ring is not in use; `None` if it is.
    pub no_ring: Option<NoRing>,
    /// Whether conditions on the acting task are evaluated in user space. False if the filter has
    /// none, or if the ring's program evaluates them.
    pub user_space_filter: bool,
    kinds: [u64; KINDS],
}

impl Stats {
    /// The number of delivered events of the kinds in `mask`. Bits without a name stand for unknown
    /// kinds.
    ///
    /// ```
    /// # use proc_connector::{EventMask, Stats};
    /// assert_eq!(Stats::default().count(EventMask::FORK | EventMask::EXIT), 0);
    /// ```
    pub fn count(&self, mask: EventMask) -> u64 {
        let by_bit = self.kinds.iter().enumerate();
        by_bit.filter(|&(bit, _)| mask.bits() & (1 << bit) != 0).map(|(_, count)| count).sum()
    }
}

/// The events of a cgroup that exceeded its share, from [`ProcConnector::share_losses`].
///
/// [`ProcConnector::share_losses`]: crate::ProcConnector::share_losses
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShareLoss {
    /// The id of the cgroup: the inode number of its directory in the version 2 hierarchy.
    pub cgroup_id: u64,
    /// The number of events that were lost.
    pub lost: u64,
}

/// One counter for each bit of `what`.
const KINDS: usize = u32::BITS as usize;

/// The counters that receiving updates.
///
/// They are atomic because several threads can receive from one connector. A receive with exclusive
/// access needs no atomic operations.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) lost: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) wake_ups: AtomicU64,
    kinds: [AtomicU64; KINDS],
}

impl Counters {
    /// Counts an event. A `what` with several bits counts at its lowest bit.
    #[inline]
    pub(crate) fn received(&mut self, what: u32) {
        if let Some(count) = self.kinds.get_mut(what.trailing_zeros() as usize) {
            *count.get_mut() += 1;
        }
    }

    /// The same, through a shared reference.
    pub(crate) fn received_shared(&self, what: u32) {
        if let Some(count) = self.kinds.get(what.trailing_zeros() as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn woken(&self) {
        self.wake_ups.fetch_add(1, Relaxed);
    }

    /// The counted totals. The other fields have their defaults.
    pub(crate) fn totals(&self) -> Stats {
        let kinds: [u64; KINDS] = std::array::from_fn(|bit| self.kinds[bit].load(Relaxed));
        Stats {
            received: kinds.iter().sum(),
            lost: self.lost.load(Relaxed),
            refused: self.refused.load(Relaxed),
            wake_ups: self.wake_ups.load(Relaxed),
            kinds,
            ..Stats::default()
        }
    }
}
