//! Waiting with async-io.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use async_io::Async;

use super::{Readiness, sealed::Sealed};
use crate::error::Result;

/// Waits with the reactor of async-io.
#[derive(Debug)]
pub struct AsyncIo {
    fd: Async<OwnedFd>,
}

impl AsyncIo {
    pub(super) fn new(fd: OwnedFd) -> Result<Self> {
        // Without setting O_NONBLOCK: the descriptor is only polled, never read.
        Ok(Self { fd: Async::new_nonblocking(fd)? })
    }
}

impl Sealed for AsyncIo {}

impl Readiness for AsyncIo {
    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> Result<bool>,
    ) -> Poll<Result<()>> {
        loop {
            ready!(self.fd.poll_readable(cx))?;
            if attempt()? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
