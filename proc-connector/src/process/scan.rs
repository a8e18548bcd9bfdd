//! Scans of all of `/proc`: at the start, and after losses.

use std::collections::HashSet;
use std::io;
use std::time::Instant;

use super::change::ChangeKind;
use super::population::Key;
use super::process::{End, Process};
use super::snapshot::{Fields, ReadError, Snapshot, SnapshotSource};
use super::table::ProcessTable;

impl ProcessTable {
    pub(super) fn apply_loss(&mut self) {
        self.rescan.is_missing_events = true;
        // The expected exits may be among the lost events.
        self.pending_exits.clear();
        self.over.note_loss();
        self.discard_readings();
        self.population.mark_stale();
        if self.source.is_none() {
            self.superseded_vanished(self.last_event_ns);
        }
        self.schedule_rescan();
    }

    /// Ends the processes whose ids were assigned again, and whose exits may be lost.
    pub(super) fn superseded_vanished(&mut self, ns: u64) {
        let end = End { ns, status: None, usage: None };
        while let Some(key) = self.population.end_any_superseded(end) {
            self.push(ChangeKind::Vanished, key);
        }
    }

    pub(super) fn schedule_rescan(&mut self) {
        if self.source.as_ref().is_some_and(|source| source.is_live()) {
            self.rescan.after_loss(Instant::now());
        }
    }

    /// Updates the table to the state of `/proc`. Older events that are received later then have no
    /// effect.
    pub(super) fn scan(&mut self) -> io::Result<()> {
        let Some(source) = self.source.take() else { return Ok(()) };
        let started = Instant::now();
        let now_ns = source.now_ns();
        let seen = self.read_all_processes(&*source);
        self.source = Some(source);
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                // Do not retry immediately.
                self.rescan.after_loss(Instant::now());
                return Err(error);
            }
        };
        let mut gone = Vec::new();
        for (tgid, snapshot) in seen {
            match snapshot {
                Some(snapshot) => {
                    if let Some(cgroup) = &snapshot.cgroup {
                        self.cgroups.note_hierarchies(cgroup);
                    }
                    self.found(tgid, snapshot);
                }
                None => gone.push(tgid),
            }
        }
        for tgid in gone {
            self.vanished(tgid, now_ns);
        }
        self.superseded_vanished(now_ns);
        self.scanned_ns = now_ns;
        self.pending_exits.clear();
        self.rescan.after_scan(started, Instant::now());
        self.unreported.restart(self.len());
        Ok(())
    }

    /// Reads the listed processes, and those of the table that are not listed: `hidepid` hides
    /// processes of other users from the list. The result contains `None` for an ended process, and
    /// no entry for an unreadable one. All reads precede any change, so that a failed scan changes
    /// nothing.
    fn read_all_processes(
        &self,
        source: &dyn SnapshotSource,
    ) -> io::Result<Vec<(u32, Option<Snapshot>)>> {
        let listed = source.list()?;
        let is_listed: HashSet<u32> = listed.iter().copied().collect();
        let known = self.population.live.iter().map(Process::tgid);
        let others = known.filter(|tgid| !is_listed.contains(tgid));
        let mut seen = Vec::with_capacity(listed.len());
        for tgid in listed.iter().copied().chain(others) {
            match source.read(tgid, Fields::ALL) {
                Ok(snapshot) => {
                    seen.push((tgid, Some(snapshot).filter(|snapshot| snapshot.is_alive)));
                }
                Err(ReadError::Gone) => seen.push((tgid, None)),
                Err(ReadError::Unreadable) => {}
                Err(ReadError::Failed(error)) => return Err(error),
            }
        }
        Ok(seen)
    }

    /// Updates or adds a process that `/proc` shows to be alive.
    fn found(&mut self, tgid: u32, snapshot: Snapshot) {
        match self.population.live.get(tgid) {
            Some(process) if self.can_show(process, &snapshot) => {
                self.population.move_to_parent(tgid, snapshot.parent);
                let process = self.population.live.get_mut(tgid);
                if process.is_some_and(|process| process.update(snapshot)) {
                    self.push(ChangeKind::Corrected, Key::Live(tgid));
                }
                return;
            }
            Some(_) => self.vanished(tgid, snapshot.seen_ns),
            None => {}
        }
        self.appeared(tgid, snapshot);
    }

    pub(super) fn appeared(&mut self, tgid: u32, snapshot: Snapshot) {
        let mut process = Process::unknown(self.population.allocate_serial(), tgid);
        let parent = snapshot.parent.and_then(|parent| self.population.live.get(parent));
        process.above = parent.map(Process::serial);
        process.update(snapshot);
        let key = self.population.insert(process);
        self.push(ChangeKind::Appeared, key);
    }

    pub(super) fn vanished(&mut self, tgid: u32, ns: u64) {
        self.settle(tgid, false);
        if let Some(process) = self.population.live.get_mut(tgid) {
            // Events that precede the end can still be received. Without an identity, they cannot be
            // attributed to a process that has ended.
            if process.start_boottime_ns.is_none() {
                process.mark_stale();
            }
        }
        if let Some(key) = self.population.end(tgid, End { ns, status: None, usage: None }) {
            self.push(ChangeKind::Vanished, key);
        }
    }
}
