//! Totals since a connector was opened.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proc_connector_core::EventMask;

use crate::transport_kind::{NoRing, Transport};

/// Totals since the connector was opened, from [`ProcConnector::stats`].
///
/// [`ProcConnector::stats`]: crate::ProcConnector::stats
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events delivered.
    pub received: u64,
    /// Events that could not be delivered, as far as that was told: the sum of all
    /// [`Lost::count`](crate::Lost::count).
    pub lost: u64,
    /// Events missing by the sequence numbers that the kernel counts on each CPU: another view on
    /// `lost`, from [`recv_batch`](crate::ProcConnector::recv_batch) on a connector that never had
    /// a filter; `None` on others.
    pub missing: Option<u64>,
    /// Datagrams refused because a process, not the kernel, had sent them.
    ///
    /// Over the ring, events that came cut short are among them: what the filter of another
    /// listener cuts off is missing for those behind it too. Over the socket each is a
    /// [`Lost`](crate::Lost).
    pub refused: u64,
    /// Times the connector slept until the kernel woke it.
    pub wake_ups: u64,
    /// Bytes of the buffer: what the kernel granted of a receive buffer, or the size of a ring.
    pub receive_buffer: usize,
    /// Events that the buffer holds; in a ring, those that have no arguments noted.
    pub receive_buffer_events: usize,
    /// How events get here: never [`Transport::Auto`].
    pub transport: Transport,
    /// Why they do not come through a ring; `None` if they do.
    pub no_ring: Option<NoRing>,
    kinds: [u64; KINDS],
}

impl Stats {
    /// Events delivered of the kinds in `mask`; bits without a name count the unknown kinds.
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

/// One for each bit of `what`.
const KINDS: usize = u32::BITS as usize;

/// The counters that receiving moves on.
///
/// Atomic for the receives that share the connector; those that have it for themselves pass
/// `&mut` and pay for no atomic operation.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) lost: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) wake_ups: AtomicU64,
    kinds: [AtomicU64; KINDS],
}

impl Counters {
    /// Counts an event; a `what` of several bits counts at its lowest.
    #[inline]
    pub(crate) fn received(&mut self, what: u32) {
        if let Some(count) = self.kinds.get_mut(what.trailing_zeros() as usize) {
            *count.get_mut() += 1;
        }
    }

    /// The same, shared.
    pub(crate) fn received_shared(&self, what: u32) {
        if let Some(count) = self.kinds.get(what.trailing_zeros() as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Counts a wake-up.
    pub(crate) fn woken(&self) {
        self.wake_ups.fetch_add(1, Relaxed);
    }

    /// The counters, with the rest at its defaults.
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
