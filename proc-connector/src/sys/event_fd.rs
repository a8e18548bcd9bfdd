//! A counter that can be waited for: `eventfd`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::{check, check_len};

/// An `eventfd`, readable from [`raise`](Self::raise) to [`lower`](Self::lower).
#[derive(Debug)]
pub(crate) struct EventFd {
    fd: OwnedFd,
    raised: AtomicBool,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the call above made this descriptor and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, raised: AtomicBool::new(false) })
    }

    /// Makes it readable. One `write`, which a signal handler may make too.
    pub(crate) fn raise(&self) -> io::Result<()> {
        self.raised.store(true, Relaxed);
        let one = 1u64.to_ne_bytes();
        // SAFETY: the pointer and the length are those of a live array.
        let written =
            check_len(unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) });
        match written {
            // A full counter is a raised one.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes it unreadable. The caller keeps `raise` and `lower` from running at the same time.
    pub(crate) fn lower(&self) -> io::Result<()> {
        let mut count = 0u64.to_ne_bytes();
        // SAFETY: the pointer and the length are those of a live array.
        let read = check_len(unsafe {
            libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len())
        });
        self.raised.store(false, Relaxed);
        match read {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether it is raised, without a system call. A thread that must not miss the change waits
    /// for the descriptor instead.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Relaxed)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
