//! Programs that were read from `/proc` because the events do not contain them, until it is certain that
//! they are those of the exec.
//!
//! `/proc` is read after the event, and shows a later program as soon as the process executes one: even
//! before the event of that exec is sent. A reading is certain if
//!
//! - the process was idle, exited or used CPU time after the reading, so that no exec was in progress;
//! - all events that had been sent by then were applied, and none was another exec of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hasher::ById;
use super::process::{Name, Process};
use super::snapshot::{Activity, Image};

/// How soon a receive that finds no events is expected to make a reading certain.
const RECEIVE: Duration = Duration::from_millis(1);

/// The pause before the first check of a busy process; each further one is twice as long.
pub(super) const FIRST_CHECK: Duration = Duration::from_millis(1);

/// The pause that is not doubled again. The reading is then discarded.
pub(super) const LAST_CHECK: Duration = Duration::from_millis(128);

/// The part of an exec in which `/proc` shows the new arguments, before the event is sent, needs much
/// less CPU time than this number of ticks minus one.
const CPU_TICKS: u64 = 2;

/// The uncertain readings, by process id.
#[derive(Debug)]
pub(super) struct Readings {
    pub(super) by_tgid: ById<u32, Reading>,
    /// The earliest time at which a process was seen, or the maximum.
    pub(super) seen_ns: u64,
    /// How often the caller has received events.
    pub(super) receives: u64,
    /// Whether an event was applied since the last receive.
    pub(super) has_applied: bool,
}

/// What `/proc` shows of a process.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) serial: u64,
    /// `CLOCK_MONOTONIC` before the read, in nanoseconds.
    pub(super) read_ns: u64,
    /// The process after its exec, whose change is not reported yet. `None`: the process was created.
    pub(super) executed: Option<Arc<Process>>,
    /// `None`: an exec may have been in progress.
    pub(super) values: Option<Values>,
    /// The CPU time of the process when it was read.
    pub(super) cpu_ticks: u64,
    pub(super) seen: Option<Seen>,
    pub(super) check_at: Instant,
    pub(super) pause: Duration,
    /// The processes that inherit the values.
    pub(super) heirs: Vec<Heir>,
}

#[derive(Debug)]
pub(super) struct Values {
    image: Image,
    comm: Option<Name>,
}

/// When no exec was in progress, after the reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) ns: u64,
    /// The number of receives until then.
    pub(super) receives: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Heir {
    pub(super) tgid: u32,
    pub(super) serial: u64,
    pub(super) inherits_name: bool,
}

impl Default for Readings {
    fn default() -> Self {
        let by_tgid = ById::default();
        Self { by_tgid, seen_ns: u64::MAX, receives: 0, has_applied: false }
    }
}

impl Values {
    /// `None` if the arguments are missing, as during an exec.
    pub(super) fn new(image: Option<Image>, comm: &[u8], activity: Activity) -> Option<Self> {
        let mut image = image.filter(|image| image.args.is_some())?;
        if activity.has_other_args {
            image.args = None;
        }
        Some(Self { image, comm: Some(Name::new(comm)).filter(|_| !comm.is_empty()) })
    }
}

impl Reading {
    pub(super) fn fill_in(&self, process: &mut Process, inherits_name: bool) {
        let Some(Values { image, comm }) = &self.values else { return };
        if process.image.is_none() {
            process.image = Some(Arc::new(image.clone()));
        }
        if inherits_name {
            process.comm = process.comm.or(*comm);
        }
    }

    /// Notes what the process does now.
    pub(super) fn note(&mut self, activity: Activity, receives: u64) {
        let has_run = activity.cpu_ticks >= self.cpu_ticks.saturating_add(CPU_TICKS);
        if self.values.is_some() && (activity.is_idle || has_run) {
            self.seen = Some(Seen { ns: activity.read_ns, receives });
        }
    }
}

impl Readings {
    /// The time until a reading must be checked, or can become certain by a receive without events.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let readings = self.by_tgid.values();
        let due = readings.map(|reading| match reading.seen {
            Some(_) => RECEIVE,
            None => reading.check_at.saturating_duration_since(Instant::now()),
        });
        due.min()
    }

    /// The serial of the process whose exec is reported later.
    pub(super) fn exec_awaited_by(&self, process: &Process) -> Option<u64> {
        let reading = self.by_tgid.get(&process.awaits?)?;
        reading.executed.as_ref().map(|_| reading.serial)
    }

    /// Adds a process that inherits the values of the process that it awaits.
    pub(super) fn add_heir(&mut self, heir: &Process, inherits_name: bool) {
        if let Some(reading) = heir.awaits.and_then(|owner| self.by_tgid.get_mut(&owner)) {
            let &Process { tgid, serial, .. } = heir;
            reading.heirs.push(Heir { tgid, serial, inherits_name });
        }
    }

    /// The processes that were seen at a time for which this holds.
    pub(super) fn seen_where(&self, holds: impl Fn(Seen) -> bool) -> Vec<u32> {
        let seen = self.by_tgid.iter().filter(|(_, reading)| reading.seen.is_some_and(&holds));
        seen.map(|(&tgid, _)| tgid).collect()
    }

    pub(super) fn update_seen_ns(&mut self) {
        let seen = self.by_tgid.values().filter_map(|reading| reading.seen);
        self.seen_ns = seen.map(|seen| seen.ns).min().unwrap_or(u64::MAX);
    }
}
