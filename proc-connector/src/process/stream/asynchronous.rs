//! The stream for asynchronous code.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::super::table::ProcessTable;
use super::super::wait::{ExitWaiter, ProcessExit, WaitError};
use super::item::ProcessItem;
use super::process_stream::ProcessStream;
use super::tracker::{Tracker, WAIT_CAPACITY};
use super::waiting::{WaitDeadline, add, at_deadline, catch_up};
use crate::error::Error;
#[cfg(feature = "async-io")]
use crate::live::AsyncIo;
#[cfg(feature = "tokio")]
use crate::live::Tokio;
use crate::live::{AsyncConnector, Readiness, Shutdown};
use crate::stats::Stats;

/// A [`ProcessStream`] for asynchronous code on the runtime `R`.
///
/// [`ProcessStream::into_tokio`] and [`ProcessStream::into_async_io`] create it. It is a [`Stream`]
/// of [`ProcessItem`]s. All its futures are cancel-safe: items that a dropped future did not return
/// stay queued.
///
/// Updating the table can read `/proc`, which the task does without yielding: at an exec over the
/// socket transport, and for all processes after a loss.
///
#[cfg_attr(
    feature = "tokio",
    doc = r#"
```no_run
use futures_lite::StreamExt;
use proc_connector::Result;
use proc_connector::process::{ProcessItem, ProcessStream};

async fn watch() -> Result<()> {
    let mut stream = ProcessStream::open()?.into_tokio()?;
    while let Some(item) = stream.next().await {
        match item? {
            ProcessItem::Change(change) => {
                println!("{:?} of {}", change.kind, change.process.tgid());
            }
            ProcessItem::Lost(lost) => eprintln!("lost {lost}"),
        }
    }
    Ok(())
}
```
"#
)]
#[derive(Debug)]
#[must_use = "nothing is received unless the stream is polled"]
pub struct AsyncProcessStream<R> {
    events: AsyncConnector<R>,
    tracker: Tracker,
}

impl ProcessStream {
    /// Registers the stream with the tokio runtime of the caller, which must have I/O enabled.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptor cannot be registered.
    ///
    /// # Panics
    ///
    /// If the caller is not in a tokio runtime with I/O enabled.
    #[cfg(feature = "tokio")]
    pub fn into_tokio(self) -> Result<AsyncProcessStream<Tokio>, Error> {
        Ok(AsyncProcessStream { events: self.connector.into_tokio()?, tracker: self.tracker })
    }

    /// Registers the stream with the reactor of `async-io`, which works with any executor.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the descriptor cannot be registered.
    #[cfg(feature = "async-io")]
    pub fn into_async_io(self) -> Result<AsyncProcessStream<AsyncIo>, Error> {
        Ok(AsyncProcessStream { events: self.connector.into_async_io()?, tracker: self.tracker })
    }
}

impl<R: Readiness> AsyncProcessStream<R> {
    /// Waits for the next change or loss.
    ///
    /// # Errors
    ///
    /// - [`Error::Shutdown`] after a [`Shutdown`] handle was used, when no change is left that was
    ///   applied before.
    /// - [`Error::Os`] for any other error of the system. The stream remains usable.
    pub async fn next_change(&mut self) -> Result<ProcessItem, Error> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Waits until a process has ended, as [`ProcessStream::wait_for_exit`].
    ///
    /// # Errors
    ///
    /// As [`ProcessStream::wait_for_exit`].
    pub async fn wait_for_exit(
        &mut self,
        pid: u32,
        timeout: Option<Duration>,
    ) -> Result<Option<ProcessExit>, WaitError> {
        let mut waiter = ExitWaiter::new();
        match add(self.events.get_mut(), &mut self.tracker, &mut waiter, pid)? {
            Some(exit) => Ok(Some(exit)),
            None => self.next_exit(&mut waiter, timeout).await,
        }
    }

    /// Waits until one of the processes of a waiter has ended, as [`ProcessStream::next_exit`].
    ///
    /// # Errors
    ///
    /// As [`ProcessStream::next_exit`].
    pub async fn next_exit(
        &mut self,
        waiter: &mut ExitWaiter,
        timeout: Option<Duration>,
    ) -> Result<Option<ProcessExit>, WaitError> {
        let mut deadline = WaitDeadline::after(timeout);
        if waiter.take_news() {
            catch_up(self.events.get_mut(), &mut self.tracker, waiter)?;
        }
        loop {
            if let Some(exit) = waiter.next_proven(&self.tracker.table)? {
                return Ok(Some(exit));
            }
            if waiter.is_empty() {
                return Ok(None);
            }
            if deadline.has_passed() {
                let (connector, tracker) = (self.events.get_mut(), &mut self.tracker);
                match at_deadline(connector, tracker, waiter, &mut deadline)? {
                    ControlFlow::Break(exit) => return Ok(exit),
                    ControlFlow::Continue(()) => continue,
                }
            }
            let until = deadline.min(waiter.next_poll());
            let until = rescan_at(&self.tracker).map_or(until, |rescan| until.min(rescan));
            let filled = poll_fn(|cx| self.events.poll_fill(cx, Some(until))).await?;
            let batch = filled.then(|| self.events.batch());
            let batch = batch.into_iter().flatten();
            self.tracker.apply_observed(batch, WAIT_CAPACITY, |change| waiter.observe(change));
        }
    }

    /// The table, which includes all changes that were yielded, and possibly later ones.
    pub fn table(&self) -> &ProcessTable {
        &self.tracker.table
    }

    /// The totals of the connector since it was opened, and the transport in use.
    pub fn stats(&self) -> Stats {
        self.events.get_ref().stats()
    }

    /// Returns a handle that ends receives from another thread or task.
    pub fn shutdown_handle(&self) -> Shutdown {
        self.events.get_ref().shutdown_handle()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<ProcessItem, Error>> {
        loop {
            if let Some(item) = self.tracker.pop() {
                return Poll::Ready(Ok(item));
            }
            let filled = ready!(self.events.poll_fill(cx, rescan_at(&self.tracker)))?;
            let batch = filled.then(|| self.events.batch());
            self.tracker.apply(batch.into_iter().flatten());
        }
    }
}

/// When to scan `/proc`, if a loss made a scan necessary.
fn rescan_at(tracker: &Tracker) -> Option<Instant> {
    Instant::now().checked_add(tracker.rescan_in()?)
}

/// Yields changes and losses, until a [`Shutdown`] handle is used. The stream continues after an
/// error of the system: the next poll tries again.
impl<R: Readiness + Unpin> Stream for AsyncProcessStream<R> {
    type Item = Result<ProcessItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.poll_item(cx)) {
            Err(Error::Shutdown) => Poll::Ready(None),
            result => Poll::Ready(Some(result)),
        }
    }
}
