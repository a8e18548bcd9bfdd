//! Waiting on async-io.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use async_io::Async;

use super::{Readiness, duplicate, sealed::Sealed};
use crate::connector::ProcConnector;
use crate::error::Result;

/// Waits on the reactor of async-io.
#[derive(Debug)]
pub struct AsyncIo {
    fd: Async<OwnedFd>,
}

impl AsyncIo {
    pub(super) fn new(connector: &ProcConnector) -> Result<Self> {
        // The receives of this crate choose by themselves whether they wait, so the descriptor,
        // which the connector shares, can stay as it is.
        Ok(Self { fd: Async::new_nonblocking(duplicate(connector)?)? })
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
