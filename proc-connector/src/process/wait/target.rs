//! One process that is waited for: its descriptor, and what a stream reported about its end.
//!
//! The descriptor proves whether this very process has ended. The stream has the status, the usage
//! and the times, but identifies the process by its id and its start.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::process::Process;
use super::super::table::ProcessTable;
use super::ProcessExit;
use crate::platform::ProcessHandle;

#[derive(Debug)]
pub(super) struct Target {
    pub(super) tgid: u32,
    /// `None`: the process has been reaped, and its exit is expected in the stream.
    pub(super) handle: Option<ProcessHandle>,
    /// `CLOCK_MONOTONIC` before the descriptor was opened: processes that started later are others.
    opened_ns: u64,
    /// Whether the process was running when the descriptor had been opened.
    was_running: bool,
    /// Whether the table was searched for an end that was reported before the wait.
    is_searched: bool,
    report: Option<Report>,
    /// When the descriptor first showed that the process has ended.
    over_since: Option<Instant>,
}

/// An end that the stream reported, possibly of an earlier process with the same id.
#[derive(Debug)]
struct Report {
    process: Arc<Process>,
    at: Instant,
}

/// How long the event of an exit may arrive after the process is known to have ended. Its sender
/// may wait for a CPU.
const EVENT_TIME: Duration = Duration::from_secs(1);

/// How often the descriptor is polled while the stream reports nothing.
const POLL_TIME: Duration = Duration::from_millis(250);

/// How long an event may arrive after a scan of `/proc` found that the process has ended.
const LATE_EVENT_TIME: Duration = Duration::from_millis(100);

/// The kernel may send the event of the last exit shortly before the descriptor becomes readable.
const EARLY_EVENT_TIME: Duration = Duration::from_nanos(EARLY_EVENT_NS);
const EARLY_EVENT_NS: u64 = 20_000_000;

/// How long a parent may take to reap an ended process.
const REAP_TIME: Duration = Duration::from_millis(100);

impl Target {
    /// The process that a descriptor refers to, which was opened after `opened_ns`.
    ///
    /// # Errors
    ///
    /// An error of polling the descriptor.
    pub(super) fn new(tgid: u32, handle: ProcessHandle, opened_ns: u64) -> io::Result<Self> {
        let was_running = !handle.has_ended()?;
        Ok(Self { handle: Some(handle), was_running, ..Self::reaped(tgid, opened_ns) })
    }

    /// The process that last had this id before `opened_ns`.
    pub(super) fn reaped(tgid: u32, opened_ns: u64) -> Self {
        Self {
            tgid,
            handle: None,
            opened_ns,
            was_running: false,
            is_searched: false,
            report: None,
            over_since: None,
        }
    }

    /// Whether a process with the same id can be the target.
    fn can_be(&self, process: &Process) -> bool {
        process.tgid() == self.tgid
            && process.start_ns().is_none_or(|start| start <= self.opened_ns)
            && (!self.was_running || process.end_ns().is_none_or(|end| self.earliest_end() <= end))
    }

    /// The earliest time stamp that an exit of a process can have that was running at `opened_ns`.
    fn earliest_end(&self) -> u64 {
        self.opened_ns.saturating_sub(EARLY_EVENT_NS)
    }

    /// Records that a process with the same id exists. Ends that were reported before are those of
    /// predecessors.
    pub(super) fn record_start(&mut self, process: &Process) {
        if self.can_be(process) {
            self.report = None;
        }
    }

    /// Records the end of a process with the same id.
    pub(super) fn record_end(&mut self, process: &Process) {
        if self.can_be(process) {
            let (process, at) = (Arc::new(process.clone()), Instant::now());
            self.report = Some(Report { process, at });
        }
    }

    /// Searches the table for an end that was reported before the wait.
    pub(super) fn search(&mut self, table: &ProcessTable) {
        if std::mem::replace(&mut self.is_searched, true) || self.report.is_some() {
            return;
        }
        if !table.get(self.tgid).is_some_and(|live| self.can_be(live)) {
            if let Some(ended) = table.ended().rev().find(|process| self.can_be(process)) {
                self.record_end(ended);
            }
        }
    }

    /// The exit, once it is certain. `is_over`: the descriptor shows that the process has ended.
    pub(super) fn exit(
        &mut self,
        is_over: bool,
        table: &ProcessTable,
        now: Instant,
    ) -> Option<ProcessExit> {
        let is_over = is_over || self.handle.is_none();
        let live = table.get(self.tgid).filter(|live| self.can_be(live));
        if let Some(report) = &self.report {
            let age = now.saturating_duration_since(report.at);
            if !is_over {
                // The reported process is a predecessor if another has the id, or if the target is
                // still running long after the report.
                if live.is_some() || age > EVENT_TIME {
                    self.report = None;
                }
                return None;
            }
            let reported = report.process.exit_status();
            if reported.is_none() && age < LATE_EVENT_TIME {
                return None;
            }
            // The descriptor's status is that of this very process. The table can have missed the
            // start of the process, or infer the status from the wrong exit.
            let status = self.handle.as_ref().and_then(ProcessHandle::status);
            let is_same = status.is_none() || reported.is_none() || status == reported;
            let is_same = is_same || report.process.start_boottime_ns().is_none();
            let process = is_same.then(|| Arc::clone(&report.process));
            return Some(ProcessExit::new(self.tgid, status.or(reported), process));
        }
        if !is_over {
            return None;
        }
        let over_since = *self.over_since.get_or_insert(now);
        // The event was lost, or a filter dropped it.
        (now.saturating_duration_since(over_since) >= EVENT_TIME).then(|| {
            let status = self.handle.as_ref().and_then(ProcessHandle::status);
            ProcessExit::new(self.tgid, status, live.map(|live| Arc::new(live.clone())))
        })
    }

    /// The exit as the descriptor alone shows it. If the status is unknown until the parent has reaped
    /// the process, waits for that until [`REAP_TIME`] after `polled`.
    pub(super) fn exit_by_handle(&self, polled: Instant) -> ProcessExit {
        let status = self.handle.as_ref().and_then(|handle| {
            handle.status().or_else(|| {
                handle.wait_reaped(REAP_TIME.saturating_sub(polled.elapsed()));
                handle.status()
            })
        });
        ProcessExit::new(self.tgid, status, None)
    }

    /// When to call [`exit`](Self::exit) again, even if the stream reports nothing.
    pub(super) fn check_in(&self, now: Instant) -> Duration {
        match (&self.report, self.over_since) {
            (Some(report), _) if now.saturating_duration_since(report.at) < EARLY_EVENT_TIME => {
                Duration::from_millis(1)
            }
            (Some(_), _) => EARLY_EVENT_TIME,
            (None, Some(since)) => EVENT_TIME.saturating_sub(now.saturating_duration_since(since)),
            (None, None) => POLL_TIME,
        }
    }
}
