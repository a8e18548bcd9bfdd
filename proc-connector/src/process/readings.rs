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

use super::change::ChangeKind;
use super::hasher::ById;
use super::process::{End, Name, Process};
use super::snapshot::{Activity, Fields, Image, Snapshot};
use super::table::ProcessTable;

/// How soon a receive that finds no events is expected to make a reading certain.
const RECEIVE: Duration = Duration::from_millis(1);

/// The pause before the first check of a busy process; each further one is twice as long.
const FIRST_CHECK: Duration = Duration::from_millis(1);

/// The pause that is not doubled again. The reading is then discarded.
const LAST_CHECK: Duration = Duration::from_millis(128);

/// The part of an exec in which `/proc` shows the new arguments, before the event is sent, needs much
/// less CPU time than this number of ticks minus one.
const CPU_TICKS: u64 = 2;

/// The uncertain readings, by process id.
#[derive(Debug)]
pub(super) struct Readings {
    by_tgid: ById<u32, Reading>,
    /// The earliest time at which a process was seen, or the maximum.
    seen_ns: u64,
    /// How often the caller has received events.
    receives: u64,
    /// Whether an event was applied since the last receive.
    has_applied: bool,
}

/// What `/proc` shows of a process.
#[derive(Debug)]
struct Reading {
    serial: u64,
    /// `CLOCK_MONOTONIC` before the read, in nanoseconds.
    read_ns: u64,
    /// The process after its exec, whose change is not reported yet. `None`: the process was created.
    executed: Option<Arc<Process>>,
    /// `None`: an exec may have been in progress.
    values: Option<Values>,
    /// The CPU time of the process when it was read.
    cpu_ticks: u64,
    seen: Option<Seen>,
    check_at: Instant,
    pause: Duration,
    /// The processes that inherit the values.
    heirs: Vec<Heir>,
}

#[derive(Debug)]
struct Values {
    image: Image,
    comm: Option<Name>,
}

/// When no exec was in progress, after the reading.
#[derive(Clone, Copy, Debug)]
struct Seen {
    ns: u64,
    /// The number of receives until then.
    receives: u64,
}

#[derive(Clone, Copy, Debug)]
struct Heir {
    tgid: u32,
    serial: u64,
    inherits_name: bool,
}

impl Default for Readings {
    fn default() -> Self {
        let by_tgid = ById::default();
        Self { by_tgid, seen_ns: u64::MAX, receives: 0, has_applied: false }
    }
}

impl Values {
    /// `None` if the arguments are missing, as during an exec.
    fn new(image: Option<Image>, comm: &[u8], activity: Activity) -> Option<Self> {
        let mut image = image.filter(|image| image.args.is_some())?;
        if activity.has_other_args {
            image.args = None;
        }
        Some(Self { image, comm: Some(Name::new(comm)).filter(|_| !comm.is_empty()) })
    }
}

impl Reading {
    fn fill_in(&self, process: &mut Process, inherits_name: bool) {
        let Some(Values { image, comm }) = &self.values else { return };
        if process.image.is_none() {
            process.image = Some(Arc::new(image.clone()));
        }
        if inherits_name {
            process.comm = process.comm.or(*comm);
        }
    }

    /// Notes what the process does now.
    fn note(&mut self, activity: Activity, receives: u64) {
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
    fn seen_where(&self, holds: impl Fn(Seen) -> bool) -> Vec<u32> {
        let seen = self.by_tgid.iter().filter(|(_, reading)| reading.seen.is_some_and(&holds));
        seen.map(|(&tgid, _)| tgid).collect()
    }

    fn update_seen_ns(&mut self) {
        let seen = self.by_tgid.values().filter_map(|reading| reading.seen);
        self.seen_ns = seen.map(|seen| seen.ns).min().unwrap_or(u64::MAX);
    }
}

impl ProcessTable {
    /// Keeps what `/proc` shows of the program of a process until it is certain. Returns whether
    /// [`ChangeKind::Executed`] is reported then.
    pub(super) fn await_program(&mut self, tgid: u32, snapshot: Snapshot, is_exec: bool) -> bool {
        let Some(activity) = snapshot.activity.filter(|_| snapshot.image.is_some()) else {
            return false;
        };
        self.settle(tgid, false);
        let Some(process) = self.population.live.get_mut(tgid) else { return false };
        if process.has_executed() && !activity.has_executed {
            // A later process has this id.
            return false;
        }
        process.awaits = Some(tgid);
        let serial = process.serial;
        let executed = is_exec.then(|| Arc::new(process.clone()));
        let mut reading = Reading {
            serial,
            read_ns: snapshot.seen_ns,
            executed,
            values: Values::new(snapshot.image, &snapshot.comm, activity),
            cpu_ticks: activity.cpu_ticks,
            seen: None,
            check_at: Instant::now() + FIRST_CHECK,
            pause: FIRST_CHECK,
            heirs: Vec::new(),
        };
        reading.note(activity, self.readings.receives);
        self.readings.by_tgid.insert(tgid, reading);
        self.readings.update_seen_ns();
        is_exec
    }

    /// Removes the reading of a process, and uses its values if they are `certain`. Reports the exec.
    /// Reads heirs for which a value is still missing.
    pub(super) fn settle(&mut self, tgid: u32, certain: bool) {
        if self.readings.by_tgid.is_empty() {
            return;
        }
        let Some(mut reading) = self.readings.by_tgid.remove(&tgid) else { return };
        if !certain {
            reading.values = None;
        }
        let own = Heir { tgid, serial: reading.serial, inherits_name: true };
        // A name in the process is that of a later event, and one that was changed before a scan has no
        // effect. The name at the exec, which heirs may have inherited, was then another one.
        let live = self.population.live.get(tgid);
        let is_renamed =
            live.is_none_or(|live| live.comm.is_some() || live.exec_ns <= live.seen_ns);
        for heir in std::iter::once(&own).chain(&reading.heirs) {
            let process = self.population.live.get_mut(heir.tgid);
            let is_heir = |process: &&mut Process| {
                process.serial == heir.serial && process.awaits == Some(tgid)
            };
            if let Some(process) = process.filter(is_heir) {
                process.awaits = None;
                let inherits_name = heir.inherits_name && (!is_renamed || heir.tgid == tgid);
                reading.fill_in(process, inherits_name);
            }
        }
        if let Some(mut executed) = reading.executed.take() {
            let process = Arc::make_mut(&mut executed);
            process.awaits = None;
            reading.fill_in(process, !is_renamed);
            let key = self.population.freeze(executed);
            self.push(ChangeKind::Executed, key);
        }
        for Heir { tgid, serial, .. } in reading.heirs {
            let heir = self.population.live.get(tgid).filter(|heir| heir.serial == serial);
            let is_incomplete = |heir: &Process| {
                heir.awaits.is_none() && (heir.image.is_none() || heir.comm.is_none())
            };
            // After a loss, a scan follows.
            if heir.is_some_and(is_incomplete) && !self.rescan.is_missing_events {
                self.fill_in(tgid, Fields::empty(), None, false);
            }
        }
        self.readings.update_seen_ns();
    }

    /// Settles the reading of a process that has ended. A process that exits has returned from its
    /// exec. If a signal killed it, that may have been during another exec. A program that was read
    /// after the exit is that of a later process with the same id.
    pub(super) fn settle_ended(&mut self, tgid: u32, end: End) {
        let is_read_before = |reading: &Reading| reading.read_ns < end.ns;
        let certain = end.status.is_some_and(|status| status.signal().is_none())
            && self.readings.by_tgid.get(&tgid).is_some_and(is_read_before);
        self.settle(tgid, certain);
    }

    /// Discards all readings: an exec may be among lost events.
    pub(super) fn discard_readings(&mut self) {
        let tgids: Vec<u32> = self.readings.by_tgid.keys().copied().collect();
        for tgid in tgids {
            self.settle(tgid, false);
        }
    }

    /// Notes an event that is about to be applied. Events arrive in the order in which they were sent,
    /// so all events that were sent before `ns` have been applied.
    #[inline]
    pub(super) fn settle_seen_before(&mut self, ns: u64) {
        self.readings.has_applied = true;
        if self.readings.seen_ns < ns {
            for tgid in self.readings.seen_where(|seen| seen.ns < ns) {
                self.settle(tgid, true);
            }
        }
    }

    /// Notes the end of a receive, after its events were applied. If it had none, all earlier ones have
    /// been applied. Checks the processes that were busy.
    pub(super) fn settle_received(&mut self) {
        let has_applied = std::mem::take(&mut self.readings.has_applied);
        if !self.readings.by_tgid.is_empty() {
            if !has_applied {
                let now = self.readings.receives;
                for tgid in self.readings.seen_where(|seen| seen.receives < now) {
                    self.settle(tgid, true);
                }
            }
            self.check_busy();
        }
        self.readings.receives += 1;
    }

    fn check_busy(&mut self) {
        let now = Instant::now();
        let due = |reading: &Reading| reading.seen.is_none() && reading.check_at <= now;
        let due = self.readings.by_tgid.iter().filter(|(_, reading)| due(reading));
        let due: Vec<u32> = due.map(|(&tgid, _)| tgid).collect();
        for tgid in due {
            self.check(tgid, now);
        }
        self.readings.update_seen_ns();
    }

    /// Reads what a process does now. Discards its reading after many checks.
    fn check(&mut self, tgid: u32, now: Instant) {
        let Some(reading) = self.readings.by_tgid.get(&tgid) else { return };
        let is_known = reading.values.is_some();
        if reading.pause >= LAST_CHECK {
            self.settle(tgid, false);
            return;
        }
        let fields = if is_known { Fields::empty() } else { Fields::IMAGE };
        let snapshot = self.read_known(tgid, fields | Fields::ACTIVITY);
        let receives = self.readings.receives;
        let Some(reading) = self.readings.by_tgid.get_mut(&tgid) else { return };
        reading.pause *= 2;
        reading.check_at = now + reading.pause;
        let Some(snapshot) = snapshot else { return };
        let Some(activity) = snapshot.activity else { return };
        if !is_known {
            reading.read_ns = snapshot.seen_ns;
            reading.values = Values::new(snapshot.image, &snapshot.comm, activity);
            reading.cpu_ticks = activity.cpu_ticks;
        }
        reading.note(activity, receives);
    }
}
