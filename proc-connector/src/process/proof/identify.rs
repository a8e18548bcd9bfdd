//! Finds the process with an identity.

use super::values::record_first_thread;
use crate::process::change::ChangeKind;
use crate::process::evidence::{Identity, Proof};
use crate::process::population::Key;
use crate::process::process::{End, Process};
use crate::process::snapshot::{Fields, Snapshot};
use crate::process::stale::Stale;
use crate::process::table::ProcessTable;

/// How a live process relates to an identity with the same process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Same,
    /// The live process was created later.
    Later,
    /// The live process was created earlier, so it has ended.
    Earlier,
}

impl ProcessTable {
    /// The process that acted. A process that is missing is added. `None` if it has ended.
    #[inline]
    pub(super) fn find_actor(&mut self, proof: &Proof<'_>) -> Option<Key> {
        let Identity { tgid, start } = proof.actor;
        match self.population.live.get(tgid) {
            Some(known) if known.start_boottime_ns == Some(start) => {
                let has_parent = known.parent == proof.parent.map(|parent| parent.tgid);
                if has_parent && !known.stale.contains(Stale::PARENT) {
                    return Some(Key::Live(tgid));
                }
            }
            _ => {
                let key = self.settle_identity(proof)?;
                if matches!(key, Key::Superseded(..)) {
                    return Some(key);
                }
            }
        }
        self.adopt(tgid, proof.parent, proof.ns);
        Some(Key::Live(tgid))
    }

    /// The process that acted, or one that a scan found missing before this event was received.
    #[inline]
    pub(super) fn find_live_or_vanished(&mut self, proof: &Proof<'_>) -> Option<Key> {
        self.find_actor(proof).or_else(|| self.vanished_as(proof.actor))
    }

    /// The process with this identity, if a scan found it missing, and its end is still to be received.
    #[cold]
    pub(super) fn vanished_as(&mut self, identity: Identity) -> Option<Key> {
        let (key, process) = self.ended_as(identity)?;
        process.end.is_some_and(|end| end.status.is_none()).then_some(key)
    }

    /// Finds or adds the process that acted, unless it has ended.
    #[cold]
    fn settle_identity(&mut self, proof: &Proof<'_>) -> Option<Key> {
        let actor = proof.actor;
        match self.relation(actor) {
            Some(Relation::Same) => {
                self.learn_start(actor, proof.boottime_offset_ns());
                return Some(Key::Live(actor.tgid));
            }
            Some(Relation::Later) => return self.superseded_as(actor),
            Some(Relation::Earlier) => self.supersede(actor.tgid, proof.ns),
            None => {}
        }
        if let Some(key) = self.superseded_as(actor) {
            return Some(key);
        }
        // The fork of a later process was received. Its end was, too, if the process is unknown.
        if self.is_over(actor) || self.over.is_after_start(actor) {
            return None;
        }
        self.appeared_by_proof(proof);
        Some(Key::Live(actor.tgid))
    }

    /// Changes the parent of a live process, unless the parent has ended.
    #[cold]
    fn adopt(&mut self, tgid: u32, parent: Option<Identity>, ns: u64) {
        let (Some(parent), Some(known)) = (parent, self.population.live.get_mut(tgid)) else {
            return;
        };
        known.stale -= Stale::PARENT;
        if known.parent == Some(parent.tgid) {
            return;
        }
        self.ensure_parent(parent, ns);
        let is_live = match self.relation(parent) {
            Some(relation) => relation == Relation::Same,
            None => !self.is_over(parent),
        };
        self.population.move_to_parent(tgid, is_live.then_some(parent.tgid));
    }

    /// Adds a parent that no event has shown, because a filter excludes it, if `/proc` still shows it.
    /// A known process that had the id before has ended without an event.
    fn ensure_parent(&mut self, parent: Identity, ns: u64) {
        match self.relation(parent) {
            Some(Relation::Same | Relation::Later) => return,
            Some(Relation::Earlier) => self.supersede(parent.tgid, ns),
            None if self.is_over(parent) => return,
            None => {}
        }
        if let Some(snapshot) = self.read_identity(parent, Fields::ALL) {
            self.appeared(parent.tgid, snapshot);
            self.learn_start(parent, None);
        }
    }

    /// Reads the process with this identity, if it has not ended.
    fn read_identity(
        &self,
        Identity { tgid, start }: Identity,
        fields: Fields,
    ) -> Option<Snapshot> {
        let source = self.source.as_ref()?;
        let snapshot = source.read(tgid, fields).ok()?;
        (snapshot.is_alive && snapshot.start_ticks == source.ticks(start)).then_some(snapshot)
    }

    /// How the live process with the id relates to the identity. `None`: no live process has the id.
    pub(super) fn relation(&self, Identity { tgid, start }: Identity) -> Option<Relation> {
        let known = self.population.live.get(tgid)?;
        let source = self.source.as_ref();
        let order = match (known.start_boottime_ns, known.start.ticks(), source) {
            (Some(known), ..) => known.cmp(&start),
            (None, Some(ticks), Some(source)) => ticks.cmp(&source.ticks(start)),
            // The process is known from an event without an identity.
            _ if known.start.can_begin(start) => std::cmp::Ordering::Equal,
            _ => std::cmp::Ordering::Less,
        };
        Some(match order {
            std::cmp::Ordering::Less => Relation::Earlier,
            std::cmp::Ordering::Equal => Relation::Same,
            std::cmp::Ordering::Greater => Relation::Later,
        })
    }

    /// Records the exact creation time of a live process.
    pub(super) fn learn_start(&mut self, identity: Identity, boottime_offset_ns: Option<u64>) {
        let boot_id = self.boot_id;
        if let Some(process) = self.population.live.get_mut(identity.tgid) {
            process.identify(identity.start, boot_id);
            process.start.record(boottime_offset_ns.and_then(|ns| identity.start.checked_sub(ns)));
        }
    }

    /// Whether the process has ended, or a new process has its id.
    pub(super) fn is_over(&mut self, identity: Identity) -> bool {
        self.over.contains(identity)
            || self.superseded_as(identity).is_some()
            || self.ended_as(identity).is_some()
    }

    /// The superseded process with this identity.
    pub(super) fn superseded_as(&self, Identity { tgid, start }: Identity) -> Option<Key> {
        if self.population.superseded_process(tgid, start).is_some() {
            return Some(Key::Superseded(tgid, start));
        }
        // Its creation time is only known in ticks.
        let ticks = self.population.superseded_process(tgid, 0)?.start.ticks();
        let source = self.source.as_ref()?;
        (ticks == Some(source.ticks(start))).then_some(Key::Superseded(tgid, 0))
    }

    /// The ended process with this identity.
    pub(super) fn ended_as(
        &mut self,
        Identity { tgid, start }: Identity,
    ) -> Option<(Key, &mut Process)> {
        let ticks = self.source.as_ref().map(|source| source.ticks(start));
        self.population.ended_where(tgid, |process| match process.start_boottime_ns {
            Some(known) => known == start,
            None => process.start.ticks().is_some() && process.start.ticks() == ticks,
        })
    }

    /// Takes a process off the live ones whose id another process has at `ns`. Its children have a new
    /// parent.
    pub(super) fn supersede(&mut self, tgid: u32, ns: u64) {
        self.settle(tgid, false);
        if let Some(process) = self.population.live.get_mut(tgid) {
            process.forget_read_after(ns);
        }
        if let Some(key) = self.population.supersede(tgid) {
            self.push(ChangeKind::Vanished, key);
        }
        if self.source.is_none() && self.rescan.is_missing_events {
            // Its exit may be lost, and no scan will notice that.
            self.superseded_vanished(ns);
        }
        self.forget_parent(tgid);
    }

    /// Forgets the parent of the children of a process that has ended. The next event of each child
    /// has the new one.
    pub(super) fn forget_parent(&mut self, tgid: u32) {
        let orphans: Vec<u32> = self.population.children(tgid).collect();
        for orphan in orphans {
            self.population.move_to_parent(orphan, None);
        }
    }

    /// Adds a process that existed before its first event.
    fn appeared_by_proof(&mut self, proof: &Proof<'_>) {
        if let Some(parent) = proof.parent {
            self.ensure_parent(parent, proof.ns);
        }
        match self.read_identity(proof.actor, Fields::ALL | Fields::ACTIVITY) {
            Some(snapshot) => self.appeared_after(proof, snapshot),
            None => self.add_unknown(proof.actor.tgid),
        }
        self.learn_start(proof.actor, proof.boottime_offset_ns());
    }

    /// Adds a process that was read after its event. It may have executed another program or changed
    /// its users since, so the context has these values, and the program counts only once it is certain.
    fn appeared_after(&mut self, proof: &Proof<'_>, snapshot: Snapshot) {
        let tgid = proof.actor.tgid;
        let program = snapshot.clone();
        let lasting = Snapshot { image: None, uid: None, gid: None, comm: Vec::new(), ..snapshot };
        self.appeared(tgid, lasting);
        let Some(process) = self.population.live.get_mut(tgid) else { return };
        process.session = None;
        // Events between this one and the reading are still to be applied.
        process.seen_ns = process.seen_ns.min(proof.ns);
        if proof.context.pid() == Some(tgid) {
            record_first_thread(process, &proof.context);
        }
        if !process.is_kernel_thread {
            self.await_program(tgid, program, false);
        }
    }

    /// Ends a live or superseded process: its last thread exited.
    pub(super) fn end_by_proof(&mut self, key: Key, identity: Identity, end: End) {
        let boot_id = self.boot_id;
        if let Key::Live(tgid) = key {
            self.settle_ended(tgid, end);
        }
        let known = self.population.by_key(key);
        let is_final = |known: &Process| {
            known.start_boottime_ns == Some(identity.start) && known.read_ns <= end.ns
        };
        if !known.is_some_and(is_final) {
            if let Some(process) = self.population.get_mut(key) {
                process.identify(identity.start, boot_id);
                process.forget_read_after(end.ns);
            }
        }
        let ended = match key {
            Key::Live(tgid) => self.population.end(tgid, end),
            Key::Superseded(tgid, start) => self.population.end_superseded(tgid, start, end),
            Key::Ended(_) | Key::Frozen(_) => None,
        };
        if let Some(key) = ended {
            self.push(ChangeKind::Ended, key);
        }
        if matches!(key, Key::Live(_)) {
            self.forget_parent(identity.tgid);
        }
        self.over.add(identity);
    }
}
