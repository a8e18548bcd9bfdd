//! The socket transport: the kernel queues events at the socket.
//!
//! A batch is received with one `recvmmsg`. For a caller that polls the socket, each datagram is
//! received singly when the reader reaches it, so that unread datagrams stay in the queue that
//! `poll` reports.

mod congestion;
mod datagrams;
mod reading;

pub(crate) use self::datagrams::Datagrams;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use self::congestion::{is_emptied, received_without_emptying};
use self::reading::{MAX_LEN, PartialDatagram, QueueState, Reading};
use super::moderation::EventQueue;
use crate::error::Result;
use crate::sys::{NetlinkSocket, RecvBatch, RecvMode, Sender, poll_readable};

/// The most datagrams in a batch.
const BATCH: usize = 256;

/// Bytes of the receive buffer that the kernel accounts for one queued event.
pub(crate) const QUEUED_EVENT: usize = 832;

/// The reader's side of a socket's queue.
#[derive(Debug)]
pub(super) struct SocketQueue {
    receive_buffer: usize,
    /// The datagrams of a batch that are received singly.
    buffer: Vec<u8>,
    /// The datagrams received with one `recvmmsg`. `None` before the first.
    batch: Option<RecvBatch>,
    reading: Reading,
}

impl SocketQueue {
    /// The queue of a socket with a receive buffer of `receive_buffer` bytes. `overrun` is whether
    /// the socket has already dropped events.
    pub(super) fn new(receive_buffer: usize, overrun: bool) -> Self {
        let reading = Reading::new(overrun);
        Self { receive_buffer, buffer: Vec::new(), batch: None, reading }
    }

    pub(super) fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// How many events the queue holds.
    pub(super) fn capacity(&self) -> usize {
        self.receive_buffer / QUEUED_EVENT
    }

    /// Whether something that was received is unread.
    pub(super) fn has_leftovers(&self) -> bool {
        let received = self.batch.as_ref().map_or(0, RecvBatch::len);
        self.reading.next < received
            || self.reading.partial.is_some()
            || self.reading.pending_loss.is_some()
    }

    /// Makes a datagram that was received elsewhere a batch of its own.
    pub(super) fn load(&mut self, datagram: &[u8]) {
        let len = datagram.len().min(MAX_LEN);
        self.allocated_buffer()[..len].copy_from_slice(&datagram[..len]);
        let is_oversized = len < datagram.len();
        let sender = Sender::Kernel;
        self.reading.partial = Some(PartialDatagram { unread: 0..len, sender, is_oversized });
        self.reading.singles_left = 0;
    }

    /// The rest of the batch.
    pub(super) fn datagrams<'a>(&'a mut self, socket: &'a NetlinkSocket) -> Datagrams<'a> {
        self.allocated_buffer();
        if let Some(partial) = &mut self.reading.partial {
            // Moved to the front, so that the rest of the batch fits after it.
            let len = partial.unread.len();
            self.buffer.copy_within(partial.unread.clone(), 0);
            partial.unread = 0..len;
        }
        let Self { buffer, reading, batch, .. } = self;
        Datagrams::new(socket, reading, batch.as_ref(), buffer)
    }

    /// How many events were dropped since the last report. `None` if unknown.
    pub(super) fn take_lost(&self, socket: &NetlinkSocket) -> Option<u64> {
        self.reading.losses.take(socket)
    }

    /// The queue together with its socket. With `polled`, unread datagrams stay in the socket's
    /// queue, where `poll` sees them.
    pub(super) fn with_socket<'a>(
        &'a mut self,
        socket: &'a NetlinkSocket,
        polled: bool,
    ) -> SocketReader<'a> {
        self.reading.polled = polled;
        SocketReader { queue: self, socket }
    }

    /// The buffer, allocated at the first call.
    fn allocated_buffer(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BATCH * MAX_LEN];
        }
        &mut self.buffer
    }

    /// Receives many datagrams with one `recvmmsg`. Returns false if the queue is empty.
    ///
    /// After an overrun it takes fewer datagrams than the queue holds, if possible: the loss
    /// belongs after the datagram that empties the queue.
    fn receive_batch(&mut self, socket: &NetlinkSocket) -> io::Result<bool> {
        let Self { batch, reading, .. } = self;
        let batch = batch.get_or_insert_with(|| RecvBatch::new(BATCH));
        (reading.next, reading.next_offset) = (0, 0);
        loop {
            let before = reading.congestion.and_then(|_| socket.mem_info().ok());
            let limit = before.map_or(BATCH, |info| received_without_emptying(info).min(BATCH));
            match batch.receive(socket, limit) {
                Ok(received) => {
                    let may_have_more = received == limit;
                    reading.queue =
                        if may_have_more { QueueState::MayHaveMore } else { QueueState::Emptied };
                    let after = before.and_then(|_| socket.mem_info().ok());
                    if let Some((before, after)) = before.zip(after) {
                        if is_emptied(before, after) {
                            reading.settle_loss(socket);
                        }
                    }
                    return Ok(true);
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    reading.congestion.get_or_insert_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    reading.queue = QueueState::FoundEmpty;
                    if reading.congestion.is_some() {
                        reading.settle_loss(socket);
                    }
                    return Ok(reading.pending_loss.is_some());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives the first datagram of a batch. Returns false if none is queued.
    fn receive_first(&mut self, socket: &NetlinkSocket, mode: RecvMode) -> io::Result<bool> {
        self.allocated_buffer();
        let Self { buffer, reading, .. } = self;
        let Some(datagram) = reading.receive(socket, &mut buffer[..MAX_LEN], mode)? else {
            return Ok(false);
        };
        reading.partial = Some(PartialDatagram::new(datagram, 0));
        Ok(true)
    }
}

/// A socket and its queue.
pub(super) struct SocketReader<'a> {
    queue: &'a mut SocketQueue,
    socket: &'a NetlinkSocket,
}

impl EventQueue for SocketReader<'_> {
    fn fetch(&mut self) -> Result<bool> {
        if let Some(error) = self.queue.reading.deferred_error.take() {
            return Err(error.into());
        }
        if self.queue.has_leftovers() {
            return Ok(true);
        }
        self.queue.reading.singles_left = BATCH;
        if self.queue.reading.polled {
            let [readable] = poll_readable([Some(self.socket.as_fd())], Some(Duration::ZERO))?;
            if readable {
                self.queue.reading.queue = QueueState::MayHaveMore;
                return Ok(true);
            }
        }
        self.queue.reading.singles_left = 0;
        // After a wait the queue usually holds a single event, which a plain receive delivers
        // sooner. A datagram that was peeked at must be taken off the queue first.
        let follows_wait = self.queue.reading.queue == QueueState::FoundEmpty;
        if follows_wait || self.queue.reading.peeked {
            let found = self.queue.receive_first(self.socket, RecvMode::NonBlocking)?;
            return Ok(found || self.queue.has_leftovers());
        }
        Ok(self.queue.receive_batch(self.socket)?)
    }

    fn may_have_more(&self) -> bool {
        self.queue.reading.queue == QueueState::MayHaveMore
    }

    /// The kernel wakes a reader of a socket without a request.
    fn arm(&mut self) -> bool {
        true
    }

    /// Waits in a blocking receive, which saves the system call of a poll.
    fn wait_directly(&mut self) -> io::Result<bool> {
        if self.queue.reading.polled {
            return Ok(false);
        }
        self.queue.reading.singles_left = 0;
        let found = self.queue.receive_first(self.socket, RecvMode::Blocking)?;
        // If the program has put the descriptor in non-blocking mode, the receive does not wait and
        // finds nothing.
        Ok(found || self.queue.reading.congestion.is_some())
    }

    fn wakeup_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    fn is_over_quarter_full(&self) -> bool {
        let quarter = self.queue.receive_buffer / 4;
        self.socket.mem_info().is_ok_and(|info| info.rmem_alloc as usize > quarter)
    }
}

#[cfg(test)]
mod tests {
    use proc_connector_core::{EventData, EventRecord, Notification};

    use super::{MAX_LEN, SocketQueue};
    use crate::live::transport::item::Item;
    use crate::stream::LossCause;
    use crate::sys::NetlinkSocket;

    /// A datagram with two events. No kernel sends one, but the format allows it.
    fn two_messages() -> Vec<u8> {
        let mut datagram = Vec::new();
        for seq in [7, 8] {
            let data = EventData::Sid { process_pid: 1, process_tgid: 1 };
            let record = EventRecord { seq, cpu: 0, timestamp_ns: 1, data };
            let mut bytes = [0; EventRecord::MAX_KERNEL_LEN];
            record.encode_native(&mut bytes).expect("capacity");
            // Cut to the used part of the union, so that two events fit `MAX_LEN`.
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
    fn the_unread_part_of_a_datagram_is_in_the_next_batch() {
        let Ok(socket) = NetlinkSocket::new() else { return };
        let mut queue = SocketQueue::new(0, false);
        let datagram = two_messages();
        assert!(datagram.len() <= MAX_LEN, "{} bytes do not fit", datagram.len());
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
