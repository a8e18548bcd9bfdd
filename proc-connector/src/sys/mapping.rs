//! Memory shared with the kernel (`mmap`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Mapped pages of a descriptor, unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; this value holds only its address.
unsafe impl Send for Mapping {}
// SAFETY: as above; users of the memory prove that their accesses are sound.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from `offset`. Both are multiples of the page size.
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        writable: bool,
    ) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: without MAP_FIXED the kernel chooses addresses that nothing else uses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// A pointer to the byte at `offset`.
    ///
    /// # Panics
    ///
    /// If `offset` is beyond the mapping.
    #[inline]
    pub(super) fn ptr_at(&self, offset: usize) -> NonNull<u8> {
        if offset >= self.len {
            self.is_beyond(offset);
        }
        // SAFETY: the offset is within the mapping.
        unsafe { self.start.add(offset) }
    }

    #[cold]
    #[inline(never)]
    fn is_beyond(&self, offset: usize) -> ! {
        panic!("{offset} is beyond a mapping of {} bytes", self.len)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped this address and length, and nothing uses them after this call.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The size of a page in bytes.
pub(crate) fn page_size() -> usize {
    // SAFETY: the call takes a number only.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}
