//! Iterating over the records of a ring and the losses between them.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use proc_connector_core::{Notification, Notifications};

use super::layout::{LOST, RECORD_LEN};
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
}

impl Cursor {
    /// Starts a batch in a ring of `size` bytes.
    pub(super) fn start_batch(&mut self, size: usize) {
        self.batch_end = self.position.wrapping_add(BATCH_LEN.min(size / 4));
    }

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
    /// The shared word that counts lost events.
    pub(super) lost: &'a AtomicU32,
    pub(super) cursor: &'a mut Cursor,
}

impl Records<'_> {
    /// How many events were lost after the last record, if any. `None` if a new record has arrived,
    /// whose count reports the loss in the right place.
    pub(super) fn losses_at_end(&mut self) -> Option<u32> {
        let lost = self.lost.load(Acquire);
        let is_last = self.ring.producer_pos() == self.cursor.position;
        // The word is never older than a record's count. Unlike in `losses_before`, the difference
        // is new however large it is.
        if is_last { self.cursor.advance_reported(lost) } else { None }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if self.cursor.is_at_batch_end() {
                return None;
            }
            match self.ring.record_at(self.cursor.position, self.cursor.producer_pos) {
                RecordState::Record(record, next) => {
                    if let Some(lost) = self.cursor.losses_before(record) {
                        return Some(overrun(lost));
                    }
                    self.cursor.position = next;
                    if let Some(message) = message(record) {
                        return Some(message);
                    }
                }
                RecordState::Discarded(next) => self.cursor.position = next,
                RecordState::Busy | RecordState::Corrupt => return None,
                RecordState::Empty => {
                    let unchanged = self.lost.load(Relaxed) == self.cursor.reported;
                    return if unchanged { None } else { self.losses_at_end().map(overrun) };
                }
            }
        }
    }
}

/// Splits a record into the datagram and the rest. A record shorter than a datagram, as the program
/// never writes it, is treated as a truncated datagram.
#[inline]
pub(super) fn split(record: &[u8]) -> (&[u8], &[u8]) {
    record.split_at_checked(LOST).unwrap_or((record, &[]))
}

/// The message of a record, with its context. `None` for an empty record.
#[inline]
fn message(record: &[u8]) -> Option<Item<'_>> {
    let (datagram, rest) = split(record);
    let message = Notifications::new(datagram).next()?;
    Some(Item::Message(match message {
        Ok(Notification::Event(event)) if record.len() > RECORD_LEN => {
            Ok(Notification::Event(event.with_context(&rest[RECORD_LEN - LOST..])))
        }
        message => message,
    }))
}

fn overrun(lost: u32) -> Item<'static> {
    Item::Lost(Lost { count: Some(lost.into()), cause: LossCause::Overrun })
}

#[cfg(test)]
mod tests {
    use super::{Cursor, LOST, RECORD_LEN};

    #[test]
    fn counts_out_of_order_report_each_loss_once() {
        let mut cursor = Cursor { reported: u32::MAX - 1, ..Cursor::default() };
        let reported = [u32::MAX, u32::MAX - 1, 2, 1, 2].map(|lost| {
            let mut record = [0; RECORD_LEN];
            record[LOST..].copy_from_slice(&lost.to_ne_bytes());
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
