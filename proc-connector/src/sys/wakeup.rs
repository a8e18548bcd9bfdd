//! A socket of which only whether it is empty matters.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::check_len;

/// A duplicate of a socket's descriptor. It rings, and is readable, while anything is queued at the
/// socket.
#[derive(Debug)]
pub(crate) struct Wakeup {
    fd: OwnedFd,
}

impl Wakeup {
    pub(crate) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { fd: socket.try_clone_to_owned()? })
    }

    /// Takes all off the queue, so that what is queued from now on is heard.
    pub(crate) fn drain(&self) {
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        loop {
            // SAFETY: the kernel writes nothing to a buffer of no bytes.
            let taken = check_len(unsafe {
                libc::recv(self.fd.as_raw_fd(), std::ptr::null_mut(), 0, flags)
            });
            match taken {
                Ok(_) => {}
                // An overrun is said once, and then what is queued can be taken.
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
