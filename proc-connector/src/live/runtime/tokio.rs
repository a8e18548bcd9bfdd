//! Waiting with tokio.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Readiness, sealed::Sealed};
use crate::error::Result;

/// Waits with tokio's reactor.
#[derive(Debug)]
pub struct Tokio {
    fd: AsyncFd<OwnedFd>,
}

impl Tokio {
    pub(super) fn new(fd: OwnedFd) -> Result<Self> {
        #[allow(
            deprecated,
            reason = "its replacement is unsafe, because it cannot check that the descriptor stays \
            open; an OwnedFd does"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self { fd })
    }
}

impl Sealed for Tokio {}

impl Readiness for Tokio {
    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> Result<bool>,
    ) -> Poll<Result<()>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            if attempt()? {
                return Poll::Ready(Ok(()));
            }
            guard.clear_ready();
        }
    }
}
