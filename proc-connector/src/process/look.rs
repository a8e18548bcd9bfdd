//! Reading all of `/proc`: at the start, and again after losses.

use std::collections::HashSet;
use std::io;
use std::time::Instant;

use super::change::ChangeKind;
use super::facts::{FactSource, Facts, Unread, Wants};
use super::population::Key;
use super::process::{End, Process};
use super::table::ProcessTable;

impl ProcessTable {
    pub(super) fn lost(&mut self) {
        self.rescan.is_unsure = true;
        // Their exits may be among what was lost.
        self.displaced.clear();
        self.want_rescan();
    }

    pub(super) fn want_rescan(&mut self) {
        if self.source.is_some() {
            self.rescan.after_loss(Instant::now());
        }
    }

    /// Makes the table what `/proc` says. What the stream has still to tell from before is found to
    /// be known already.
    pub(super) fn look(&mut self) -> io::Result<()> {
        let Some(source) = self.source.take() else { return Ok(()) };
        let started = Instant::now();
        let now_ns = source.now_ns();
        let seen = self.ask_for_all(&*source);
        self.source = Some(source);
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                // Not at once again.
                self.rescan.after_loss(Instant::now());
                return Err(error);
            }
        };
        let mut gone = Vec::new();
        for (tgid, facts) in seen {
            match facts {
                Some(facts) => self.found(tgid, facts),
                None => gone.push(tgid),
            }
        }
        for tgid in gone {
            self.vanished(tgid, now_ns);
        }
        self.looked_ns = now_ns;
        self.population.find_children();
        self.displaced.clear();
        self.rescan.after_look(started, Instant::now());
        Ok(())
    }

    /// What is found out about those that are listed, and those of the table: a list leaves out what
    /// is hidden from this process. Those that are gone have no facts, and of whom nothing can be found
    /// out there is nothing. A look that fails is to change nothing, so all of it comes before that.
    fn ask_for_all(&self, source: &dyn FactSource) -> io::Result<Vec<(u32, Option<Facts>)>> {
        let listed = source.list()?;
        let is_listed: HashSet<u32> = listed.iter().copied().collect();
        let known = self.population.live.keys().copied();
        let others = known.filter(|tgid| !is_listed.contains(tgid));
        let mut seen = Vec::with_capacity(listed.len());
        for tgid in listed.iter().copied().chain(others) {
            match source.read(tgid, Wants::all()) {
                Ok(facts) => seen.push((tgid, Some(facts).filter(|facts| facts.is_alive))),
                Err(Unread::Gone) => seen.push((tgid, None)),
                Err(Unread::Unreadable) => {}
                Err(Unread::Failed(error)) => return Err(error),
            }
        }
        Ok(seen)
    }

    /// A process was found alive.
    fn found(&mut self, tgid: u32, facts: Facts) {
        match self.population.live.get_mut(&tgid) {
            Some(process) if process.start.can_be(facts.start_ticks) => {
                if process.update(facts) {
                    self.push(ChangeKind::Corrected, Key::Live(tgid));
                }
                return;
            }
            Some(_) => self.vanished(tgid, facts.seen_ns),
            None => {}
        }
        self.appeared(tgid, facts);
    }

    pub(super) fn appeared(&mut self, tgid: u32, facts: Facts) {
        let mut process = Process::unknown(self.population.serial(), tgid);
        let parent = facts.parent.and_then(|parent| self.population.live.get(&parent));
        process.creator = parent.map(Process::serial);
        process.update(facts);
        let key = self.population.insert(process);
        self.push(ChangeKind::Appeared, key);
    }

    fn vanished(&mut self, tgid: u32, ns: u64) {
        if let Some(key) = self.population.end(tgid, End { ns, status: None }) {
            self.push(ChangeKind::Vanished, key);
        }
    }
}
