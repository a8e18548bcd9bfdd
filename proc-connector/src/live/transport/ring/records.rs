//! Iterating over the records of a ring and the losses between them.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use proc_connector_core::proc_event::Delivery;
use proc_connector_core::{CnMsg, Event, Notification, netlink};
use proc_connector_sys as uapi;

use super::layout::{CONTEXT, LOST, MESSAGE_LEN, WORDS, Word};
use crate::live::transport::item::Item;
use crate::stream::{LossCause, Lost};
use crate::sys::{RecordState, RingBuffer};

/// The most bytes of records in one batch. Their space is released only after the batch.
const BATCH_LEN: usize = 128 << 10;

/// The reader's position in a ring.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The next record to read.
    pub(super) position: usize,
    /// The producers' position when the reader last loaded it.
    pub(super) producer_pos: usize,
    /// The position at which the batch ends.
    batch_end: usize,
    /// The value of `Word::Lost` up to which losses were reported.
    pub(super) reported: u32,
    /// The same of `Word::OverShare` and `Word::Unfollowed`.
    reported_over_share: u32,
    reported_unfollowed: u32,
}

impl Cursor {
    /// Starts a batch in a ring of `size` bytes.
    pub(super) fn start_batch(&mut self, size: usize) {
        self.batch_end = self.position.wrapping_add(BATCH_LEN.min(size / 4));
    }

    #[inline]
    fn is_at_batch_end(&self) -> bool {
        // Positions wrap, so they are compared by their distance.
        self.batch_end.wrapping_sub(self.position).wrapping_sub(1) >= BATCH_LEN
    }

    /// How many events were lost between the previous record and this one, if any.
    ///
    /// Two programs on different CPUs may read the count in one order and reserve their records in
    /// the other. The later record then holds the smaller count, and no new loss.
    #[inline]
    pub(super) fn losses_before(&mut self, record: &[u8]) -> Option<u32> {
        let lost = record.get(LOST..LOST + 4)?.try_into().map(u32::from_ne_bytes).ok()?;
        let is_older = lost.wrapping_sub(self.reported) > u32::MAX / 2;
        if is_older { None } else { self.advance_reported(lost) }
    }

    /// Sets `reported` to `lost` and returns the difference unless it is zero.
    #[inline]
    fn advance_reported(&mut self, lost: u32) -> Option<u32> {
        let new = lost.wrapping_sub(self.reported);
        self.reported = lost;
        (new != 0).then_some(new)
    }
}

/// Iterates over a batch.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    pub(super) ring: &'a RingBuffer,
    pub(super) words: &'a [AtomicU32; WORDS],
    pub(super) cursor: &'a mut Cursor,
}

impl Records<'_> {
    /// How many events were lost after the last record, if any. `None` if a new record has arrived,
    /// whose count reports the loss in the right place.
    #[cold]
    pub(super) fn losses_at_end(&mut self) -> Option<u32> {
        let lost = self.word(Word::Lost).load(Acquire);
        let is_last = self.ring.producer_pos() == self.cursor.position;
        // The word is never older than a record's count. Unlike in `losses_before`, the difference
        // is new however large it is.
        if is_last { self.cursor.advance_reported(lost) } else { None }
    }

    /// The item for events that were lost before the next record. Of each gap, as many events are
    /// attributed to shares as were lost to them since the last report, and only the others to the
    /// full ring.
    #[cold]
    fn lost(&mut self, count: u32) -> Item<'static> {
        let over_share = self.word(Word::OverShare).load(Acquire);
        let over_share = over_share.wrapping_sub(self.cursor.reported_over_share).min(count);
        if over_share == 0 {
            return loss(count, LossCause::Overrun);
        }
        self.cursor.reported_over_share = self.cursor.reported_over_share.wrapping_add(over_share);
        // The rest is reported next.
        self.cursor.reported = self.cursor.reported.wrapping_sub(count - over_share);
        loss(over_share, LossCause::ShareExceeded)
    }

    /// The item for processes that could not be followed since the last report.
    #[cold]
    fn unfollowed(&mut self) -> Option<Item<'static>> {
        let unfollowed = self.word(Word::Unfollowed).load(Relaxed);
        let new = unfollowed.wrapping_sub(self.cursor.reported_unfollowed);
        self.cursor.reported_unfollowed = unfollowed;
        (new != 0).then(|| loss(new, LossCause::Unfollowed))
    }

    #[inline]
    fn word(&self, word: Word) -> &AtomicU32 {
        &self.words[word as usize]
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if self.cursor.is_at_batch_end() {
                return self.unfollowed();
            }
            match self.ring.record_at(self.cursor.position, self.cursor.producer_pos) {
                RecordState::Record(record, next) => {
                    if let Some(lost) = self.cursor.losses_before(record) {
                        return Some(self.lost(lost));
                    }
                    self.cursor.position = next;
                    if let Some(message) = message(record) {
                        return Some(message);
                    }
                }
                RecordState::Discarded(next) => self.cursor.position = next,
                RecordState::Busy | RecordState::Corrupt => return None,
                RecordState::Empty => {
                    let unchanged = self.word(Word::Lost).load(Relaxed) == self.cursor.reported;
                    let lost = if unchanged { None } else { self.losses_at_end() };
                    return match lost {
                        Some(lost) => Some(self.lost(lost)),
                        None => self.unfollowed(),
                    };
                }
            }
        }
    }
}

/// Splits a record into the connector message and the context. The message of a record shorter than
/// that, as the program never writes it, is treated as truncated.
#[inline]
fn split(record: &[u8]) -> (&[u8], &[u8]) {
    let message = record.get(..MESSAGE_LEN).unwrap_or(record);
    (message, record.get(CONTEXT..).unwrap_or_default())
}

/// The message of a record, with its context. `None` for an empty record.
#[inline]
fn message(record: &[u8]) -> Option<Item<'_>> {
    let (message, context) = split(record);
    if let Some(event) = Event::from_kernel_message(message, context) {
        return Some(Item::Message(Ok(Notification::Event(event))));
    }
    other_message(message)
}

/// An acknowledgement, or a message that the program never writes.
#[cold]
fn other_message(message: &[u8]) -> Option<Item<'_>> {
    if message.is_empty() {
        return None;
    }
    let delivery = CnMsg::parse(message).and_then(|cn_msg| Delivery::parse(&cn_msg));
    Some(Item::Message(delivery.map(|delivery| match delivery {
        Delivery::Event(event) => Notification::Event(event),
        Delivery::Ack(ack) => Notification::Ack(ack),
    })))
}

/// Whether a record has an acknowledgement.
pub(super) fn is_ack(record: &[u8]) -> bool {
    matches!(message(record), Some(Item::Message(Ok(Notification::Ack(_)))))
}

/// Writes the datagram of a record to `buffer`, which must be long enough, and returns its length in
/// bytes.
///
/// The record lacks the netlink header, which has the same values in all datagrams that the program
/// accepts, except for the sequence number of the message.
pub(super) fn copy_datagram(record: &[u8], buffer: &mut [u8]) -> usize {
    let (message, _) = split(record);
    let seq = message.get(SEQ..SEQ + 4).unwrap_or(&[0; 4]);
    let len = netlink::HEADER_LEN + message.len();
    #[expect(clippy::cast_possible_truncation, reason = "a datagram is short")]
    let words = [len as u32, u32::from_ne_bytes(message_type())].map(u32::to_ne_bytes);
    let header = [words.as_flattened(), seq, &[0; 4], message];
    let mut rest = &mut *buffer;
    for part in header {
        let (this, after) = rest.split_at_mut(part.len());
        this.copy_from_slice(part);
        rest = after;
    }
    len
}

/// Offset of `cn_msg.seq` in the message.
const SEQ: usize = 8;

/// `nlmsg_type`, and no `nlmsg_flags`.
#[expect(clippy::cast_possible_truncation, reason = "the type has 16 bits")]
fn message_type() -> [u8; 4] {
    let [first, second] = (uapi::NLMSG_DONE as u16).to_ne_bytes();
    [first, second, 0, 0]
}

fn loss(count: u32, cause: LossCause) -> Item<'static> {
    Item::Lost(Lost { count: Some(count.into()), cause })
}

#[cfg(test)]
mod tests {
    use super::super::layout::RECORD_LEN;
    use super::{Cursor, LOST};

    #[test]
    fn counts_out_of_order_report_each_loss_once() {
        let mut cursor = Cursor { reported: u32::MAX - 1, ..Cursor::default() };
        let reported = [u32::MAX, u32::MAX - 1, 2, 1, 2].map(|lost| {
            let mut record = [0; RECORD_LEN];
            record[LOST..LOST + 4].copy_from_slice(&lost.to_ne_bytes());
            cursor.losses_before(&record)
        });
        assert_eq!(reported, [Some(1), None, Some(3), None, None]);
    }

    #[test]
    fn a_batch_ends_at_or_just_after_its_end_position() {
        let mut cursor = Cursor { position: usize::MAX - 7, ..Cursor::default() };
        cursor.start_batch(400);
        let is_over = [0_usize, 96, 100, 104].map(|read| {
            let position = (usize::MAX - 7).wrapping_add(read);
            Cursor { position, batch_end: cursor.batch_end, ..Cursor::default() }.is_at_batch_end()
        });
        assert_eq!(is_over, [false, false, true, true]);
    }
}
