//! Events through the socket's queue, many with one `recvmmsg`.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::{Selection, Wait};
use crate::error::{Error, Result};
use crate::received::{Batch, LossCause, Lost, Progress};
use crate::stats::Counters;
use crate::sys::{
    EventFd, MemInfo, NetlinkSocket, RecvBatch, poll_readable, sleep_unless_readable,
};

/// Datagrams taken with one system call. More save little: the call itself is by then a few
/// percent of what the kernel does for each datagram.
const BATCH: usize = 256;

/// Bytes of receive buffer that the kernel accounts for one queued event.
pub(crate) const QUEUED_EVENT: usize = 832;

/// More than the kernel accounts for any event: what divides a queue's bytes by this counts fewer
/// datagrams than there are.
const QUEUED_EVENT_MAX: u32 = 4096;

/// A bound socket and what is known of its queue.
#[derive(Debug)]
pub(crate) struct SocketTransport {
    pub(crate) socket: NetlinkSocket,
    pub(crate) receive_buffer: usize,
    pub(crate) loss: LossMeter,
    pub(crate) selection: Selection,
    coalesce: Duration,
    batch: Option<RecvBatch>,
    progress: Progress,
    /// The kernel drops events until the queue is empty.
    congested: bool,
    /// Something arrived since the last nap.
    busy: bool,
    /// The last receive left something behind, for all that is known.
    more: bool,
}

/// Counts the drops that nobody has been told of.
#[derive(Debug, Default)]
pub(crate) struct LossMeter {
    /// The kernel's counter when somebody was last told.
    told: AtomicU32,
}

impl LossMeter {
    /// The drops since the last call, `None` where the kernel does not count (before 4.12).
    pub(crate) fn take(&self, socket: &NetlinkSocket) -> Option<u64> {
        let drops = socket.mem_info().ok()?.drops;
        Some(drops.wrapping_sub(self.told.swap(drops, Relaxed)).into())
    }
}

impl SocketTransport {
    pub(crate) fn new(
        socket: NetlinkSocket,
        receive_buffer: usize,
        selection: Selection,
        coalesce: Duration,
        congested: bool,
    ) -> Self {
        Self {
            socket,
            receive_buffer,
            loss: LossMeter::default(),
            selection,
            coalesce,
            batch: None,
            progress: Progress::default(),
            congested,
            busy: false,
            more: false,
        }
    }

    /// Whether the last batch was not read to its end.
    pub(crate) fn has_leftovers(&self) -> bool {
        !self.progress.is_done(self.batch.as_ref().map_or(0, RecvBatch::len))
    }

    /// Puts datagrams that were received by other means into the batch, as many as it holds.
    pub(crate) fn load<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) -> usize {
        self.progress = Progress::default();
        self.batch.get_or_insert_with(|| RecvBatch::new(BATCH)).load(datagrams)
    }

    /// What is left of the batch.
    pub(crate) fn batch<'a>(&'a mut self, counters: &'a mut Counters) -> Batch<'a> {
        let batch = self.batch.get_or_insert_with(|| RecvBatch::new(BATCH));
        Batch::new(batch, &mut self.progress, counters, &mut self.selection)
    }

    /// Receives a new batch, and says whether there is anything in it.
    ///
    /// A reader that keeps up with a busy machine would be woken for almost every event, and every
    /// wake-up costs the process that made the event as much as this one. So after a batch it
    /// sleeps without asking to be woken, and only a nap that brought nothing ends in a wait for
    /// the kernel, which wakes it at once.
    pub(crate) fn fill(
        &mut self,
        wait: Wait,
        shutdown: &EventFd,
        counters: &mut Counters,
    ) -> Result<bool> {
        self.progress = Progress::default();
        loop {
            if self.busy && !self.more && !matches!(wait, Wait::No) {
                self.busy = false;
                if self.nap(wait, shutdown)? {
                    return Err(Error::Shutdown);
                }
            }
            match self.receive() {
                Ok(()) => return Ok(true),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.congested = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.more = false;
                    if self.congested && self.settle() {
                        return Ok(true);
                    }
                    if !self.block(wait, shutdown, counters)? {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One `recvmmsg`.
    fn receive(&mut self) -> io::Result<()> {
        let before = if self.congested { self.socket.mem_info().ok() } else { None };
        let limit = before.map_or(BATCH, |info| until_empty(info).min(BATCH));
        let batch = self.batch.get_or_insert_with(|| RecvBatch::new(BATCH));
        let received = batch.receive(&self.socket, limit)?;
        self.busy = true;
        self.more = received == limit;
        if let Some(before) = before {
            self.settle_if_emptied(before);
        }
        Ok(())
    }

    /// Places the loss exactly: an overrun kernel drops every event until the queue is empty
    /// (`NETLINK_S_CONGESTED` in `af_netlink.c`). So until then the queue only shrinks, and that
    /// it was emptied shows as zero or, if new events have come since, as anything but less.
    fn settle_if_emptied(&mut self, before: MemInfo) {
        let Ok(after) = self.socket.mem_info() else { return };
        if after.rmem_alloc == 0 || after.rmem_alloc >= before.rmem_alloc {
            self.settle();
        }
    }

    /// Notes the loss after what was received; false if there was none after all.
    fn settle(&mut self) -> bool {
        self.congested = false;
        let count = self.loss.take(&self.socket);
        if count == Some(0) {
            return false;
        }
        self.progress.lost_after = Some(Lost { count, cause: LossCause::Overrun });
        true
    }

    /// Sleeps for the coalescing time, in slices too short for the fastest machine to fill half
    /// the buffer, and no further once a quarter is full. True if the connector was shut down.
    fn nap(&self, wait: Wait, shutdown: &EventFd) -> Result<bool> {
        let mut left = self.coalesce.min(wait.remaining().unwrap_or(Duration::MAX));
        let events = u64::try_from(self.receive_buffer / QUEUED_EVENT).unwrap_or(u64::MAX);
        let slice = Duration::from_micros(events / 2).max(Duration::from_micros(50));
        while !left.is_zero() {
            if sleep_unless_readable(shutdown.as_fd(), left.min(slice))? {
                return Ok(true);
            }
            left = left.saturating_sub(slice);
            if left.is_zero() || self.quarter_full() {
                break;
            }
        }
        Ok(false)
    }

    fn quarter_full(&self) -> bool {
        self.socket.mem_info().is_ok_and(|info| info.rmem_alloc as usize > self.receive_buffer / 4)
    }

    /// Waits until the kernel has something. False if the time is over.
    fn block(&self, wait: Wait, shutdown: &EventFd, counters: &mut Counters) -> Result<bool> {
        let remaining = wait.remaining();
        if remaining.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        match poll_readable([self.socket.as_fd(), shutdown.as_fd()], remaining) {
            Ok([_, true]) => Err(Error::Shutdown),
            Ok([readable, _]) => {
                *counters.wake_ups.get_mut() += 1;
                Ok(readable)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// How many datagrams can be taken without emptying a queue that does not grow; at least one.
fn until_empty(info: MemInfo) -> usize {
    (info.rmem_alloc / QUEUED_EVENT_MAX).max(1) as usize
}
