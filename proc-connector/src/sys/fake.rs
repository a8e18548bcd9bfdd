//! The maps of a ring as memory of this process, for tests: it can be mapped as theirs, and what the
//! kernel writes there, the test writes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::mapping::page_size;
use super::ring_buffer::RingBuffer;
use super::shared_words::SharedWords;
use super::{check, check_len};

impl<const WORDS: usize> SharedWords<WORDS> {
    pub(crate) fn fake() -> io::Result<Self> {
        Self::over(memory(page_size())?)
    }
}

/// Written to with `&mut self`, so while no slice of a record is in use.
impl RingBuffer {
    /// A ring of `size` bytes, a power of two and at least a page, in which everything up to
    /// `position`, a multiple of 8, was written and read.
    pub(crate) fn fake(size: usize, position: usize) -> io::Result<Self> {
        assert!(size.is_power_of_two() && size % page_size() == 0 && position % 8 == 0);
        // The data is not mapped twice but there twice: who only reads cannot tell.
        let mut ring = Self::over(memory(2 * page_size() + 2 * size)?, size, position)?;
        ring.fake_written(position)?;
        ring.put(0, &position.to_ne_bytes())?;
        Ok(ring)
    }

    /// Sets the position up to which the kernel has given out room.
    pub(crate) fn fake_written(&mut self, position: usize) -> io::Result<()> {
        self.put(page_size(), &position.to_ne_bytes())
    }

    /// Writes `bytes`, no more than the ring holds, from `position` on and round its end.
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

    /// The position that the reader published, as the kernel sees it.
    pub(crate) fn fake_published(&self) -> io::Result<usize> {
        let mut position = [0; size_of::<usize>()];
        // SAFETY: the pointer and the length are those of the array.
        let read = unsafe {
            libc::pread(self.as_fd().as_raw_fd(), position.as_mut_ptr().cast(), position.len(), 0)
        };
        whole(check_len(read)?, position.len())?;
        Ok(usize::from_ne_bytes(position))
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let offset = libc::off_t::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the pointer and the length are those of live bytes, which are only read.
        let written = unsafe {
            libc::pwrite(self.as_fd().as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), offset)
        };
        whole(check_len(written)?, bytes.len())
    }
}

/// Memory takes and gives all or nothing.
fn whole(len: usize, wanted: usize) -> io::Result<()> {
    if len == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// So many bytes, all zero at first.
fn memory(len: usize) -> io::Result<OwnedFd> {
    // SAFETY: the name is a text that ends with a zero.
    let fd = check(unsafe { libc::memfd_create(c"fake".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the call above made this descriptor and nobody else has it.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(len as u64)?;
    Ok(file.into())
}
