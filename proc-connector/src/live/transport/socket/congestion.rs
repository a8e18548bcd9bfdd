//! Finding the position of a loss in the stream after an overrun of the socket.
//!
//! The kernel drops every event from an overrun until the queue is empty (`NETLINK_S_CONGESTED` in
//! `af_netlink.c`). So the loss belongs after the datagram that empties the queue. Meanwhile the
//! queue only shrinks, and its byte count shows when a receive has emptied it: it is zero or, if
//! new events have been queued since, not smaller than before the receive.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::sys::{MemInfo, NetlinkSocket};

/// More bytes than the kernel accounts for any event. A queue's byte count divided by this is at
/// most the number of its datagrams.
const QUEUED_EVENT_MAX: u32 = 4096;

/// The state of a socket between an overrun and the receive that empties its queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Congestion {
    /// The counters at the last check.
    before: Option<MemInfo>,
    /// How many more datagrams can be received before the next check: they cannot empty the queue.
    unchecked: usize,
}

impl Congestion {
    /// Whether the last receive has emptied the queue. Must be called after each receive.
    pub(super) fn is_over(&mut self, socket: &NetlinkSocket) -> bool {
        if self.unchecked > 0 {
            self.unchecked -= 1;
            return false;
        }
        let Ok(now) = socket.mem_info() else { return false };
        if now.rmem_alloc == 0 || self.before.is_some_and(|before| is_emptied(before, now)) {
            return true;
        }
        self.before = Some(now);
        self.unchecked = received_without_emptying(now) - 1;
        false
    }
}

/// A lower bound for how many receives empty the queue, at least 1.
pub(super) fn received_without_emptying(info: MemInfo) -> usize {
    (info.rmem_alloc / QUEUED_EVENT_MAX).max(1) as usize
}

/// Whether the queue of an overrun socket was empty at some time between two checks.
pub(super) fn is_emptied(before: MemInfo, after: MemInfo) -> bool {
    after.rmem_alloc == 0 || after.rmem_alloc >= before.rmem_alloc
}

/// Counts drops that were not reported yet.
#[derive(Debug, Default)]
pub(super) struct LossMeter {
    /// The kernel's counter at the last report.
    reported: AtomicU32,
}

impl LossMeter {
    /// How many events were dropped since the last call. `None` if the kernel does not count drops
    /// (before Linux 4.12).
    pub(super) fn take(&self, socket: &NetlinkSocket) -> Option<u64> {
        let drops = socket.mem_info().ok()?.drops;
        Some(drops.wrapping_sub(self.reported.swap(drops, Relaxed)).into())
    }
}
