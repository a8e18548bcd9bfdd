//! The consumer's end of a BPF ring buffer (`kernel/bpf/ringbuf.c`).
//!
//! Invariant: the bytes between the consumer's and the producers' position belong to this reader,
//! except in records whose busy bit is set. The kernel reuses a byte only after the consumer's
//! position has moved past it.
//!
//! The kernel maps a ring as three parts. Positions only grow and wrap at the word size; a byte's
//! place in the data is its position modulo the size. The data is mapped twice in a row, so that a
//! record that crosses the end is contiguous:
//!
//! ```text
//! page 0          | page 1          | data (size bytes)      | the same data again    |
//! consumer_pos    | producer_pos    |                        |                        |
//! read and write  | read-only       | read-only              | read-only              |
//! ```
//!
//! Records start at multiples of 8 bytes, with a `struct bpf_ringbuf_hdr`:
//!
//! ```text
//! byte 0           4           8                       8 + length
//!      +-----------+-----------+-----------------------+-----------+
//!      | len       | pg_off    | record                | padding   |  next header
//!      |           |           | (length bytes)        | to 8      |  ...
//!      +-----------+-----------+-----------------------+-----------+
//!        bit 31: busy, a producer is still writing the record
//!        bit 30: discarded, the reader skips the record
//!        others: the record's length in bytes
//! ```
//!
//! `pg_off` is for the kernel's own use.
//!
//! Headers and positions are checked before use although only the kernel writes them: an impossible
//! value yields [`RecordState::Corrupt`] and never a read outside the ring or of bytes that a
//! producer may be writing.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use proc_connector_sys as uapi;

use super::bpf::{MapKind, create_map};
use super::mapping::{Mapping, page_size};

const HEADER_LEN: usize = uapi::BPF_RINGBUF_HDR_SZ as usize;

/// A mapped ring buffer and its consumer's position.
///
/// [`release`](Self::release), which lets producers overwrite records, takes `&mut self`: no slice
/// of a record can outlive the record.
#[derive(Debug)]
pub(crate) struct RingBuffer {
    // Both mappings are unmapped before the map is closed.
    consumer: Mapping,
    /// The producers' page, followed by the data.
    producer: Mapping,
    fd: OwnedFd,
    /// Offset of the data in `producer`.
    data_offset: usize,
    size: usize,
    /// The position published last. Producers may overwrite everything before it.
    consumer_pos: usize,
}

/// What a position of the ring holds.
#[derive(Debug)]
pub(crate) enum RecordState<'a> {
    /// A committed record, and the position of the next one.
    Record(&'a [u8], usize),
    /// A record that its producer discarded, and the position of the next one.
    Discarded(usize),
    /// A record that a producer is still writing.
    Busy,
    /// Nothing: the position is the producers' position.
    Empty,
    /// A header or position that the kernel cannot have written. No later record can be found.
    Corrupt,
}

impl RingBuffer {
    /// Creates a ring of `size` bytes, which must be a power of two and at least one page.
    pub(crate) fn new(size: usize, name: &CStr) -> io::Result<Self> {
        let too_large = |_| io::Error::from_raw_os_error(libc::E2BIG);
        let bytes = u32::try_from(size).map_err(too_large)?;
        Self::from_fd(create_map(MapKind::Ring(bytes), name)?, size, 0)
    }

    /// Maps a ring from a descriptor with a ring's layout. `consumer_pos` is a multiple of 8.
    pub(super) fn from_fd(fd: OwnedFd, size: usize, consumer_pos: usize) -> io::Result<Self> {
        let page = page_size();
        let consumer = Mapping::new(fd.as_fd(), 0, page, true)?;
        let producer = Mapping::new(fd.as_fd(), page, page + 2 * size, false)?;
        Ok(Self { consumer, producer, fd, data_offset: page, size, consumer_pos })
    }

    /// Capacity in bytes, record headers included.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The position up to which records were released to the producers.
    pub(crate) fn consumer_pos(&self) -> usize {
        self.consumer_pos
    }

    /// The position up to which producers have reserved records.
    ///
    /// The acquire pairs with the release in `__bpf_ringbuf_reserve`: every header before this
    /// position has been written, at least with its busy bit.
    #[inline]
    pub(crate) fn producer_pos(&self) -> usize {
        let position = self.producer.ptr_at(0).cast::<AtomicUsize>();
        // SAFETY: the mapping lives as long as `self` and starts with this word, which is aligned
        // because a page is, and which the kernel changes atomically.
        unsafe { position.as_ref() }.load(Ordering::Acquire)
    }

    /// The record at `position`, which must be a record's start between
    /// [`consumer_pos`](Self::consumer_pos) and `producer_pos`, a value returned by
    /// [`producer_pos`](Self::producer_pos).
    #[inline]
    pub(crate) fn record_at(&self, position: usize, producer_pos: usize) -> RecordState<'_> {
        let ahead = position.wrapping_sub(self.consumer_pos);
        let filled = producer_pos.wrapping_sub(self.consumer_pos);
        if ahead > filled || filled > self.size {
            return RecordState::Corrupt;
        }
        if ahead == filled {
            return RecordState::Empty;
        }
        // The remainder by the size, a power of two, rounded down to a multiple of 8.
        let start = self.data_offset + (position & (self.size - 8));
        self.prefetch_ahead(start);
        let header = self.producer.ptr_at(start).cast::<AtomicU32>();
        // The acquire pairs with the exchange in `bpf_ringbuf_commit` that clears the busy bit:
        // without the bit, the record's bytes are written.
        // SAFETY: the start is a multiple of 8 within the data, which starts at a page, and the
        // kernel changes the word atomically.
        let header = unsafe { header.as_ref() }.load(Ordering::Acquire);
        if header & uapi::BPF_RINGBUF_BUSY_BIT != 0 {
            return RecordState::Busy;
        }
        let len = (header & !uapi::BPF_RINGBUF_DISCARD_BIT) as usize;
        let total_len = (HEADER_LEN + len).next_multiple_of(8);
        if total_len > filled - ahead {
            return RecordState::Corrupt;
        }
        let next = position.wrapping_add(total_len);
        if header & uapi::BPF_RINGBUF_DISCARD_BIT != 0 {
            return RecordState::Discarded(next);
        }
        let bytes = self.producer.ptr_at(start + HEADER_LEN);
        // SAFETY: the record starts in the first copy of the data and is at most `size` long, so it
        // ends within the second. It is committed and ends before `producer_pos`: the kernel writes
        // there again only after `release` moved beyond it, which takes `&mut self`.
        let record = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), len) };
        RecordState::Record(record, next)
    }

    /// Prefetches the records about 500 bytes ahead, which are in the caches of the processors that
    /// wrote them.
    #[inline]
    fn prefetch_ahead(&self, start: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let ahead = self.producer.ptr_at(start).as_ptr().wrapping_add(512);
            // SAFETY: a prefetch has no visible effect and does not fault, whatever its address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = start;
    }

    /// Returns the space before `position` to the producers.
    ///
    /// The release pairs with the acquire in `__bpf_ringbuf_reserve`: all reads of the records
    /// before `position` are complete.
    pub(crate) fn release(&mut self, position: usize) {
        if position == self.consumer_pos {
            return;
        }
        self.consumer_pos = position;
        let published = self.consumer.ptr_at(0).cast::<AtomicUsize>();
        // SAFETY: the mapping lives as long as `self` and starts with this word, which is aligned
        // because a page is, and which the kernel reads atomically.
        unsafe { published.as_ref() }.store(position, Ordering::Release);
    }
}

/// The descriptor is readable while the two positions differ. A producer that submits with
/// `BPF_RB_NO_WAKEUP` does not wake a thread that is already polling it.
impl AsFd for RingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
