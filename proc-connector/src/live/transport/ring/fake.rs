//! A ring without a kernel, for tests and fuzzing: the real reader over memory to which the test
//! writes in place of the kernel and the program, including contents that no kernel writes.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::Ordering::SeqCst;

use proc_connector_core::{Notification, ParseError};

use super::choice::Limits;
use super::helpers::SenderCheck;
use super::layout::Word;
use super::queue::{Popped, RingQueue};
use super::records::Cursor;
use crate::error::Result;
use crate::live::transport::item::Item;
use crate::live::transport::moderation::EventQueue;
use crate::live::transport::readiness::Notice;
use crate::sys::{CpuBuffers, ProgramSlot, RingBuffer, SharedWords, Wakeup};

/// A ring's reader, with access to the kernel's side of its memory.
#[derive(Debug)]
pub struct FakeRing {
    queue: RingQueue,
}

/// An item that the reader returned.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Seen<'a> {
    /// The contents of a record.
    Message(std::result::Result<Notification<'a>, ParseError>),
    /// How many events were lost.
    Lost(u64),
}

#[expect(clippy::missing_errors_doc, reason = "the errors are those of the calls they wrap")]
impl FakeRing {
    /// Creates a ring of `size` bytes, a power of two and at least a page, with both positions at
    /// `position`, a multiple of 8.
    pub fn new(size: usize, position: usize) -> io::Result<Self> {
        let ring = RingBuffer::fake(size, position)?;
        let mut cursor = Cursor::default();
        (cursor.position, cursor.producer_pos) = (position, position);
        cursor.start_batch(0);
        let (words, wakeup) =
            (SharedWords::fake()?, Wakeup::new(UnixDatagram::unbound()?.as_fd())?);
        let notice = Notice::new()?;
        let queue = RingQueue {
            ring,
            words,
            cursor,
            check: SenderCheck::FormOnly,
            context: Box::default(),
            choice_plan: Box::default(),
            choice: Box::default(),
            limits: Limits::default(),
            buffers: CpuBuffers::fake()?,
            slot: ProgramSlot::fake()?,
            wakeup,
            notice,
        };
        Ok(Self { queue })
    }

    /// As the kernel: writes `bytes` at `position`, wrapping at the end of the ring.
    pub fn write(&mut self, position: usize, bytes: &[u8]) -> io::Result<()> {
        self.queue.ring.fake_write(position, bytes)
    }

    /// As the kernel: sets the producers' position.
    pub fn set_written(&mut self, position: usize) -> io::Result<()> {
        self.queue.ring.fake_producer_pos(position)
    }

    /// As the program: sets the count of lost events.
    pub fn set_lost(&mut self, count: u32) {
        self.queue.word(Word::Lost).store(count, SeqCst);
    }

    /// As the program: disarms the ring, and returns whether it was armed.
    pub fn disarm(&mut self) -> bool {
        self.queue.word(Word::Armed).swap(0, SeqCst) != 0
    }

    /// As the kernel: the consumer's position.
    pub fn published(&self) -> io::Result<usize> {
        self.queue.ring.fake_consumer_pos()
    }

    /// Starts a batch, and returns whether it holds anything.
    pub fn take(&mut self) -> Result<bool> {
        self.queue.fetch()
    }

    /// The next item of the batch.
    pub fn read(&mut self) -> Option<Seen<'_>> {
        self.queue.records().next().map(|item| match item {
            Item::Message(message) => Seen::Message(message),
            Item::Lost(lost) => Seen::Lost(lost.count.unwrap_or_default()),
            Item::Refused => unreachable!("the program refuses forged datagrams"),
        })
    }

    /// Takes the next datagram and returns its length, or the number of events lost before it.
    pub fn pop(&mut self, buf: &mut [u8]) -> Result<Option<std::result::Result<usize, u32>>> {
        self.queue.pop(buf).map(|popped| match popped {
            Popped::Datagram(len) => Some(Ok(len)),
            Popped::Lost(count) => Some(Err(count)),
            Popped::Nothing => None,
        })
    }

    /// Requests a wake-up. Returns false if there is something to read first.
    pub fn arm(&mut self) -> bool {
        self.queue.arm()
    }

    /// Whether the last batch left records unread.
    pub fn has_more(&self) -> bool {
        self.queue.may_have_more()
    }

    /// Whether over a quarter of the ring is in use.
    pub fn is_filling(&self) -> bool {
        self.queue.is_over_quarter_full()
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "rings are small")]
mod tests {
    use std::io::ErrorKind;

    use proc_connector_core::netlink::HEADER_LEN;

    use super::super::layout::{DATAGRAM_LEN, MESSAGE_LEN, RECORD_LEN};
    use super::{FakeRing, Seen};
    use crate::error::Error;

    const SIZE: usize = 1 << 16;
    /// A record with the kernel's header.
    const TOTAL_LEN: usize = 8 + RECORD_LEN;
    const BUSY: u32 = 1 << 31;
    const DISCARDED: u32 = 1 << 30;

    impl FakeRing {
        /// Writes a record's header, and moves the producers' position `total_len` bytes after it.
        fn put(&mut self, position: usize, header: u32, total_len: usize) -> usize {
            let next = position.wrapping_add(total_len);
            self.write(position, &header.to_ne_bytes()).expect("memory");
            self.set_written(next).expect("memory");
            next
        }
    }

    fn is_corrupt<T>(result: crate::error::Result<T>) -> bool {
        matches!(result, Err(Error::Os(error)) if error.kind() == ErrorKind::InvalidData)
    }

    #[test]
    fn any_number_of_losses_is_reported_once() {
        for lost in [1, u32::MAX / 2, u32::MAX / 2 + 1, u32::MAX] {
            let mut ring = FakeRing::new(SIZE, 0).expect("memory");
            ring.set_lost(lost);
            assert!(ring.take().expect("a ring"));
            assert!(matches!(ring.read(), Some(Seen::Lost(count)) if count == u64::from(lost)));
            assert!(
                ring.read().is_none() && !ring.take().expect("a ring"),
                "{lost} reported twice"
            );

            ring.set_lost(lost.wrapping_add(lost));
            let popped = [(); 2].map(|()| ring.pop(&mut []).expect("a ring"));
            assert_eq!(popped, [Some(Err(lost)), None]);
        }
    }

    #[test]
    fn impossible_contents_are_an_error_after_the_valid_records() {
        let cases = [
            ("a record beyond the producers' position", 81, 88),
            ("a record longer than the ring", SIZE as u32 - 7, SIZE),
            ("a record of the maximal length", DISCARDED - 1, SIZE),
            ("a discarded record of the maximal length", DISCARDED | (DISCARDED - 1), SIZE),
            ("an unaligned producers' position", 0, 4),
            ("a producers' position beyond the ring", 8, SIZE + 8),
            ("a producers' position before the consumer's", 8, 0_usize.wrapping_sub(8)),
        ];
        for (case, header, total_len) in cases {
            let mut ring = FakeRing::new(SIZE, SIZE - TOTAL_LEN).expect("memory");
            let position = ring.put(SIZE - TOTAL_LEN, RECORD_LEN as u32, TOTAL_LEN);
            assert!(ring.take().expect("a ring"), "{case}");
            assert!(matches!(ring.read(), Some(Seen::Message(Err(_)))), "{case}");
            ring.put(position, header, total_len);
            assert!(ring.has_more() || ring.read().is_none(), "{case}");
            for _ in 0..2 {
                assert!(is_corrupt(ring.take()) && is_corrupt(ring.pop(&mut [])), "{case}");
                assert!(ring.read().is_none() && !ring.arm(), "{case}");
            }
            assert_eq!(ring.published().expect("memory"), SIZE, "{case}: read records are free");
        }
    }

    #[test]
    fn records_shorter_than_the_programs_are_truncated_datagrams() {
        for len in 0..MESSAGE_LEN {
            let mut ring = FakeRing::new(SIZE, 0).expect("memory");
            let mut position = 0;
            for len in [len, MESSAGE_LEN, len] {
                position = ring.put(position, len as u32, (8 + len).next_multiple_of(8));
            }
            assert!(ring.take().expect("a ring"));
            // Empty records are skipped.
            for _ in 0..if len == 0 { 1 } else { 3 } {
                assert!(matches!(ring.read(), Some(Seen::Message(Err(_)))), "{len} bytes");
            }
            assert!(ring.read().is_none() && !ring.has_more());

            position = ring.put(position, len as u32, (8 + len).next_multiple_of(8));
            let popped = ring.pop(&mut [0; DATAGRAM_LEN]).expect("a ring");
            assert_eq!(popped, Some(Ok(HEADER_LEN + len)));
            assert_eq!(ring.published().expect("memory"), position);
        }
    }

    #[test]
    fn a_reader_waits_for_a_busy_producer_and_skips_discarded_records() {
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
