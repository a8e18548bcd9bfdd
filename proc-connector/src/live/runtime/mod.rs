//! Receiving without blocking a thread: one adapter, for the runtimes with a feature.

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "tokio")]
mod tokio;

use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

#[cfg(feature = "async-io")]
pub use self::async_io::AsyncIo;
#[cfg(feature = "tokio")]
pub use self::tokio::Tokio;
use crate::error::{Error, Result};
use crate::live::batch::Batch;
use crate::live::connector::ProcConnector;
use crate::live::transport::Step;
use crate::owned::OwnedReceived;
use crate::sys::{Gate, OpenReason};

/// A connector whose receives are awaited, on the runtime `R`.
///
/// Made by [`ProcConnector::into_tokio`] or [`ProcConnector::into_async_io`]. Read it with
/// [`recv_batch`](Self::recv_batch), or as a [`Stream`] of [`OwnedReceived`]. Both are cancel-safe:
/// what a dropped future or a dropped batch left behind comes with the next.
///
/// Dropping it, or the future, ends a wait, and so does a [`Shutdown`](crate::Shutdown) handle. While
/// events keep coming it rests between batches for [`Builder::coalesce`](crate::Builder::coalesce)
/// as the receives that block do, and leaves the runtime to its other tasks meanwhile.
///
#[cfg_attr(
    feature = "tokio",
    doc = r#"
```no_run
use futures_lite::StreamExt;
use proc_connector::{OwnedReceived, ProcConnector, ProcEvent, Result};

async fn watch() -> Result<()> {
    let mut events = ProcConnector::builder().open()?.into_tokio()?;
    while let Some(received) = events.next().await {
        match received? {
            OwnedReceived::Event(event) => println!("{}", ProcEvent::from(event)),
            OwnedReceived::Lost(lost) => eprintln!("lost {lost}"),
        }
    }
    Ok(())
}
```
"#
)]
#[derive(Debug)]
pub struct AsyncConnector<R> {
    connector: ProcConnector,
    gate: Gate,
    readiness: R,
    /// The gate has to open before anything else.
    waiting: bool,
}

/// How a runtime waits for a descriptor.
pub trait Readiness: sealed::Sealed {
    /// Gives `attempt` a try whenever the descriptor may be readable, until it says true.
    #[doc(hidden)]
    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> Result<bool>,
    ) -> Poll<Result<()>>;
}

mod sealed {
    pub trait Sealed {}
}

impl<R: Readiness> AsyncConnector<R> {
    /// Waits for something to arrive, then takes all there is, as
    /// [`ProcConnector::recv_batch`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Shutdown`] once a [`Shutdown`](crate::Shutdown) handle was used, [`Error::Os`] for
    /// what the system says.
    pub async fn recv_batch(&mut self) -> Result<Batch<'_>> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await?;
        Ok(self.connector.batch())
    }

    /// The connector inside.
    pub fn get_ref(&self) -> &ProcConnector {
        &self.connector
    }

    /// The connector inside, for [`set_filter`](ProcConnector::set_filter).
    pub fn get_mut(&mut self) -> &mut ProcConnector {
        &mut self.connector
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { connector, gate, readiness, waiting } = self;
        loop {
            if *waiting {
                let mut reason = None;
                ready!(readiness.poll_until(cx, &mut || {
                    reason = gate.open_reason()?;
                    Ok(reason.is_some())
                }))?;
                match reason {
                    Some(OpenReason::Shutdown) => return Poll::Ready(Err(Error::Shutdown)),
                    Some(OpenReason::Event) => connector.woken(),
                    Some(OpenReason::NapOver) | None => {}
                }
                *waiting = false;
            }
            match connector.step()? {
                Step::Filled => return Poll::Ready(Ok(())),
                Step::Nap(time) => gate.open_after(time)?,
                Step::Wait => gate.open_on_event()?,
            }
            *waiting = true;
        }
    }
}

/// Owned events, and losses where they happened, as [`recv_batch`](Self::recv_batch) delivers them.
///
/// The stream ends when a [`Shutdown`](crate::Shutdown) handle is used. An error of the system does
/// not end it: the next poll tries again.
impl<R: Readiness + Unpin> Stream for AsyncConnector<R> {
    type Item = Result<OwnedReceived>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.poll_fill(cx)) {
                Err(Error::Shutdown) => return Poll::Ready(None),
                filled => filled?,
            }
            // A batch of acknowledgements or refused datagrams has no item.
            if let Some(received) = self.connector.batch().next() {
                return Poll::Ready(Some(Ok(received.into())));
            }
        }
    }
}

impl ProcConnector {
    /// Hands the connector to the tokio runtime that this is called in, which must have I/O
    /// enabled.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptor cannot be registered.
    ///
    /// # Panics
    ///
    /// As tokio does, outside of a runtime with I/O enabled.
    #[cfg(feature = "tokio")]
    pub fn into_tokio(self) -> Result<AsyncConnector<Tokio>> {
        self.into_async(Tokio::new)
    }

    /// Hands the connector to the reactor of `async-io`, which works with any executor.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptor cannot be registered.
    #[cfg(feature = "async-io")]
    pub fn into_async_io(self) -> Result<AsyncConnector<AsyncIo>> {
        self.into_async(AsyncIo::new)
    }

    fn into_async<R>(self, register: fn(OwnedFd) -> Result<R>) -> Result<AsyncConnector<R>> {
        let gate = self.gate()?;
        // A duplicate, so that nothing of the connector is in the runtime's hands.
        let readiness = register(gate.as_fd().try_clone_to_owned()?)?;
        Ok(AsyncConnector { connector: self, gate, readiness, waiting: false })
    }
}
