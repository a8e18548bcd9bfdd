//! A flag that can be polled (`eventfd`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::call::{check, check_len};

/// An `eventfd` that is readable from [`raise`](Self::raise) until [`lower`](Self::lower).
#[derive(Debug)]
pub(crate) struct EventFd {
    fd: OwnedFd,
    raised: AtomicBool,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call takes numbers only.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the call above created this descriptor, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, raised: AtomicBool::new(false) })
    }

    /// Makes the descriptor readable. Async-signal-safe: an atomic store and one `write`.
    pub(crate) fn raise(&self) -> io::Result<()> {
        self.raised.store(true, Relaxed);
        let one = 1u64.to_ne_bytes();
        // SAFETY: the pointer and the length are those of a live array.
        let written =
            check_len(unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) });
        match written {
            // A full counter is readable too.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the descriptor unreadable. The caller must not run `raise` and `lower` concurrently.
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

    /// Whether the flag is raised, without a system call. The load is relaxed: a thread that must
    /// not miss the change polls the descriptor instead.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Relaxed)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
