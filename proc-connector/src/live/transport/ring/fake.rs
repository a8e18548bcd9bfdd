//! A ring without a kernel, for tests: the reader is the real one, and what it reads, lawful or not,
//! is what the test writes.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::Ordering::SeqCst;

use proc_connector_core::{Notification, ParseError};

use super::layout::Word;
use super::records::Cursor;
use super::{Popped, RingQueue};
use crate::error::Result;
use crate::live::transport::Item;
use crate::live::transport::moderation::EventQueue;
use crate::live::transport::readiness::Notice;
use crate::sys::{RingBuffer, SharedWords, Wakeup};

/// A ring's reader, and the other side of its memory.
#[derive(Debug)]
pub struct FakeRing {
    queue: RingQueue,
}

/// What the reader gives.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Seen<'a> {
    /// What is in a record.
    Message(std::result::Result<Notification<'a>, ParseError>),
    /// Events that found no room.
    Lost(u64),
}

#[expect(clippy::missing_errors_doc, reason = "memory has none, and the reader those of its calls")]
impl FakeRing {
    /// A ring of `size` bytes, a power of two and at least a page, which starts at `position`, a
    /// multiple of 8.
    pub fn new(size: usize, position: usize) -> io::Result<Self> {
        let ring = RingBuffer::fake(size, position)?;
        let mut cursor = Cursor::default();
        (cursor.position, cursor.written) = (position, position);
        cursor.start_batch(0);
        let (words, wakeup) =
            (SharedWords::fake()?, Wakeup::new(UnixDatagram::unbound()?.as_fd())?);
        let notice = Notice::new()?;
        let queue = RingQueue { ring, words, cursor, actor: None, context: None, wakeup, notice };
        Ok(Self { queue })
    }

    /// As the kernel: writes `bytes` from `position` on and round the end.
    pub fn write(&mut self, position: usize, bytes: &[u8]) -> io::Result<()> {
        self.queue.ring.fake_write(position, bytes)
    }

    /// As the kernel: gives out all room up to `position`.
    pub fn set_written(&mut self, position: usize) -> io::Result<()> {
        self.queue.ring.fake_producer_pos(position)
    }

    /// As the program: counts events that found no room.
    pub fn set_lost(&mut self, count: u32) {
        self.queue.word(Word::Lost).store(count, SeqCst);
    }

    /// As the program: whether the reader asked for a wake-up, once.
    pub fn disarm(&mut self) -> bool {
        self.queue.word(Word::Armed).swap(0, SeqCst) != 0
    }

    /// As the kernel: up to where the reader gave room back.
    pub fn published(&self) -> io::Result<usize> {
        self.queue.ring.fake_consumer_pos()
    }

    /// Takes a new batch, and says whether there is anything in it.
    pub fn take(&mut self) -> Result<bool> {
        self.queue.take()
    }

    /// The next thing of the batch.
    pub fn read(&mut self) -> Option<Seen<'_>> {
        self.queue.records().next().map(|item| match item {
            Item::Message(message) => Seen::Message(message),
            Item::Lost(lost) => Seen::Lost(lost.count.unwrap_or_default()),
            Item::Refused => unreachable!("a ring refuses in its program"),
        })
    }

    /// Takes one datagram off, and gives its length; or events lost before it.
    pub fn pop(&mut self, buf: &mut [u8]) -> Result<Option<std::result::Result<usize, u32>>> {
        self.queue.pop(buf).map(|popped| match popped {
            Popped::Datagram(len) => Some(Ok(len)),
            Popped::Lost(count) => Some(Err(count)),
            Popped::Nothing => None,
        })
    }

    /// Asks for a wake-up; false if there is something to read first.
    pub fn arm(&mut self) -> bool {
        self.queue.arm()
    }

    /// Whether the last batch left something behind.
    pub fn has_more(&self) -> bool {
        self.queue.has_more()
    }

    /// Whether over a quarter is taken.
    pub fn is_filling(&self) -> bool {
        self.queue.is_filling()
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "rings are small")]
mod tests {
    use std::io::ErrorKind;

    use super::super::layout::{DATAGRAM_LEN, RECORD_LEN};
    use super::{FakeRing, Seen};
    use crate::error::Error;

    const SIZE: usize = 1 << 16;
    const BUSY: u32 = 1 << 31;
    const DISCARDED: u32 = 1 << 30;

    impl FakeRing {
        /// A record of so many zeros, and behind it the end of what was written.
        fn put(&mut self, position: usize, header: u32, room: usize) -> usize {
            let next = position.wrapping_add(room);
            self.write(position, &header.to_ne_bytes()).expect("memory");
            self.set_written(next).expect("memory");
            next
        }
    }

    fn is_corrupt<T>(result: crate::error::Result<T>) -> bool {
        matches!(result, Err(Error::Os(error)) if error.kind() == ErrorKind::InvalidData)
    }

    #[test]
    fn however_many_losses_are_told_once() {
        for lost in [1, u32::MAX / 2, u32::MAX / 2 + 1, u32::MAX] {
            let mut ring = FakeRing::new(SIZE, 0).expect("memory");
            ring.set_lost(lost);
            assert!(ring.take().expect("a ring"));
            assert!(matches!(ring.read(), Some(Seen::Lost(count)) if count == lost.into()));
            assert!(ring.read().is_none() && !ring.take().expect("a ring"), "{lost} once more");

            ring.set_lost(lost.wrapping_add(lost));
            let popped = [(); 2].map(|()| ring.pop(&mut []).expect("a ring"));
            assert_eq!(popped, [Some(Err(lost)), None]);
        }
    }

    #[test]
    fn what_no_kernel_writes_is_an_error_behind_what_it_wrote() {
        let cases = [
            ("longer than what was written", 81, 88),
            ("longer than the ring", SIZE as u32 - 7, SIZE),
            ("as long as can be", DISCARDED - 1, SIZE),
            ("so long, and discarded", DISCARDED | (DISCARDED - 1), SIZE),
            ("a position off the slots", 0, 4),
            ("a position too far on", 8, SIZE + 8),
            ("a position before the reader's", 8, 0_usize.wrapping_sub(8)),
        ];
        for (case, header, room) in cases {
            let mut ring = FakeRing::new(SIZE, SIZE - 88).expect("memory");
            let position = ring.put(SIZE - 88, RECORD_LEN as u32, 88);
            assert!(ring.take().expect("a ring"), "{case}");
            assert!(matches!(ring.read(), Some(Seen::Message(Err(_)))), "{case}");
            ring.put(position, header, room);
            assert!(ring.has_more() || ring.read().is_none(), "{case}");
            for _ in 0..2 {
                assert!(is_corrupt(ring.take()) && is_corrupt(ring.pop(&mut [])), "{case}");
                assert!(ring.read().is_none() && !ring.arm(), "{case}");
            }
            assert_eq!(ring.published().expect("memory"), SIZE, "{case}: what was read is free");
        }
    }

    #[test]
    fn records_that_no_program_writes_are_broken_datagrams() {
        for len in 0..DATAGRAM_LEN {
            let mut ring = FakeRing::new(SIZE, 0).expect("memory");
            let mut position = 0;
            for len in [len, DATAGRAM_LEN, len] {
                position = ring.put(position, len as u32, (8 + len).next_multiple_of(8));
            }
            assert!(ring.take().expect("a ring"));
            // Those without a byte are none at all.
            for _ in 0..if len == 0 { 1 } else { 3 } {
                assert!(matches!(ring.read(), Some(Seen::Message(Err(_)))), "{len} bytes");
            }
            assert!(ring.read().is_none() && !ring.has_more());

            position = ring.put(position, len as u32, (8 + len).next_multiple_of(8));
            let popped = ring.pop(&mut [0; DATAGRAM_LEN]).expect("a ring");
            assert_eq!(popped, Some(Ok(len)));
            assert_eq!(ring.published().expect("memory"), position);
        }
    }

    #[test]
    fn a_reader_waits_for_a_busy_writer_and_skips_what_was_discarded() {
        let mut ring = FakeRing::new(SIZE, 0_usize.wrapping_sub(8)).expect("memory");
        let position = ring.put(0_usize.wrapping_sub(8), DISCARDED | 8, 16);
        let end = ring.put(position, BUSY | RECORD_LEN as u32, SIZE / 2);
        assert!(!ring.take().expect("a ring") && ring.has_more() && ring.is_filling());
        assert!(ring.arm() && ring.disarm() && !ring.disarm());
        ring.put(position, (SIZE / 2 - 8) as u32, SIZE / 2);
        assert!(!ring.arm() && !ring.disarm(), "there is something to read first");
        assert!(ring.take().expect("a ring"));
        assert!(matches!(ring.read(), Some(Seen::Message(Err(_)))));
        assert!(!ring.take().expect("a ring"));
        assert_eq!(ring.published().expect("memory"), end);
    }
}
