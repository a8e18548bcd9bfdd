//! A socket used as a wake-up: only whether its queue is empty matters, not the contents.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::call::check_len;

/// A duplicate of a socket's descriptor, readable while the socket's queue holds a datagram.
#[derive(Debug)]
pub(crate) struct Wakeup {
    fd: OwnedFd,
}

impl Wakeup {
    pub(crate) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { fd: socket.try_clone_to_owned()? })
    }

    /// Empties the queue, so that the next datagram makes the descriptor readable again.
    pub(crate) fn drain(&self) {
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        loop {
            // SAFETY: the kernel writes nothing to a buffer of length 0.
            let taken = check_len(unsafe {
                libc::recv(self.fd.as_raw_fd(), std::ptr::null_mut(), 0, flags)
            });
            match taken {
                Ok(_) => {}
                // The kernel reports an overrun once; the queue can be read afterwards.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
