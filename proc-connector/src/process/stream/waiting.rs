//! Waiting for exits with a stream.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::wait::{ExitWaiter, ProcessExit, WaitError};
use super::process_stream::{ProcessStream, receive};
use super::tracker::{Tracker, WAIT_CAPACITY};
use crate::error::Error;
use crate::platform::ProcConnector;

impl ProcessStream {
    /// Waits until a process has ended. `None` if it is still running after `timeout`; without a
    /// `timeout` the wait is unlimited.
    ///
    /// The process need not be a child, and stays unreaped. A process that ended before the call is
    /// found if its parent has not reaped it, or if the table still
    /// [keeps](super::super::ProcessTable::keep_ended) it. A later process with the same id is never
    /// taken for the process that had the id at the time of the call.
    ///
    /// Changes that arrive meanwhile stay queued for [`next_change`](Self::next_change). The queue
    /// holds 16,384 of them, or fewer if the processes occupy 16 MiB; further ones are counted, and
    /// the count is yielded as a loss of the cause
    /// [`QueueFull`](crate::LossCause::QueueFull). A stream that is only used to wait need not queue
    /// any: see [`only`](Self::only).
    ///
    /// ```no_run
    /// use proc_connector::process::ProcessStream;
    /// use std::time::Duration;
    ///
    /// let mut stream = ProcessStream::open()?;
    /// match stream.wait_for_exit(4711, Some(Duration::from_secs(10)))? {
    ///     Some(exit) => println!("{:?} after {:?} ns", exit.status(), exit.lifetime_ns()),
    ///     None => println!("it is still running"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ExitWaiter::add`] and [`next_exit`](Self::next_exit).
    pub fn wait_for_exit(
        &mut self,
        pid: u32,
        timeout: Option<Duration>,
    ) -> Result<Option<ProcessExit>, WaitError> {
        let mut waiter = ExitWaiter::new();
        let added = add(&mut self.connector, &mut self.tracker, &mut waiter, pid);
        self.update_descriptor();
        match added? {
            Some(exit) => Ok(Some(exit)),
            None => self.next_exit(&mut waiter, timeout),
        }
    }

    /// Waits until one of the processes of a waiter has ended, and removes it from the waiter.
    /// `None` if all are still running after `timeout`, or if none is left; without a `timeout` the
    /// wait is unlimited.
    ///
    /// The end of a process is certain when its descriptor shows it. Its status, usage and lifetime
    /// are those that the stream reports. If that event is lost or filtered out, the call returns
    /// about a second after the end, with the status that the kernel reports by the descriptor.
    ///
    /// A process that has ended is never reported as running. If its event has not arrived at the
    /// timeout, the call waits for the event for up to 100 ms more, then returns the exit without the
    /// usage and the lifetime. With a timeout of zero, and on a non-blocking connector, the call
    /// never waits.
    ///
    /// Changes stay queued as in [`wait_for_exit`](Self::wait_for_exit).
    ///
    /// # Errors
    ///
    /// - [`WaitError::Receive`] for the errors of [`next_change`](Self::next_change).
    /// - [`WaitError::Os`] for any other error of the system.
    pub fn next_exit(
        &mut self,
        waiter: &mut ExitWaiter,
        timeout: Option<Duration>,
    ) -> Result<Option<ProcessExit>, WaitError> {
        let exit = self.wait_for_next(waiter, timeout);
        // Changes may have been queued, also before an error.
        self.update_descriptor();
        exit
    }

    fn wait_for_next(
        &mut self,
        waiter: &mut ExitWaiter,
        timeout: Option<Duration>,
    ) -> Result<Option<ProcessExit>, WaitError> {
        let timeout = if self.connector.is_nonblocking() { Some(Duration::ZERO) } else { timeout };
        let mut deadline = WaitDeadline::after(timeout);
        if waiter.take_news() {
            catch_up(&mut self.connector, &mut self.tracker, waiter)?;
        }
        loop {
            if let Some(exit) = waiter.next_proven(&self.tracker.table)? {
                return Ok(Some(exit));
            }
            if waiter.is_empty() {
                return Ok(None);
            }
            if deadline.has_passed() {
                let (connector, tracker) = (&mut self.connector, &mut self.tracker);
                match at_deadline(connector, tracker, waiter, &mut deadline)? {
                    ControlFlow::Break(exit) => return Ok(exit),
                    ControlFlow::Continue(()) => continue,
                }
            }
            let until = deadline.min(waiter.next_poll());
            let batch = receive(&mut self.connector, &self.tracker, Some(until))?;
            self.tracker.apply_observed(batch, WAIT_CAPACITY, |change| waiter.observe(change));
        }
    }
}

/// How long a wait continues after its timeout if a process has ended whose event has not arrived.
const EVENT_GRACE: Duration = Duration::from_millis(100);

/// When a wait returns although no exit is proven.
#[derive(Debug)]
pub(super) struct WaitDeadline {
    at: Option<Instant>,
    /// Whether the wait may continue for [`EVENT_GRACE`].
    has_grace: bool,
}

impl WaitDeadline {
    /// A time that is too late to be represented is no limit.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { at, has_grace: timeout.is_some_and(|timeout| !timeout.is_zero()) }
    }

    pub(super) fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// The earlier of the deadline and `time`.
    pub(super) fn min(&self, time: Instant) -> Instant {
        self.at.map_or(time, |at| at.min(time))
    }

    /// Extends the deadline. Returns false if that is not permitted, or was done before.
    fn extend(&mut self) -> bool {
        let has_grace = std::mem::take(&mut self.has_grace);
        if has_grace {
            self.at = Instant::now().checked_add(EVENT_GRACE);
        }
        has_grace
    }
}

/// Ends a wait at its deadline, or extends the deadline if a process has ended whose event has not
/// arrived.
pub(super) fn at_deadline(
    connector: &mut ProcConnector,
    tracker: &mut Tracker,
    waiter: &mut ExitWaiter,
    deadline: &mut WaitDeadline,
) -> Result<ControlFlow<Option<ProcessExit>>, WaitError> {
    catch_up(connector, tracker, waiter)?;
    waiter.poll_next_time();
    if let Some(exit) = waiter.next_proven(&tracker.table)? {
        return Ok(ControlFlow::Break(Some(exit)));
    }
    if waiter.has_ended() && deadline.extend() {
        return Ok(ControlFlow::Continue(()));
    }
    Ok(ControlFlow::Break(waiter.next_ended(&tracker.table)))
}

/// Adds a process to a waiter. If it no longer exists, but the stream has reported its end, returns
/// that instead.
pub(super) fn add(
    connector: &mut ProcConnector,
    tracker: &mut Tracker,
    waiter: &mut ExitWaiter,
    pid: u32,
) -> Result<Option<ProcessExit>, WaitError> {
    match waiter.add(pid) {
        Err(WaitError::NoSuchProcess(_)) => {}
        added => return added.map(|()| None),
    }
    catch_up(connector, tracker, waiter)?;
    if let Some(process) = tracker.table.get(pid) {
        waiter.add_reaped(process);
        return Ok(None);
    }
    let ended = tracker.table.ended().rev().find(|process| process.tgid() == pid);
    let ended = ended.ok_or(WaitError::NoSuchProcess(pid))?;
    Ok(Some(ProcessExit::recorded(Arc::new(ended.clone()))))
}

/// Applies what has arrived, at most as many events as the buffer holds.
pub(super) fn catch_up(
    connector: &mut ProcConnector,
    tracker: &mut Tracker,
    waiter: &mut ExitWaiter,
) -> Result<(), Error> {
    let mut left = connector.stats().receive_buffer_events;
    loop {
        let batch = connector.try_recv_batch()?;
        let is_everything_read = batch.is_none();
        let batch = batch.into_iter().flatten();
        let applied = tracker.apply_observed(batch, WAIT_CAPACITY, |change| waiter.observe(change));
        // All datagrams of a batch may have been refused.
        left = left.saturating_sub(applied.max(1));
        if is_everything_read || left == 0 {
            return Ok(());
        }
    }
}
