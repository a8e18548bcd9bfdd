//! The stream, for blocking and non-blocking callers.

use std::fmt;
use std::time::{Duration, Instant};

use super::super::table::ProcessTable;
use super::descriptor::Descriptor;
use super::item::ProcessItem;
use super::kinds::ChangeKinds;
use super::tracker::Tracker;
use crate::error::{Error, Result};
use crate::platform::{Batch, Builder, ProcConnector, Shutdown};
use crate::stats::Stats;

/// The changes of all processes, as they happen, with every loss reported.
///
/// The stream receives events, keeps a [`ProcessTable`] up to date with them, and yields what
/// changed as owned data. After a loss it reads `/proc` again, also if no event arrives.
///
/// ```no_run
/// use proc_connector::process::{ChangeKind, ProcessItem, ProcessStream};
///
/// for item in ProcessStream::open()? {
///     match item? {
///         ProcessItem::Change(change) => match change.kind {
///             ChangeKind::Executed => {
///                 println!("{} runs {:?}", change.process.tgid(), change.process.exe());
///             }
///             ChangeKind::Ended => {
///                 println!("{} ended: {:?}", change.process.tgid(), change.process.exit_status());
///             }
///             _ => {}
///         },
///         ProcessItem::Lost(lost) => eprintln!("lost {lost}"),
///     }
/// }
/// # Ok::<(), proc_connector::Error>(())
/// ```
///
/// The stream applies up to 256 events at a time, and yields their changes before it receives more.
/// It holds no more changes than these events made, except during a [wait for an
/// exit](Self::wait_for_exit). [`table`](Self::table) can be ahead of the changes that were yielded.
///
/// # Filters
///
/// The table needs all forks, execs and exits. [`open`](Self::open) receives all events, and
/// [`only`](Self::only) selects changes after they were applied.
///
/// A connector with [`Filter::processes_only`](crate::Filter::processes_only) is cheaper on a
/// machine that creates many threads, but the stream misses some ends. The filter drops the events of
/// all threads except the first of each process, and the last thread to exit need not be the first.
/// If the first thread of a process exits early, the ring reports the end of the process at the next
/// reading of `/proc` or never, and the socket reports it at the exit of the first thread.
/// A [wait for an exit](Self::wait_for_exit) still ends when the process does.
#[must_use = "nothing is received unless the stream is read"]
pub struct ProcessStream {
    pub(super) connector: ProcConnector,
    pub(super) tracker: Tracker,
    pub(super) descriptor: Descriptor,
}

/// Opening.
impl ProcessStream {
    /// Opens a stream of all processes of this machine: a connector with
    /// [`context`](Builder::context), and a table that is read from `/proc` afterwards.
    ///
    /// # Errors
    ///
    /// As [`Builder::open_processes`].
    pub fn open() -> Result<Self> {
        ProcConnector::builder().open_processes()
    }

    /// Reads the processes in `/proc`, and follows them by the events of a connector.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] for the errors of [`ProcessTable::new`].
    pub fn new(connector: ProcConnector) -> Result<Self> {
        Self::with_table(connector, ProcessTable::new()?)
    }

    /// Joins a connector and a table, for a table with other options than those of
    /// [`ProcessTable::new`]. Make the table after the connector: otherwise processes that start or
    /// end between the two are missed.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if too many files are open.
    pub fn with_table(connector: ProcConnector, table: ProcessTable) -> Result<Self> {
        let descriptor = Descriptor::new(&connector)?;
        Ok(Self { connector, tracker: Tracker::new(table), descriptor })
    }

    /// Yields only changes of these kinds, and losses. Other changes cost little more than their
    /// events. By default changes of all kinds are yielded.
    ///
    /// ```no_run
    /// use proc_connector::process::{ChangeKinds, ProcessStream};
    ///
    /// let ends = ProcessStream::open()?.only(ChangeKinds::ENDED | ChangeKinds::VANISHED);
    /// # Ok::<(), proc_connector::Error>(())
    /// ```
    pub fn only(mut self, kinds: ChangeKinds) -> Self {
        self.tracker.kinds = kinds;
        self
    }
}

impl Builder {
    /// Opens a connector with these options and [`context`](Self::context), then reads the
    /// processes in `/proc`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::Os`] for the errors of [`ProcessTable::new`].
    #[cfg_attr(docsrs, doc(cfg(feature = "process")))]
    pub fn open_processes(&self) -> Result<ProcessStream> {
        ProcessStream::new(self.clone().context(true).open()?)
    }
}

/// Receiving.
impl ProcessStream {
    /// Waits for the next change or loss.
    ///
    /// # Errors
    ///
    /// - [`Error::Shutdown`] after a [`Shutdown`] handle was used, when no change is left that was
    ///   applied before.
    /// - [`Error::WouldBlock`] if the connector is non-blocking and nothing has arrived.
    /// - [`Error::Os`] for any other error of the system. The stream remains usable.
    pub fn next_change(&mut self) -> Result<ProcessItem> {
        if self.connector.is_nonblocking() {
            return self.try_next()?.ok_or(Error::WouldBlock);
        }
        loop {
            if let Some(item) = self.next_until(None)? {
                return Ok(item);
            }
        }
    }

    /// Waits for the next change or loss. `None` if nothing arrives within `timeout`.
    ///
    /// # Errors
    ///
    /// As [`next_change`](Self::next_change), except that it is never [`Error::WouldBlock`].
    pub fn next_change_timeout(&mut self, timeout: Duration) -> Result<Option<ProcessItem>> {
        if timeout.is_zero() || self.connector.is_nonblocking() {
            return self.try_next();
        }
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// The next change or loss, without waiting. `None` if nothing has arrived. After a shutdown,
    /// this still yields what has arrived.
    ///
    /// A loop that waits should use [`next_change`](Self::next_change) alone. Between batches that
    /// call sleeps for [`Builder::coalesce`], which saves wake-ups; `try_next` does not.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] for an error of the system.
    pub fn try_next(&mut self) -> Result<Option<ProcessItem>> {
        loop {
            if let Some(item) = self.pop() {
                return Ok(Some(item));
            }
            let batch = self.connector.try_recv_batch()?;
            let is_everything_read = batch.is_none();
            self.tracker.apply(batch.into_iter().flatten());
            self.update_descriptor();
            if is_everything_read && !self.tracker.has_items() {
                return Ok(None);
            }
        }
    }

    /// The next item, if it arrives before `deadline`.
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<ProcessItem>> {
        loop {
            if let Some(item) = self.pop() {
                return Ok(Some(item));
            }
            let batch = receive(&mut self.connector, &self.tracker, deadline)?;
            self.tracker.apply(batch);
            self.update_descriptor();
            if !self.tracker.has_items() && deadline.is_some_and(|end| end <= Instant::now()) {
                return Ok(None);
            }
        }
    }

    fn pop(&mut self) -> Option<ProcessItem> {
        let item = self.tracker.pop();
        if item.is_some() && !self.tracker.has_items() {
            self.update_descriptor();
        }
        item
    }

    pub(super) fn update_descriptor(&self) {
        self.descriptor.update(self.tracker.has_items(), self.tracker.rescan_in());
    }
}

/// Receives a batch, which is empty if nothing arrives before `deadline` or before the next scan of
/// `/proc`.
pub(super) fn receive<'a>(
    connector: &'a mut ProcConnector,
    tracker: &Tracker,
    deadline: Option<Instant>,
) -> Result<Batch<'a>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    match [left, tracker.rescan_in()].into_iter().flatten().min() {
        None => connector.recv_batch(),
        Some(time) => connector.recv_batch_timeout(time),
    }
}

/// The table, and the connector's properties.
impl ProcessStream {
    /// The table, which includes all changes that were yielded, and possibly later ones.
    pub fn table(&self) -> &ProcessTable {
        &self.tracker.table
    }

    /// The totals of the connector since it was opened, and the transport in use.
    pub fn stats(&self) -> Stats {
        self.connector.stats()
    }

    /// Returns a handle that ends receives from another thread. The iterator ends then, after it
    /// has yielded the changes that were already applied.
    pub fn shutdown_handle(&self) -> Shutdown {
        self.connector.shutdown_handle()
    }
}

/// Waits for items, until a [`Shutdown`] handle is used. It continues after an error of the system:
/// the next call tries again.
impl Iterator for ProcessStream {
    type Item = Result<ProcessItem>;

    fn next(&mut self) -> Option<Result<ProcessItem>> {
        match self.next_change() {
            Err(Error::Shutdown) => None,
            result => Some(result),
        }
    }
}

impl fmt::Debug for ProcessStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessStream")
            .field("connector", &self.connector)
            .field("processes", &self.tracker.table.len())
            .finish_non_exhaustive()
    }
}
