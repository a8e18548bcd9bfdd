//! Events through the socket's queue: many with one `recvmmsg` or, for a caller that polls the socket,
//! each when the reader comes to it, so that what is unread stays where `poll` sees it.

mod datagrams;

pub(crate) use self::datagrams::Datagrams;

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::moderation::EventQueue;
use crate::error::Result;
use crate::stream::{LossCause, Lost};
use crate::sys::{
    Datagram, MemInfo, NetlinkSocket, RecvBatch, RecvMode, SLOT_LEN, Sender, poll_readable,
};

/// The most datagrams in a batch.
const BATCH: usize = 256;

/// The most bytes kept of a datagram.
const MAX_LEN: usize = SLOT_LEN;

/// Bytes of receive buffer that the kernel accounts for one queued event.
pub(crate) const QUEUED_EVENT: usize = 832;

/// More than the kernel accounts for any event: what divides a queue's bytes by this counts fewer
/// datagrams than there are.
const QUEUED_EVENT_MAX: u32 = 4096;

/// The reader's side of a socket's queue.
#[derive(Debug)]
pub(super) struct SocketQueue {
    receive_buffer: usize,
    /// The datagrams of a batch that are received one by one, each behind the other.
    buffer: Vec<u8>,
    /// The datagrams that were received together.
    together: Option<RecvBatch>,
    reading: Reading,
}

/// How far the queue was read.
#[derive(Debug)]
struct Reading {
    loss: LossMeter,
    /// Set while the kernel drops events: from an overrun until the queue is empty.
    congestion: Option<Congestion>,
    /// A loss that happened after everything received so far.
    lost_after: Option<Lost>,
    /// A datagram in the buffer that was not read, or not to its end.
    held: Option<Held>,
    /// The first of the datagrams received together that is unread, and what of it was read.
    next: usize,
    offset: usize,
    /// How many more datagrams the batch may receive one by one.
    left: usize,
    rest: Rest,
    /// Why a batch ended early. The next receive reports it.
    failed: Option<io::Error>,
    /// The caller polls the socket, so that what is unread has to be in its queue.
    polled: bool,
    /// The last datagram is still in the queue.
    peeked: bool,
}

/// What the last receive says of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// There may be more.
    Some,
    /// It took everything.
    Nothing,
    /// It found nothing, so that the next receive follows a wait.
    Awaited,
}

/// A received datagram, and where its unread messages are in the buffer.
#[derive(Debug)]
struct Held {
    unread: Range<usize>,
    sender: Sender,
    is_oversized: bool,
}

/// An overrun kernel drops every event until the queue is empty (`NETLINK_S_CONGESTED` in
/// `af_netlink.c`). Until then the queue only shrinks; that it was emptied shows as no bytes or, if
/// new events have come since, as no fewer bytes than before.
#[derive(Clone, Copy, Debug, Default)]
struct Congestion {
    /// The counters at the last look.
    before: Option<MemInfo>,
    /// How many datagrams can be received for sure without emptying the queue.
    certain: usize,
}

/// Counts the drops that were not reported yet.
#[derive(Debug, Default)]
struct LossMeter {
    /// The kernel's counter at the last report.
    reported: AtomicU32,
}

impl LossMeter {
    /// The drops since the last call, `None` where the kernel does not count (before 4.12).
    fn take(&self, socket: &NetlinkSocket) -> Option<u64> {
        let drops = socket.mem_info().ok()?.drops;
        Some(drops.wrapping_sub(self.reported.swap(drops, Relaxed)).into())
    }
}

impl SocketQueue {
    /// The queue of a socket whose buffer has so many bytes, and which may have overrun already.
    pub(super) fn new(receive_buffer: usize, overrun: bool) -> Self {
        Self {
            receive_buffer,
            buffer: Vec::new(),
            together: None,
            reading: Reading {
                loss: LossMeter::default(),
                congestion: overrun.then(Congestion::default),
                lost_after: None,
                held: None,
                next: 0,
                offset: 0,
                left: 0,
                rest: Rest::Nothing,
                failed: None,
                polled: false,
                peeked: false,
            },
        }
    }

    pub(super) fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Whether something that was received is unread.
    pub(super) fn has_leftovers(&self) -> bool {
        let received = self.together.as_ref().map_or(0, RecvBatch::len);
        self.reading.next < received
            || self.reading.held.is_some()
            || self.reading.lost_after.is_some()
    }

    /// Puts a datagram that was received by other means into the buffer, as a batch of its own.
    pub(super) fn load(&mut self, datagram: &[u8]) {
        let len = datagram.len().min(MAX_LEN);
        self.room()[..len].copy_from_slice(&datagram[..len]);
        let is_oversized = len < datagram.len();
        self.reading.held = Some(Held { unread: 0..len, sender: Sender::Kernel, is_oversized });
        self.reading.left = 0;
    }

    /// What is left of the batch.
    pub(super) fn datagrams<'a>(&'a mut self, socket: &'a NetlinkSocket) -> Datagrams<'a> {
        self.room();
        if let Some(held) = &mut self.reading.held {
            // To the front, so that the rest of the batch finds room behind it.
            let len = held.unread.len();
            self.buffer.copy_within(held.unread.clone(), 0);
            held.unread = 0..len;
        }
        let Self { buffer, reading, together, .. } = self;
        Datagrams::new(socket, reading, together.as_ref(), buffer)
    }

    /// Drops since the last report.
    pub(super) fn take_lost(&self, socket: &NetlinkSocket) -> Option<u64> {
        self.reading.loss.take(socket)
    }

    /// The queue with its socket, to wait for it. With `polled`, what is unread stays in the
    /// socket's queue, where `poll` sees it.
    pub(super) fn with_socket<'a>(
        &'a mut self,
        socket: &'a NetlinkSocket,
        polled: bool,
    ) -> SocketReader<'a> {
        self.reading.polled = polled;
        SocketReader { queue: self, socket }
    }

    /// The buffer, which exists from the first batch on.
    fn room(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BATCH * MAX_LEN];
        }
        &mut self.buffer
    }

    /// Receives many datagrams with one call; false if there are none.
    ///
    /// An overrun socket is not emptied by such a call: where that happens a loss has its place.
    fn receive_together(&mut self, socket: &NetlinkSocket) -> io::Result<bool> {
        let Self { together, reading, .. } = self;
        let together = together.get_or_insert_with(|| RecvBatch::new(BATCH));
        (reading.next, reading.offset) = (0, 0);
        loop {
            let before = reading.congestion.and_then(|_| socket.mem_info().ok());
            let limit = before.map_or(BATCH, |info| until_empty(info).min(BATCH));
            match together.receive(socket, limit) {
                Ok(received) => {
                    reading.rest = if received == limit { Rest::Some } else { Rest::Nothing };
                    if let Some((before, after)) = before.zip(socket_after(before, socket)) {
                        if is_emptied(before, after) {
                            reading.settle(socket);
                        }
                    }
                    return Ok(true);
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    reading.congestion.get_or_insert_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    reading.rest = Rest::Awaited;
                    if reading.congestion.is_some() {
                        reading.settle(socket);
                    }
                    return Ok(reading.lost_after.is_some());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives the first datagram of a batch; false if there is none.
    fn receive_first(&mut self, socket: &NetlinkSocket, mode: RecvMode) -> io::Result<bool> {
        self.room();
        let Self { buffer, reading, .. } = self;
        let Some(datagram) = reading.receive(socket, &mut buffer[..MAX_LEN], mode)? else {
            return Ok(false);
        };
        reading.held = Some(Held::new(datagram, 0));
        Ok(true)
    }
}

impl Held {
    fn new(datagram: Datagram, start: usize) -> Self {
        let Datagram { len, sender } = datagram;
        let unread = start..start + len.min(MAX_LEN);
        Self { unread, sender, is_oversized: len > MAX_LEN }
    }
}

impl Reading {
    /// Receives a datagram into `slot`; `None` if there is none, or a loss before the next.
    fn receive(
        &mut self,
        socket: &NetlinkSocket,
        slot: &mut [u8],
        mode: RecvMode,
    ) -> io::Result<Option<Datagram>> {
        loop {
            // A loss may be found behind the datagram. Until it is, the datagram stays in the queue
            // of a caller that polls, for which nothing else would announce the loss.
            let peeks = self.polled && self.congestion.is_some() && !self.peeked;
            let mode = if peeks { RecvMode::Peek } else { mode };
            match socket.recv(slot, mode) {
                Ok(datagram) => {
                    self.rest = Rest::Some;
                    if self.congestion.is_some() && !peeks {
                        self.look_at_congestion(socket);
                    }
                    let was_read = std::mem::replace(&mut self.peeked, peeks);
                    if !was_read {
                        return Ok(Some(datagram));
                    }
                    if self.lost_after.is_some() {
                        return Ok(None);
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.congestion.get_or_insert_default();
                    if mode == RecvMode::Blocking {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rest = Rest::Awaited;
                    if self.congestion.is_some() {
                        self.settle(socket);
                    }
                    return Ok(None);
                }
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted && mode != RecvMode::Blocking => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks whether the datagram just received was the last before the kernel stopped dropping.
    fn look_at_congestion(&mut self, socket: &NetlinkSocket) {
        let Some(congestion) = &mut self.congestion else { return };
        if congestion.certain > 0 {
            congestion.certain -= 1;
            return;
        }
        let Ok(now) = socket.mem_info() else { return };
        if now.rmem_alloc == 0 || congestion.before.is_some_and(|before| is_emptied(before, now)) {
            return self.settle(socket);
        }
        congestion.before = Some(now);
        congestion.certain = until_empty(now) - 1;
    }

    /// ContextPlan the loss behind all that was received.
    fn settle(&mut self, socket: &NetlinkSocket) {
        self.congestion = None;
        let count = self.loss.take(socket);
        if count != Some(0) {
            self.lost_after = Some(Lost { count, cause: LossCause::Overrun });
        }
    }
}

/// How many datagrams can be taken without emptying a queue that does not grow; at least one.
fn until_empty(info: MemInfo) -> usize {
    (info.rmem_alloc / QUEUED_EVENT_MAX).max(1) as usize
}

/// The counters after a receive, where those before it were looked at.
fn socket_after(before: Option<MemInfo>, socket: &NetlinkSocket) -> Option<MemInfo> {
    before.and_then(|_| socket.mem_info().ok())
}

/// Whether an overrun socket was emptied between two looks at its counters.
fn is_emptied(before: MemInfo, after: MemInfo) -> bool {
    after.rmem_alloc == 0 || after.rmem_alloc >= before.rmem_alloc
}

/// A socket and its queue.
pub(super) struct SocketReader<'a> {
    queue: &'a mut SocketQueue,
    socket: &'a NetlinkSocket,
}

impl EventQueue for SocketReader<'_> {
    fn take(&mut self) -> Result<bool> {
        if let Some(error) = self.queue.reading.failed.take() {
            return Err(error.into());
        }
        if self.queue.has_leftovers() {
            return Ok(true);
        }
        self.queue.reading.left = BATCH;
        if self.queue.reading.polled {
            let [readable] = poll_readable([Some(self.socket.as_fd())], Some(Duration::ZERO))?;
            if readable {
                self.queue.reading.rest = Rest::Some;
                return Ok(true);
            }
        }
        self.queue.reading.left = 0;
        // After a wait there is a single event for the most part, which is received sooner alone. And a
        // datagram that was peeked at has to be taken off the queue first.
        if self.queue.reading.rest == Rest::Awaited || self.queue.reading.peeked {
            let found = self.queue.receive_first(self.socket, RecvMode::NonBlocking)?;
            return Ok(found || self.queue.has_leftovers());
        }
        Ok(self.queue.receive_together(self.socket)?)
    }

    fn has_more(&self) -> bool {
        self.queue.reading.rest == Rest::Some
    }

    /// The kernel wakes every process that waits for a socket.
    fn arm(&mut self) -> bool {
        true
    }

    /// Receives while it waits, which saves a system call against a poll before it.
    fn wait(&mut self) -> io::Result<bool> {
        if self.queue.reading.polled {
            return Ok(false);
        }
        self.queue.reading.left = 0;
        let found = self.queue.receive_first(self.socket, RecvMode::Blocking)?;
        // The owner of the descriptor may have put it into non-blocking mode.
        Ok(found || self.queue.reading.congestion.is_some())
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

#[cfg(test)]
mod tests {
    use proc_connector_core::{EventData, EventRecord, Notification};

    use super::{MAX_LEN, SocketQueue};
    use crate::live::transport::Item;
    use crate::stream::LossCause;
    use crate::sys::NetlinkSocket;

    /// Two events in one datagram, as no kernel sends them but every parser takes them.
    fn two_messages() -> Vec<u8> {
        let mut datagram = Vec::new();
        for seq in [7, 8] {
            let data = EventData::Sid { process_pid: 1, process_tgid: 1 };
            let record = EventRecord { seq, cpu: 0, timestamp_ns: 1, data };
            let mut bytes = [0; EventRecord::MAX_KERNEL_LEN];
            record.encode_native(&mut bytes).expect("capacity");
            // Without the rest of the union, so that two fit what is kept of a datagram.
            let (len, payload) = (60_u32, 24_u16);
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            bytes[32..34].copy_from_slice(&payload.to_ne_bytes());
            datagram.extend_from_slice(&bytes[..60]);
        }
        datagram
    }

    fn seq(item: Option<Item<'_>>) -> Option<u32> {
        match item? {
            Item::Message(Ok(Notification::Event(event))) => Some(event.seq()),
            _ => None,
        }
    }

    #[test]
    fn what_a_batch_leaves_of_a_datagram_comes_with_the_next() {
        let Ok(socket) = NetlinkSocket::new() else { return };
        let mut queue = SocketQueue::new(0, false);
        let datagram = two_messages();
        assert!(datagram.len() <= MAX_LEN, "{} bytes are kept whole", datagram.len());
        queue.load(&datagram);
        assert!(queue.has_leftovers());
        assert_eq!(seq(queue.datagrams(&socket).next()), Some(7));
        assert!(queue.has_leftovers());
        let mut rest = queue.datagrams(&socket);
        assert_eq!(seq(rest.next()), Some(8));
        assert!(rest.next().is_none());
        assert!(!queue.has_leftovers());
    }

    #[test]
    fn a_datagram_longer_than_any_event_is_a_loss() {
        let Ok(socket) = NetlinkSocket::new() else { return };
        let mut queue = SocketQueue::new(0, false);
        queue.load(&[0; MAX_LEN + 1]);
        let mut datagrams = queue.datagrams(&socket);
        match datagrams.next() {
            Some(Item::Lost(lost)) => assert_eq!(lost.cause, LossCause::Oversized),
            _ => panic!("no loss"),
        }
        assert!(datagrams.next().is_none());
    }
}
