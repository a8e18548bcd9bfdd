//! A ring's maps without a kernel, for tests: a `memfd` with the same layout, to which the test
//! writes what the kernel would write.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::call::{check, check_len};
use super::cpu_buffers::CpuBuffers;
use super::mapping::page_size;
use super::program_slot::ProgramSlot;
use super::ring_buffer::RingBuffer;
use super::shared_words::SharedWords;

impl<const WORDS: usize> SharedWords<WORDS> {
    pub(crate) fn fake() -> io::Result<Self> {
        Self::from_fd(memfd(page_size())?)
    }
}

impl CpuBuffers {
    /// Buffers that no program uses.
    pub(crate) fn fake() -> io::Result<Self> {
        Ok(Self::from_fd(memfd(page_size())?))
    }
}

impl ProgramSlot {
    /// A slot that takes no programs.
    pub(crate) fn fake() -> io::Result<Self> {
        Ok(Self::from_fd(memfd(page_size())?))
    }
}

/// Writes take `&mut self`, so that no slice of a record is in use meanwhile.
impl RingBuffer {
    /// A ring of `size` bytes, a power of two and at least a page, with both positions at
    /// `position`, a multiple of 8.
    pub(crate) fn fake(size: usize, position: usize) -> io::Result<Self> {
        assert!(size.is_power_of_two() && size % page_size() == 0 && position % 8 == 0);
        // The data exists twice instead of being mapped twice. A reader cannot tell the difference.
        let mut ring = Self::from_fd(memfd(2 * page_size() + 2 * size)?, size, position)?;
        ring.fake_producer_pos(position)?;
        ring.put(0, &position.to_ne_bytes())?;
        Ok(ring)
    }

    /// Sets the producers' position.
    pub(crate) fn fake_producer_pos(&mut self, position: usize) -> io::Result<()> {
        self.put(page_size(), &position.to_ne_bytes())
    }

    /// Writes at most `size` bytes at `position`, wrapping at the end of the ring.
    pub(crate) fn fake_write(&mut self, position: usize, bytes: &[u8]) -> io::Result<()> {
        let start = position % self.size();
        let (head, tail) = bytes.split_at(bytes.len().min(self.size() - start));
        let data = 2 * page_size();
        for copy in [data, data + self.size()] {
            self.put(copy + start, head)?;
            if !tail.is_empty() {
                self.put(copy, tail)?;
            }
        }
        Ok(())
    }

    /// The consumer's position as the kernel sees it.
    pub(crate) fn fake_consumer_pos(&self) -> io::Result<usize> {
        let mut position = [0; size_of::<usize>()];
        // SAFETY: the pointer and the length describe the array.
        let read = unsafe {
            libc::pread(self.as_fd().as_raw_fd(), position.as_mut_ptr().cast(), position.len(), 0)
        };
        check_complete(check_len(read)?, position.len())?;
        Ok(usize::from_ne_bytes(position))
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let offset = libc::off_t::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the pointer and the length describe live bytes, which are only read.
        let written = unsafe {
            libc::pwrite(self.as_fd().as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), offset)
        };
        check_complete(check_len(written)?, bytes.len())
    }
}

/// Fails on a short read or write.
fn check_complete(len: usize, wanted: usize) -> io::Result<()> {
    if len == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A memory file of `len` zeros.
fn memfd(len: usize) -> io::Result<OwnedFd> {
    // SAFETY: the name is NUL-terminated.
    let fd = check(unsafe { libc::memfd_create(c"fake".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the call above created this descriptor, and nothing else owns it.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(len as u64)?;
    Ok(file.into())
}
