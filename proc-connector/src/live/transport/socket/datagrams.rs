//! Reading a batch: the datagrams received together, then those received one by one.

use std::ops::Range;

use proc_connector_core::Notifications;

use super::{Held, MAX_LEN, Reading};
use crate::live::transport::Item;
use crate::stream::{LossCause, Lost};
use crate::sys::{NetlinkSocket, RecvBatch, RecvMode, Sender};

/// A batch, message by message. Each datagram is received when the one before it was read.
#[derive(Debug)]
pub(crate) struct Datagrams<'a> {
    socket: &'a NetlinkSocket,
    reading: &'a mut Reading,
    together: Option<&'a RecvBatch>,
    /// What is left of the buffer.
    room: &'a mut [u8],
    /// How much of the buffer is not.
    used: usize,
    /// Where the current datagram is in the buffer.
    place: Range<usize>,
    current: Notifications<'a>,
    /// A part of the current datagram is held for the next batch.
    is_partial: bool,
    /// The current datagram is of those received together.
    is_of_many: bool,
}

/// What follows a datagram.
enum Advance<'a> {
    Opened,
    Item(Item<'a>),
    End,
}

impl<'a> Datagrams<'a> {
    /// What is left of a batch, with room for what it receives one by one.
    pub(super) fn new(
        socket: &'a NetlinkSocket,
        reading: &'a mut Reading,
        together: Option<&'a RecvBatch>,
        room: &'a mut [u8],
    ) -> Self {
        Self {
            socket,
            reading,
            together,
            room,
            used: 0,
            place: 0..0,
            current: Notifications::new(&[]),
            is_partial: false,
            is_of_many: false,
        }
    }

    /// Starts on the next datagram, or says what comes in its place.
    #[inline]
    fn advance(&mut self) -> Advance<'a> {
        if let Some(held) = self.reading.held.take() {
            return self.open(held);
        }
        let many = self.together.and_then(|together| together.datagram(self.reading.next));
        if let Some((sender, bytes, len)) = many {
            self.reading.next += 1;
            let read = std::mem::take(&mut self.reading.offset);
            self.place = read..bytes.len();
            self.is_of_many = true;
            return self.begin(sender, len > bytes.len(), bytes.get(read..).unwrap_or_default());
        }
        if let Some(lost) = self.reading.lost_after.take() {
            return Advance::Item(Item::Lost(lost));
        }
        let Some(slot) = self.room.get_mut(..MAX_LEN) else { return Advance::End };
        let Some(left) = self.reading.left.checked_sub(1) else { return Advance::End };
        self.reading.left = left;
        match self.reading.receive(self.socket, slot, RecvMode::NonBlocking) {
            Ok(Some(datagram)) => return self.open(Held::new(datagram, self.used)),
            Ok(None) => {}
            Err(error) => self.reading.failed = Some(error),
        }
        self.reading.left = 0;
        // A loss may have been found at the end of the queue.
        if self.reading.lost_after.is_some() { Advance::Opened } else { Advance::End }
    }

    /// Makes a datagram at the start of the room the current one, or says what it is instead.
    #[inline]
    fn open(&mut self, held: Held) -> Advance<'a> {
        let len = held.unread.len();
        let (bytes, room) = std::mem::take(&mut self.room).split_at_mut(len.next_multiple_of(8));
        self.room = room;
        self.used += len.next_multiple_of(8);
        self.place = held.unread;
        self.is_of_many = false;
        let bytes: &'a [u8] = bytes;
        self.begin(held.sender, held.is_oversized, &bytes[..len])
    }

    #[inline]
    fn begin(&mut self, sender: Sender, is_oversized: bool, bytes: &'a [u8]) -> Advance<'a> {
        if sender == Sender::Process {
            return Advance::Item(Item::Refused);
        }
        if is_oversized {
            return Advance::Item(Item::Lost(Lost::single(LossCause::Oversized)));
        }
        self.current = Notifications::new(bytes);
        Advance::Opened
    }

    /// Keeps what follows the first `read` bytes of the current datagram for the next batch, should
    /// this one end here. No kernel sends a datagram of several messages, so the socket does not
    /// have to announce the rest of one.
    #[cold]
    fn hold(&mut self, read: usize) {
        let unread = self.place.start + read..self.place.end;
        let was_partial = std::mem::replace(&mut self.is_partial, !unread.is_empty());
        if self.is_of_many {
            match (was_partial, self.is_partial) {
                (false, true) => self.reading.next -= 1,
                (true, false) => self.reading.next += 1,
                _ => {}
            }
            self.reading.offset = if self.is_partial { unread.start } else { 0 };
            return;
        }
        self.reading.held =
            self.is_partial.then_some(Held { unread, sender: Sender::Kernel, is_oversized: false });
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(message) = self.current.next() {
                let read = self.current.offset();
                if read < self.place.len() || self.is_partial {
                    self.hold(read);
                }
                return Some(Item::Message(message));
            }
            if self.is_partial {
                self.hold(self.place.len());
            }
            match self.advance() {
                Advance::Opened => {}
                Advance::Item(item) => return Some(item),
                Advance::End => return None,
            }
        }
    }
}
