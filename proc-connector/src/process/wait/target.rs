//! One process that is waited for: its descriptor, and what a stream reported about its end.
//!
//! The descriptor proves whether this very process has ended. The stream has the status, the usage
//! and the times, but identifies the process by its id and its start.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::process::Process;
use super::super::table::ProcessTable;
use super::super::time::Start;
use super::ProcessExit;
use super::identity::{EARLY_EVENT_NS, Identity};
use crate::platform::ProcessHandle;

#[derive(Debug)]
pub(super) struct Target {
    pub(super) tgid: u32,
    /// `None`: the process has been reaped, and its exit is expected in the stream.
    pub(super) handle: Option<ProcessHandle>,
    identity: Identity,
    /// Whether the table was searched for an end that was reported before the wait.
    is_searched: bool,
    report: Option<Report>,
    /// Whether the end of a process was reported that has the same id and an unknown start.
    has_doubtful_report: bool,
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

/// How soon after a report the descriptor usually becomes readable.
const EARLY_EVENT_TIME: Duration = Duration::from_nanos(EARLY_EVENT_NS);

/// How long a parent may take to reap an ended process.
const REAP_TIME: Duration = Duration::from_millis(100);

impl Target {
    /// The process that a descriptor refers to, which was opened after `opened_ns`. `start` is
    /// that of `/proc`.
    ///
    /// # Errors
    ///
    /// An error of polling the descriptor.
    pub(super) fn new(
        tgid: u32,
        handle: ProcessHandle,
        start: Option<Start>,
        opened_ns: u64,
    ) -> io::Result<Self> {
        let identity = match start {
            Some(start) => Identity::Start { start, opened_ns },
            None => Identity::Opened { opened_ns, was_running: !handle.has_ended()? },
        };
        Ok(Self::with(tgid, Some(handle), identity))
    }

    /// A reaped process whose end the table has not recorded.
    pub(super) fn reaped(process: &Process) -> Self {
        Self::with(process.tgid(), None, Identity::Record(process.serial()))
    }

    fn with(tgid: u32, handle: Option<ProcessHandle>, identity: Identity) -> Self {
        Self {
            tgid,
            handle,
            identity,
            is_searched: false,
            report: None,
            has_doubtful_report: false,
            over_since: None,
        }
    }

    /// Whether a process of the table can be the target.
    fn can_be(&self, process: &Process) -> bool {
        process.tgid() == self.tgid && self.identity.can_be(process)
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
        } else if process.start_ns().is_none() && process.start_boottime_ns().is_none() {
            self.has_doubtful_report = true;
        }
    }

    /// Searches the table for an end that was reported before the wait.
    pub(super) fn search(&mut self, table: &ProcessTable) {
        if std::mem::replace(&mut self.is_searched, true) || self.report.is_some() {
            return;
        }
        if self.live(table).is_none() {
            if let Some(ended) = table.ended().rev().find(|process| self.can_be(process)) {
                self.record_end(ended);
            }
        }
    }

    fn live<'a>(&self, table: &'a ProcessTable) -> Option<&'a Process> {
        table.get(self.tgid).filter(|live| self.can_be(live))
    }

    /// The exit, once it is certain. `is_over`: the descriptor shows that the process has ended.
    pub(super) fn exit(
        &mut self,
        is_over: bool,
        table: &ProcessTable,
        now: Instant,
    ) -> Option<ProcessExit> {
        let report_age =
            self.report.as_ref().map(|report| now.saturating_duration_since(report.at));
        if !is_over && self.handle.is_some() {
            // The reported process is a predecessor if the target is still running long after the
            // report. A tracer can keep the last threads of the target itself as zombies.
            if report_age > Some(EVENT_TIME) && !self.identity.is_certain() {
                self.report = None;
            }
            return None;
        }
        let over_since = *self.over_since.get_or_insert(now);
        let is_final = match (&self.report, report_age) {
            (Some(report), Some(age)) => {
                report.process.exit_status().is_some() || age >= LATE_EVENT_TIME
            }
            // The event was lost, or a filter dropped it.
            _ => now.saturating_duration_since(over_since) >= EVENT_TIME,
        };
        if is_final {
            return Some(self.known_exit(table));
        }
        // The table has no record of the target that can still end.
        let is_unrecorded = self.report.is_none() && self.live(table).is_none();
        (self.has_doubtful_report && is_unrecorded)
            .then(|| self.known_exit(table))
            .filter(|exit| exit.status().is_some())
    }

    /// Whether the process had ended when its descriptor was last polled.
    pub(super) fn has_ended(&self) -> bool {
        self.over_since.is_some()
    }

    /// The exit of the ended process, with what is known of it now.
    pub(super) fn known_exit(&self, table: &ProcessTable) -> ProcessExit {
        let status = self.handle.as_ref().and_then(ProcessHandle::status);
        let Some(Report { process, .. }) = &self.report else {
            let live = self.live(table).map(|live| Arc::new(live.clone()));
            return ProcessExit::new(self.tgid, status, live);
        };
        // The descriptor's status is that of this very process. The table can have missed the
        // start of the process, or infer the status from the wrong exit.
        let reported = process.exit_status();
        let is_same = status.is_none()
            || reported.is_none()
            || status == reported
            || process.start_boottime_ns().is_none();
        let process = is_same.then(|| Arc::clone(process));
        ProcessExit::new(self.tgid, status.or(reported), process)
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
            (Some(report), None) if now.saturating_duration_since(report.at) > EVENT_TIME => {
                POLL_TIME
            }
            (Some(_), _) => EARLY_EVENT_TIME,
            (None, Some(since)) => EVENT_TIME.saturating_sub(now.saturating_duration_since(since)),
            (None, None) => POLL_TIME,
        }
    }
}
