//! Several descriptors behind one (`epoll`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::call::check;

/// A descriptor that is readable while one of the descriptors added to it is.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

const READABLE: u32 = libc::EPOLLIN as u32;

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call takes numbers only.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call above created this descriptor, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Adds a descriptor, whose readiness is reported as `token`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, READABLE)
    }

    /// Adds a descriptor that is ignored until [`set_enabled`](Self::set_enabled) enables it.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn add_disabled(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, 0)
    }

    /// Enables or disables a descriptor that was added before.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn set_enabled(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        enabled: bool,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, if enabled { READABLE } else { 0 })
    }

    /// The tokens of the descriptors that are readable now, at most three of them.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn ready(&self) -> io::Result<impl Iterator<Item = u64> + Clone> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 3];
        // SAFETY: the array lives through the call, and 3 is its length.
        let count =
            check(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), 3, 0) });
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => usize::try_from(count?).unwrap_or_default(),
        };
        Ok(events.into_iter().take(count).map(|event| event.u64))
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        token: u64,
        events: u32,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the event lives through the call, which copies it.
        check(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event)
        })?;
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
