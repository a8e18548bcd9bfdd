//! Reading the records of a ring, and the losses between them.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use proc_connector_core::{Notification, Notifications};

use super::layout::{LOST, RECORD_LEN};
use crate::live::transport::Item;
use crate::stream::{LossCause, Lost};
use crate::sys::{RecordState, RingBuffer};

/// The most bytes that one batch reads: its room is free again only after it.
const BATCH: usize = 128 << 10;

/// How far a ring was read.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The next slot.
    pub(super) position: usize,
    /// Where the writers were when the reader last looked.
    pub(super) written: usize,
    /// Where the batch ends.
    limit: usize,
    /// The losses that somebody was reported of, modulo 2^32.
    pub(super) reported: u32,
}

impl Cursor {
    /// Starts a batch in a ring of so many bytes.
    pub(super) fn start_batch(&mut self, size: usize) {
        self.limit = self.position.wrapping_add(BATCH.min(size / 4));
    }

    fn is_at_limit(&self) -> bool {
        // Positions wrap, so only their distance says which is first.
        self.limit.wrapping_sub(self.position).wrapping_sub(1) >= BATCH
    }

    /// Events lost between the last record and this one. Two programs at once may have read the
    /// count in one order and reserved their records in the other: then this one says nothing new.
    #[inline]
    pub(super) fn lost_before(&mut self, record: &[u8]) -> Option<u32> {
        let lost = record.get(LOST..LOST + 4)?.try_into().map(u32::from_ne_bytes).ok()?;
        let is_from_before = lost.wrapping_sub(self.reported) > u32::MAX / 2;
        if is_from_before { None } else { self.tell(lost) }
    }

    /// Takes note of a count of losses, and says how many are new.
    #[inline]
    fn tell(&mut self, lost: u32) -> Option<u32> {
        let new = lost.wrapping_sub(self.reported);
        self.reported = lost;
        (new != 0).then_some(new)
    }
}

/// What one receive brought, record by record.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    pub(super) ring: &'a RingBuffer,
    /// Events that found no room.
    pub(super) lost: &'a AtomicU32,
    pub(super) cursor: &'a mut Cursor,
}

impl Records<'_> {
    /// Events lost behind the last record, if there is no other behind those.
    pub(super) fn lost_behind(&mut self) -> Option<u32> {
        let lost = self.lost.load(Acquire);
        // What was written meanwhile says by itself what was lost before.
        let is_last = self.ring.producer_pos() == self.cursor.position;
        // No record has a newer count than the word itself, so however far they are apart, the
        // difference is new.
        if is_last { self.cursor.tell(lost) } else { None }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if self.cursor.is_at_limit() {
                return None;
            }
            match self.ring.record_at(self.cursor.position, self.cursor.written) {
                RecordState::Record(record, next) => {
                    if let Some(lost) = self.cursor.lost_before(record) {
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
                    return if unchanged { None } else { self.lost_behind().map(overrun) };
                }
            }
        }
    }
}

/// The datagram of a record, and what is behind it. The program writes no record that is shorter;
/// if there is one, its bytes are a datagram that breaks off.
#[inline]
pub(super) fn split(record: &[u8]) -> (&[u8], &[u8]) {
    record.split_at_checked(LOST).unwrap_or((record, &[]))
}

/// The message of a record, and what was noted behind it. None if there is no byte of one.
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
    fn counts_that_come_in_another_order_are_told_once() {
        let mut cursor = Cursor { reported: u32::MAX - 1, ..Cursor::default() };
        let reported = [u32::MAX, u32::MAX - 1, 2, 1, 2].map(|lost| {
            let mut record = [0; RECORD_LEN];
            record[LOST..].copy_from_slice(&lost.to_ne_bytes());
            cursor.lost_before(&record)
        });
        assert_eq!(reported, [Some(1), None, Some(3), None, None]);
    }

    #[test]
    fn a_batch_ends_at_its_limit_or_behind_it() {
        let mut cursor = Cursor { position: usize::MAX - 7, ..Cursor::default() };
        cursor.start_batch(400);
        let is_over = [0_usize, 96, 100, 104].map(|read| {
            let position = (usize::MAX - 7).wrapping_add(read);
            Cursor { position, limit: cursor.limit, ..Cursor::default() }.is_at_limit()
        });
        assert_eq!(is_over, [false, false, true, true]);
    }
}
