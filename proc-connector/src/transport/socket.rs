//! Events through the socket's queue, many with one `recvmmsg`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use proc_connector_core::Notifications;

use super::Item;
use super::pace::Queue;
use crate::error::Result;
use crate::received::{LossCause, Lost};
use crate::sys::{MemInfo, NetlinkSocket, RecvBatch, Source};

/// Datagrams taken with one system call. More save little: the call itself is by then a few
/// percent of what the kernel does for each datagram.
const BATCH: usize = 256;

/// Bytes of receive buffer that the kernel accounts for one queued event.
pub(crate) const QUEUED_EVENT: usize = 832;

/// More than the kernel accounts for any event: what divides a queue's bytes by this counts fewer
/// datagrams than there are.
const QUEUED_EVENT_MAX: u32 = 4096;

/// What is known of a socket's queue, and what was taken off it.
#[derive(Debug)]
pub(super) struct SocketQueue {
    receive_buffer: usize,
    loss: LossMeter,
    batch: Option<RecvBatch>,
    progress: Progress,
    /// The kernel drops events until the queue is empty.
    congested: bool,
    rest: Rest,
}

/// What the last receive says of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// There may be more.
    Some,
    /// It took all there was.
    None,
    /// It found nothing: whoever receives next has waited.
    Awaited,
    /// The batch has what was waited for already.
    Arrived,
}

/// Counts the drops that nobody has been told of.
#[derive(Debug, Default)]
struct LossMeter {
    /// The kernel's counter when somebody was last told.
    told: AtomicU32,
}

impl LossMeter {
    /// The drops since the last call, `None` where the kernel does not count (before 4.12).
    fn take(&self, socket: &NetlinkSocket) -> Option<u64> {
        let drops = socket.mem_info().ok()?.drops;
        Some(drops.wrapping_sub(self.told.swap(drops, Relaxed)).into())
    }
}

/// How far the reading of a batch has come, and what follows it.
#[derive(Debug, Default)]
struct Progress {
    /// The first datagram not read to its end, and how many bytes of it are.
    index: usize,
    offset: usize,
    /// A loss that happened after all of the batch.
    lost_after: Option<Lost>,
}

impl SocketQueue {
    /// The queue of a socket whose buffer has so many bytes, and which may have overrun already.
    pub(super) fn new(receive_buffer: usize, congested: bool) -> Self {
        Self {
            receive_buffer,
            loss: LossMeter::default(),
            batch: None,
            progress: Progress::default(),
            congested,
            rest: Rest::None,
        }
    }

    pub(super) fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Whether the last batch was not read to its end.
    pub(super) fn has_leftovers(&self) -> bool {
        let len = self.batch.as_ref().map_or(0, RecvBatch::len);
        self.progress.index < len || self.progress.lost_after.is_some()
    }

    /// Puts datagrams that were received by other means into the batch, as many as it holds.
    pub(super) fn load<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) -> usize {
        self.progress = Progress::default();
        self.batch.get_or_insert_with(|| RecvBatch::new(BATCH)).load(datagrams)
    }

    /// What is left of the batch.
    pub(super) fn datagrams(&mut self) -> Datagrams<'_> {
        let batch = self.batch.get_or_insert_with(|| RecvBatch::new(BATCH));
        Datagrams::new(batch, &mut self.progress)
    }

    /// Drops since somebody was last told.
    pub(super) fn take_lost(&self, socket: &NetlinkSocket) -> Option<u64> {
        self.loss.take(socket)
    }

    /// The queue with its socket, to be waited for.
    pub(super) fn of<'a>(&'a mut self, socket: &'a NetlinkSocket) -> QueueOf<'a> {
        QueueOf { queue: self, socket }
    }

    /// One system call. After a wait it takes a single event: that is all there is for the most
    /// part, and it is here sooner than with the call for many.
    fn receive(&mut self, socket: &NetlinkSocket) -> io::Result<()> {
        let before = if self.congested { socket.mem_info().ok() } else { None };
        let most = if self.rest == Rest::Awaited { 1 } else { BATCH };
        let limit = before.map_or(most, |info| until_empty(info).min(most));
        let batch = self.batch.get_or_insert_with(|| RecvBatch::new(BATCH));
        let received = batch.receive(socket, limit)?;
        self.rest = if received == limit { Rest::Some } else { Rest::None };
        if let Some(before) = before {
            self.settle_if_emptied(socket, before);
        }
        Ok(())
    }

    /// Places the loss exactly: an overrun kernel drops every event until the queue is empty
    /// (`NETLINK_S_CONGESTED` in `af_netlink.c`). So until then the queue only shrinks, and that
    /// it was emptied shows as zero or, if new events have come since, as anything but less.
    fn settle_if_emptied(&mut self, socket: &NetlinkSocket, before: MemInfo) {
        let Ok(after) = socket.mem_info() else { return };
        if after.rmem_alloc == 0 || after.rmem_alloc >= before.rmem_alloc {
            self.settle(socket);
        }
    }

    /// Notes the loss after what was received; false if there was none after all.
    fn settle(&mut self, socket: &NetlinkSocket) -> bool {
        self.congested = false;
        let count = self.loss.take(socket);
        if count == Some(0) {
            return false;
        }
        self.progress.lost_after = Some(Lost { count, cause: LossCause::Overrun });
        true
    }
}

/// How many datagrams can be taken without emptying a queue that does not grow; at least one.
fn until_empty(info: MemInfo) -> usize {
    (info.rmem_alloc / QUEUED_EVENT_MAX).max(1) as usize
}

/// A socket and its queue.
pub(super) struct QueueOf<'a> {
    queue: &'a mut SocketQueue,
    socket: &'a NetlinkSocket,
}

impl Queue for QueueOf<'_> {
    fn take(&mut self) -> Result<bool> {
        self.queue.progress = Progress::default();
        if self.queue.rest == Rest::Arrived {
            self.queue.rest = Rest::Some;
            return Ok(true);
        }
        loop {
            match self.queue.receive(self.socket) {
                Ok(()) => return Ok(true),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.queue.congested = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.queue.rest = Rest::Awaited;
                    return Ok(self.queue.congested && self.queue.settle(self.socket));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn has_more(&self) -> bool {
        self.queue.rest == Rest::Some
    }

    /// Sockets wake whoever waits for them.
    fn arm(&mut self) -> bool {
        true
    }

    /// To poll first and receive then would take two calls.
    fn wait(&mut self) -> io::Result<bool> {
        let batch = self.queue.batch.get_or_insert_with(|| RecvBatch::new(BATCH));
        match batch.receive_next(self.socket) {
            Ok(_) => {
                self.queue.rest = Rest::Arrived;
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.queue.congested = true;
                Ok(true)
            }
            // Whoever has the descriptor may have changed its mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn wakes(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn capacity(&self) -> usize {
        self.queue.receive_buffer / QUEUED_EVENT
    }

    fn is_filling(&self) -> bool {
        let quarter = self.queue.receive_buffer / 4;
        self.socket.mem_info().is_ok_and(|info| info.rmem_alloc as usize > quarter)
    }
}

/// What one receive brought, message by message.
#[derive(Debug)]
pub(crate) struct Datagrams<'a> {
    batch: &'a RecvBatch,
    progress: &'a mut Progress,
    /// The datagram being read.
    current: Notifications<'a>,
}

/// What follows a datagram.
enum Advance<'a> {
    Next,
    Item(Item<'a>),
    End,
}

impl<'a> Datagrams<'a> {
    fn new(batch: &'a RecvBatch, progress: &'a mut Progress) -> Self {
        let read = progress.offset;
        let mut datagrams = Self { batch, progress, current: Notifications::new(&[]) };
        datagrams.open(read);
        datagrams
    }

    /// Starts on the datagram that `progress` points to, `read` bytes into it.
    fn open(&mut self, read: usize) {
        let bytes = match self.batch.datagram(self.progress.index) {
            Some((Source::Kernel, bytes, len)) if len == bytes.len() => bytes,
            // Forged, cut short or not there: `advance` says which.
            _ => &[],
        };
        self.progress.offset = read;
        self.current = Notifications::new(bytes.get(read..).unwrap_or_default());
    }

    /// Leaves the datagram just read for the next one, with what it has to tell beside events.
    fn advance(&mut self) -> Advance<'a> {
        let Some((source, bytes, len)) = self.batch.datagram(self.progress.index) else {
            let lost_after = self.progress.lost_after.take();
            return lost_after.map_or(Advance::End, |lost| Advance::Item(Item::Lost(lost)));
        };
        self.progress.index += 1;
        self.open(0);
        match source {
            Source::Kernel if len > bytes.len() => {
                Advance::Item(Item::Lost(Lost::one(LossCause::Oversized)))
            }
            Source::Kernel => Advance::Next,
            Source::Process => Advance::Item(Item::Refused),
        }
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            let before = self.current.offset();
            if let Some(message) = self.current.next() {
                self.progress.offset += self.current.offset() - before;
                return Some(Item::Message(message));
            }
            match self.advance() {
                Advance::Next => {}
                Advance::Item(item) => return Some(item),
                Advance::End => return None,
            }
        }
    }
}
