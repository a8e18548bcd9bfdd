//! The reader's end of a BPF ring buffer.
//!
//! A ring buffer (`kernel/bpf/ringbuf.c`) can be mapped as a page that holds the reader's position,
//! a read-only page with the writers' position, and the data, twice in a row so that no record is
//! ever broken by the end. Positions only grow; the data is at a position modulo the size.
//!
//! A record starts with a header of 8 bytes: its length in 4, of which bit 31 says that a writer is
//! busy with it and bit 30 that it was discarded, and 4 that are the kernel's. Records are aligned
//! to 8 bytes.
//!
//! The kernel is trusted to keep to that, and still nothing is read outside of the ring, or where
//! its writers may be at work, because of a header or a position that says so: a ring that holds
//! such a thing is corrupt from there on, which is an answer like others and no panic.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use proc_connector_sys as uapi;

use super::bpf::{Map, MapKind};
use super::mapping::{Mapping, page_size};

const HEADER_LEN: usize = uapi::BPF_RINGBUF_HDR_SZ as usize;

/// A ring buffer and how far it was read.
///
/// What lies between the position that was published last and the writers' position belongs to
/// this reader: the kernel writes to none of its records once they are no longer busy. Moving the
/// position on takes `&mut self`, so no slice of a record outlives the record.
#[derive(Debug)]
pub(crate) struct RingBuffer {
    // Unmapped before the map is closed.
    reader: Mapping,
    writers: Mapping,
    fd: OwnedFd,
    /// Where the data starts in `writers`: behind a page.
    data: usize,
    size: usize,
    /// What was published last: everything before may be overwritten.
    released: usize,
}

/// What is at a position of the ring.
#[derive(Debug)]
pub(crate) enum RecordState<'a> {
    /// A record, and the position of the next slot.
    Record(&'a [u8], usize),
    /// A record that its writer took back, and the position of the next slot.
    Discarded(usize),
    /// A writer is busy here, for a moment.
    Busy,
    /// Nothing yet.
    Empty,
    /// What no kernel writes, and nothing behind it can be found.
    Corrupt,
}

impl RingBuffer {
    /// Makes a ring of `size` bytes, a power of two and at least a page.
    pub(crate) fn new(size: usize, name: &CStr) -> io::Result<Self> {
        let too_large = |_| io::Error::from_raw_os_error(libc::E2BIG);
        let bytes = u32::try_from(size).map_err(too_large)?;
        Self::over(Map::new(MapKind::Ring(bytes), name)?.into(), size, 0)
    }

    /// The ring on a descriptor that can be mapped as its map can, and was read up to `position`,
    /// a multiple of 8.
    pub(super) fn over(fd: OwnedFd, size: usize, position: usize) -> io::Result<Self> {
        let page = page_size();
        let reader = Mapping::new(fd.as_fd(), 0, page, true)?;
        let writers = Mapping::new(fd.as_fd(), page, page + 2 * size, false)?;
        Ok(Self { reader, writers, fd, data: page, size, released: position })
    }

    /// Bytes that it holds, headers included.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The position up to which everything was read.
    pub(crate) fn released(&self) -> usize {
        self.released
    }

    /// The position up to which the kernel has given out room.
    ///
    /// Acquire, for the release with which `__bpf_ringbuf_reserve` stores it: a header before
    /// this position is there to be read, with its busy bit.
    pub(crate) fn written(&self) -> usize {
        let position = self.writers.at(0).cast::<AtomicUsize>();
        // SAFETY: the mapping lives as long as `self` and starts with this word, which is aligned
        // as all of a page's start, and which the kernel changes atomically.
        unsafe { position.as_ref() }.load(Ordering::Acquire)
    }

    /// What is at `position`, where a slot starts between [`released`](Self::released) and
    /// `written`, a value that [`written`](Self::written) gave.
    #[inline]
    pub(crate) fn record_at(&self, position: usize, written: usize) -> RecordState<'_> {
        let ahead = position.wrapping_sub(self.released);
        let filled = written.wrapping_sub(self.released);
        if ahead > filled || filled > self.size {
            return RecordState::Corrupt;
        }
        if ahead == filled {
            return RecordState::Empty;
        }
        // The size is a power of two, so this is the remainder, rounded down to a multiple of 8.
        let start = self.data + (position & (self.size - 8));
        self.fetch_ahead(start);
        let header = self.writers.at(start).cast::<AtomicU32>();
        // Acquire, for the exchange with which `bpf_ringbuf_commit` clears the busy bit: the
        // record's bytes were written before.
        // SAFETY: the start is a multiple of 8 within the ring, which starts with a page, and the
        // kernel changes the word atomically.
        let header = unsafe { header.as_ref() }.load(Ordering::Acquire);
        if header & uapi::BPF_RINGBUF_BUSY_BIT != 0 {
            return RecordState::Busy;
        }
        let len = (header & !uapi::BPF_RINGBUF_DISCARD_BIT) as usize;
        let room = (HEADER_LEN + len).next_multiple_of(8);
        if room > filled - ahead {
            return RecordState::Corrupt;
        }
        let next = position.wrapping_add(room);
        if header & uapi::BPF_RINGBUF_DISCARD_BIT != 0 {
            return RecordState::Discarded(next);
        }
        let bytes = self.writers.at(start + HEADER_LEN);
        // SAFETY: the record starts within the ring and is no longer than that, so it ends within
        // its second mapping. It is committed and ends before `written`: the kernel writes there
        // again only once the position was released beyond it, which takes `&mut self`.
        let record = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), len) };
        RecordState::Record(record, next)
    }

    /// Has the processor fetch what will be read in a moment: the records were written by other
    /// processors, in whose caches they are.
    fn fetch_ahead(&self, start: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let ahead = self.writers.at(start).as_ptr().wrapping_add(512);
            // SAFETY: a prefetch has no effect that a program could see, wherever it points to.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = start;
    }

    /// Gives the room before `position` back to the writers.
    ///
    /// Release, for the acquire with which `__bpf_ringbuf_reserve` loads it: all reads of the
    /// records before it are done.
    pub(crate) fn release(&mut self, position: usize) {
        if position == self.released {
            return;
        }
        self.released = position;
        let published = self.reader.at(0).cast::<AtomicUsize>();
        // SAFETY: the mapping lives as long as `self` and starts with this word, aligned as a
        // page's start, which the kernel reads atomically.
        unsafe { published.as_ref() }.store(position, Ordering::Release);
    }
}

/// Readable while there is something between the two positions, to whoever looks; who waits is
/// woken when a writer asks for that.
impl AsFd for RingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
