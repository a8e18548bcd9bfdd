//! Iterating over a batch of datagrams, message by message.
//!
//! A batch consists of the unread part of the previous batch, the datagrams of a `recvmmsg`, a loss
//! that follows them, and datagrams received singly, in this order. Most batches have only one of
//! these parts.

use std::ops::Range;

use proc_connector_core::Notifications;

use super::reading::{MAX_LEN, PartialDatagram, Reading};
use crate::live::transport::item::Item;
use crate::stream::{LossCause, Lost};
use crate::sys::{NetlinkSocket, RecvBatch, RecvMode, Sender};

/// Iterates over a batch. Each datagram that is received singly is received only after the previous
/// one has been read.
#[derive(Debug)]
pub(crate) struct Datagrams<'a> {
    socket: &'a NetlinkSocket,
    reading: &'a mut Reading,
    batch: Option<&'a RecvBatch>,
    /// The free part of the buffer, after `used` bytes.
    free: &'a mut [u8],
    used: usize,
    /// The range of the current datagram in its buffer.
    range: Range<usize>,
    current: Notifications<'a>,
    /// Whether the rest of the current datagram was kept for the next batch.
    rest_is_kept: bool,
    /// Whether the current datagram was received with `recvmmsg`, and not singly.
    is_in_batch: bool,
}

/// The result of advancing to the next datagram.
enum Advance<'a> {
    Opened,
    Item(Item<'a>),
    End,
}

impl<'a> Datagrams<'a> {
    /// The rest of a batch. Datagrams received singly go to `free`.
    pub(super) fn new(
        socket: &'a NetlinkSocket,
        reading: &'a mut Reading,
        batch: Option<&'a RecvBatch>,
        free: &'a mut [u8],
    ) -> Self {
        Self {
            socket,
            reading,
            batch,
            free,
            used: 0,
            range: 0..0,
            current: Notifications::new(&[]),
            rest_is_kept: false,
            is_in_batch: false,
        }
    }

    /// Opens the next datagram, or returns the item that takes its place.
    #[inline]
    fn advance(&mut self) -> Advance<'a> {
        if let Some(partial) = self.reading.partial.take() {
            return self.open_single(partial);
        }
        let in_batch = self.batch.and_then(|batch| batch.datagram(self.reading.next));
        if let Some((sender, bytes, len)) = in_batch {
            self.reading.next += 1;
            let read = std::mem::take(&mut self.reading.next_offset);
            self.range = read..bytes.len();
            self.is_in_batch = true;
            return self.open(sender, len > bytes.len(), bytes.get(read..).unwrap_or_default());
        }
        if let Some(lost) = self.reading.pending_loss.take() {
            return Advance::Item(Item::Lost(lost));
        }
        let Some(slot) = self.free.get_mut(..MAX_LEN) else { return Advance::End };
        let Some(left) = self.reading.singles_left.checked_sub(1) else { return Advance::End };
        self.reading.singles_left = left;
        match self.reading.receive(self.socket, slot, RecvMode::NonBlocking) {
            Ok(Some(datagram)) => {
                return self.open_single(PartialDatagram::new(datagram, self.used));
            }
            Ok(None) => {}
            Err(error) => self.reading.deferred_error = Some(error),
        }
        self.reading.singles_left = 0;
        // The receive may have found a loss at the end of the queue.
        if self.reading.pending_loss.is_some() { Advance::Opened } else { Advance::End }
    }

    /// Opens a datagram at the start of the free part of the buffer.
    #[inline]
    fn open_single(&mut self, partial: PartialDatagram) -> Advance<'a> {
        let len = partial.unread.len();
        let (bytes, free) = std::mem::take(&mut self.free).split_at_mut(len.next_multiple_of(8));
        self.free = free;
        self.used += len.next_multiple_of(8);
        self.range = partial.unread;
        self.is_in_batch = false;
        let bytes: &'a [u8] = bytes;
        self.open(partial.sender, partial.is_oversized, &bytes[..len])
    }

    #[inline]
    fn open(&mut self, sender: Sender, is_oversized: bool, bytes: &'a [u8]) -> Advance<'a> {
        if sender == Sender::Process {
            return Advance::Item(Item::Refused);
        }
        if is_oversized {
            return Advance::Item(Item::Lost(Lost::single(LossCause::Oversized)));
        }
        self.current = Notifications::new(bytes);
        Advance::Opened
    }

    /// Keeps the part of the current datagram after its first `read` bytes for the next batch, in
    /// case the caller drops this batch now. The descriptor callers poll does not report that part
    /// as unread, which is acceptable because no kernel sends several messages in one datagram.
    #[cold]
    fn keep_rest(&mut self, read: usize) {
        let unread = self.range.start + read..self.range.end;
        let was_kept = std::mem::replace(&mut self.rest_is_kept, !unread.is_empty());
        if self.is_in_batch {
            match (was_kept, self.rest_is_kept) {
                (false, true) => self.reading.next -= 1,
                (true, false) => self.reading.next += 1,
                _ => {}
            }
            self.reading.next_offset = if self.rest_is_kept { unread.start } else { 0 };
            return;
        }
        self.reading.partial = self.rest_is_kept.then_some(PartialDatagram {
            unread,
            sender: Sender::Kernel,
            is_oversized: false,
        });
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(message) = self.current.next() {
                let read = self.current.offset();
                if read < self.range.len() || self.rest_is_kept {
                    self.keep_rest(read);
                }
                return Some(Item::Message(message));
            }
            if self.rest_is_kept {
                self.keep_rest(self.range.len());
            }
            match self.advance() {
                Advance::Opened => {}
                Advance::Item(item) => return Some(item),
                Advance::End => return None,
            }
        }
    }
}
