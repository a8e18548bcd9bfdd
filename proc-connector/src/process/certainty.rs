//! Makes programs that were read from `/proc` certain, or discards them.

use std::sync::Arc;
use std::time::Instant;

use super::change::ChangeKind;
use super::process::{End, Process};
use super::readings::{FIRST_CHECK, Heir, LAST_CHECK, Reading, Values};
use super::snapshot::{Fields, Snapshot};
use super::table::ProcessTable;

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
        // A scan that is younger than the exec can have missed threads. Then this can be the exit of a
        // first thread that a later exec of another thread has replaced.
        let knows_threads =
            self.population.live.get(tgid).is_some_and(|live| live.exec_ns > live.seen_ns);
        let certain = end.status.is_some_and(|status| status.signal().is_none())
            && knows_threads
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
