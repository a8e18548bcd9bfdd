//! Receiving in asynchronous code: one adapter for all runtimes.

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "tokio")]
mod tokio;

use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

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

/// A connector for asynchronous code on the runtime `R`.
///
/// [`ProcConnector::into_tokio`] and [`ProcConnector::into_async_io`] create it. It delivers
/// batches ([`recv_batch`](Self::recv_batch)), and is a [`Stream`] of [`OwnedReceived`]. Both are
/// cancel-safe: items that a dropped future or batch did not deliver are in the next.
///
/// A [`Shutdown`](crate::Shutdown) handle ends a wait. While events keep arriving, the reader
/// sleeps between batches for the time set by [`Builder::coalesce`](crate::Builder::coalesce), as
/// in blocking receives. Other tasks of the runtime run meanwhile.
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
    waiting: Waiting,
}

/// What the next poll must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// The end of a nap.
    Nap,
    /// An event, or this time.
    Event(Option<Instant>),
}

/// How a runtime waits for a descriptor.
pub trait Readiness: sealed::Sealed {
    /// Calls `attempt` each time the descriptor may be readable, until it returns true.
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
    /// Waits until an event arrives, then returns all events that have arrived, as
    /// [`ProcConnector::recv_batch`] does.
    ///
    /// # Errors
    ///
    /// - [`Error::Shutdown`] after a [`Shutdown`](crate::Shutdown) handle was used.
    /// - [`Error::Os`] for any other error of the system.
    pub async fn recv_batch(&mut self) -> Result<Batch<'_>> {
        std::future::poll_fn(|cx| self.poll_fill(cx, None)).await?;
        Ok(self.connector.batch())
    }

    /// The underlying connector.
    pub fn get_ref(&self) -> &ProcConnector {
        &self.connector
    }

    /// The underlying connector, for [`set_filter`](ProcConnector::set_filter).
    pub fn get_mut(&mut self) -> &mut ProcConnector {
        &mut self.connector
    }

    /// Fills the next batch. Returns false if nothing has arrived at the time `limit`.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        limit: Option<Instant>,
    ) -> Poll<Result<bool>> {
        let Self { connector, gate, readiness, waiting } = self;
        if matches!(*waiting, Waiting::Event(before) if before != limit) {
            gate.open_on_event(limit.map(remaining))?;
            *waiting = Waiting::Event(limit);
        }
        loop {
            if *waiting != Waiting::Nothing {
                let mut reason = None;
                ready!(readiness.poll_until(cx, &mut || {
                    reason = gate.open_reason()?;
                    Ok(reason.is_some())
                }))?;
                let waited = std::mem::replace(waiting, Waiting::Nothing);
                match reason {
                    Some(OpenReason::Shutdown) => {
                        *waiting = waited;
                        return Poll::Ready(Err(Error::Shutdown));
                    }
                    Some(OpenReason::Event) => connector.counters.woken(),
                    Some(OpenReason::TimeOver) if waited != Waiting::Nap => {
                        return Poll::Ready(Ok(false));
                    }
                    Some(OpenReason::TimeOver) | None => {}
                }
            }
            if connector.resume_batch() {
                return Poll::Ready(Ok(true));
            }
            *waiting = match connector.intake.step()? {
                Step::Filled => return Poll::Ready(Ok(true)),
                Step::Nap(time) => {
                    gate.open_after(time)?;
                    Waiting::Nap
                }
                Step::Wait => {
                    gate.open_on_event(limit.map(remaining))?;
                    Waiting::Event(limit)
                }
            };
        }
    }

    /// The rest of the batch that was filled last.
    #[cfg(feature = "process")]
    pub(crate) fn batch(&mut self) -> Batch<'_> {
        self.connector.batch()
    }
}

fn remaining(limit: Instant) -> Duration {
    limit.saturating_duration_since(Instant::now())
}

/// Yields owned events and losses, in the order of the stream.
///
/// The stream ends when a [`Shutdown`](crate::Shutdown) handle is used. It continues after an error
/// of the system: the next poll tries again.
impl<R: Readiness + Unpin> Stream for AsyncConnector<R> {
    type Item = Result<OwnedReceived>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.poll_fill(cx, None)) {
                Err(Error::Shutdown) => return Poll::Ready(None),
                filled => filled?,
            };
            // A batch of only acknowledgements or refused datagrams has no items.
            if let Some(received) = self.connector.batch().next() {
                return Poll::Ready(Some(Ok(received.into())));
            }
        }
    }
}

impl ProcConnector {
    /// Registers the connector with the tokio runtime of the caller, which must have I/O enabled.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptor cannot be registered.
    ///
    /// # Panics
    ///
    /// If the caller is not in a tokio runtime with I/O enabled.
    #[cfg(feature = "tokio")]
    pub fn into_tokio(self) -> Result<AsyncConnector<Tokio>> {
        self.into_async(Tokio::new)
    }

    /// Registers the connector with the reactor of `async-io`, which works with any executor.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptor cannot be registered.
    #[cfg(feature = "async-io")]
    pub fn into_async_io(self) -> Result<AsyncConnector<AsyncIo>> {
        self.into_async(AsyncIo::new)
    }

    fn into_async<R>(self, register: fn(OwnedFd) -> Result<R>) -> Result<AsyncConnector<R>> {
        let gate = Gate::new(self.intake.wakeup_fd(), self.shutdown.as_fd())?;
        // A duplicate, because the runtime's wrapper must own the descriptor that it registers.
        let readiness = register(gate.as_fd().try_clone_to_owned()?)?;
        Ok(AsyncConnector { connector: self, gate, readiness, waiting: Waiting::Nothing })
    }
}
