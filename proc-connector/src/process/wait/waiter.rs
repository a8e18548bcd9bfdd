//! Waiting for several processes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use super::super::change::{Change, ChangeKind};
use super::super::proc_fs;
use super::super::process::Process;
use super::super::table::ProcessTable;
use super::target::Target;
use super::{ProcessExit, WaitError};
use crate::platform::{HandleError, ProcessHandle, clock_ns};

/// Processes to wait for, each identified by a descriptor that never refers to a later process with
/// the same id.
///
/// [`wait`](Self::wait) uses the descriptors alone.
/// [`ProcessStream::next_exit`](super::super::ProcessStream::next_exit) adds what events report:
/// the status of any process, its usage and its lifetime. A waiter uses one file descriptor for each
/// process.
///
/// ```no_run
/// use proc_connector::process::ExitWaiter;
///
/// let mut waiter = ExitWaiter::new();
/// for pid in [4711, 4712] {
///     waiter.add(pid)?;
/// }
/// while let Some(exit) = waiter.wait(None)? {
///     println!("{} ended: {:?}", exit.tgid(), exit.status());
/// }
/// # Ok::<(), proc_connector::process::WaitError>(())
/// ```
#[derive(Debug, Default)]
pub struct ExitWaiter {
    targets: HashMap<u32, Target>,
    /// Exits that were not returned yet.
    exits: VecDeque<ProcessExit>,
    /// When to poll the descriptors next; `None`: immediately.
    next_poll: Option<Instant>,
    /// Whether processes were added that no stream has caught up with.
    has_news: bool,
}

impl ExitWaiter {
    /// A waiter without processes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the process that has this id now. It need not be a child, and may have ended if it was
    /// not reaped yet. Adding a process again has no effect.
    ///
    /// # Errors
    ///
    /// - [`WaitError::InvalidPid`] for zero and for numbers that are no process ids.
    /// - [`WaitError::OwnProcess`] for the calling process.
    /// - [`WaitError::NoSuchProcess`] if no process has the id.
    /// - [`WaitError::Thread`] if it is the id of a thread other than the first of its process.
    /// - [`WaitError::Unsupported`] if the kernel is older than Linux 5.3, or a sandbox forbids
    ///   `pidfd_open`.
    /// - [`WaitError::Os`] for any other error of the system.
    pub fn add(&mut self, pid: u32) -> Result<(), WaitError> {
        if pid == 0 || i32::try_from(pid).is_err() {
            return Err(WaitError::InvalidPid(pid));
        }
        if pid == std::process::id() {
            return Err(WaitError::OwnProcess);
        }
        if self.targets.contains_key(&pid) {
            return Ok(());
        }
        let opened_ns = clock_ns();
        let handle = ProcessHandle::open(pid).map_err(|error| match error {
            HandleError::NoSuchProcess => WaitError::NoSuchProcess(pid),
            HandleError::Thread(tgid) => WaitError::Thread { tid: pid, tgid },
            HandleError::Unsupported(error) => WaitError::Unsupported(error),
            HandleError::Os(error) => error.into(),
        })?;
        // A process that is not reaped has its id to itself.
        let start = proc_fs::start(pid).filter(|_| handle.is_unreaped());
        self.targets.insert(pid, Target::new(pid, handle, start, opened_ns)?);
        self.has_news = true;
        Ok(())
    }

    /// Adds a process that has been reaped, but whose exit a stream has not reported yet.
    pub(crate) fn add_reaped(&mut self, process: &Process) {
        self.targets.insert(process.tgid(), Target::reaped(process));
        self.next_poll = None;
    }

    /// The number of processes whose exits were not returned yet.
    pub fn len(&self) -> usize {
        self.targets.len() + self.exits.len()
    }

    /// Whether the exits of all processes were returned.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until one of the processes has ended, and removes it. `None` if all are still running
    /// after `timeout`, or if none was added; without a `timeout` the wait is unlimited.
    ///
    /// A signal does not end the wait.
    ///
    /// # Errors
    ///
    /// [`WaitError::Os`] for an error of the system.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<ProcessExit>, WaitError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(exit) = self.exits.pop_front() {
                return Ok(Some(exit));
            }
            if self.targets.is_empty() {
                return Ok(None);
            }
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let ended = self.poll(left)?;
            let polled = Instant::now();
            for tgid in ended {
                let ended = self.targets.remove(&tgid);
                self.exits.extend(ended.map(|target| target.exit_by_handle(polled)));
            }
            if self.exits.is_empty() && left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
        }
    }

    /// Waits until one of the processes has ended, a signal arrives or `timeout` has passed.
    /// Returns which have ended.
    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Vec<u32>> {
        let with_handle = || self.targets.values().filter(|target| target.handle.is_some());
        let handles = with_handle().filter_map(|target| target.handle.as_ref());
        let ended = match ProcessHandle::poll_ended(handles, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Vec::new(),
            ended => ended?,
        };
        let ended = with_handle().zip(ended).filter(|(_, ended)| *ended);
        Ok(ended.map(|(target, _)| target.tgid).collect())
    }
}

/// Waiting with a stream.
impl ExitWaiter {
    /// Notes a change that the stream reports.
    pub(crate) fn observe(&mut self, change: Change<'_>) {
        let is_end = match change.kind {
            ChangeKind::Ended | ChangeKind::Vanished => true,
            ChangeKind::Started | ChangeKind::Appeared => false,
            _ => return,
        };
        let Some(target) = self.targets.get_mut(&change.process.tgid()) else { return };
        if is_end {
            target.record_end(change.process);
        } else {
            target.record_start(change.process);
        }
        self.next_poll = None;
    }

    /// Whether the stream must first apply all events that have arrived: among them are the starts
    /// of the processes that were added, and the ends of their predecessors. Returns true once.
    pub(crate) fn take_news(&mut self) -> bool {
        let has_news = std::mem::take(&mut self.has_news);
        if has_news {
            self.next_poll = None;
        }
        has_news
    }

    /// Makes the next call of [`next_proven`](Self::next_proven) poll the descriptors.
    pub(crate) fn poll_next_time(&mut self) {
        self.next_poll = None;
    }

    /// Whether a process has ended whose exit is not proven yet.
    pub(crate) fn has_ended(&self) -> bool {
        self.targets.values().any(Target::has_ended)
    }

    /// Takes the next exit of the processes that had ended at the last poll, with what is known of it
    /// now.
    pub(crate) fn next_ended(&mut self, table: &ProcessTable) -> Option<ProcessExit> {
        self.targets.retain(|_, target| {
            let exit = target.has_ended().then(|| target.known_exit(table));
            let is_waiting = exit.is_none();
            self.exits.extend(exit);
            is_waiting
        });
        self.exits.pop_front()
    }

    /// When to call [`next_proven`](Self::next_proven) again, even if the stream reports nothing.
    pub(crate) fn next_poll(&self) -> Instant {
        self.next_poll.unwrap_or_else(Instant::now)
    }

    /// Takes the next exit that the descriptors and the stream together prove.
    ///
    /// # Errors
    ///
    /// An error of the system if the descriptors cannot be polled.
    pub(crate) fn next_proven(&mut self, table: &ProcessTable) -> io::Result<Option<ProcessExit>> {
        if let Some(exit) = self.exits.pop_front() {
            return Ok(Some(exit));
        }
        self.targets.values_mut().for_each(|target| target.search(table));
        let now = Instant::now();
        if self.next_poll.is_none_or(|next| next <= now) {
            let over = self.poll(Some(Duration::ZERO))?;
            self.targets.retain(|tgid, target| {
                let exit = target.exit(over.contains(tgid), table, now);
                let is_waiting = exit.is_none();
                self.exits.extend(exit);
                is_waiting
            });
            let soonest = self.targets.values().map(|target| target.check_in(now)).min();
            self.next_poll = soonest.map(|time| now + time);
        }
        Ok(self.exits.pop_front())
    }
}
