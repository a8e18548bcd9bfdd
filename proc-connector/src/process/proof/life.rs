//! Forks, execs and exits.

use proc_connector_core::proc_event::{Exit, Fork};

use super::identify::Relation;
use super::values::{note_css_set, note_namespace, record_first_thread};
use crate::process::change::ChangeKind;
use crate::process::evidence::{Identity, Proof};
use crate::process::process::{End, Process};
use crate::process::table::ProcessTable;
use crate::process::time::Start;

impl ProcessTable {
    pub(super) fn proven_fork(&mut self, fork: &Fork, child_start: u64, proof: &Proof<'_>) {
        self.over.note_fork(child_start);
        let creator = self.find_live_or_vanished(proof);
        if let Some(creator) = creator.and_then(|creator| self.population.get_mut(creator)) {
            // `/proc` was read before the first event of a process.
            if creator.css_set.is_some() {
                note_css_set(creator, &proof.context);
            } else {
                creator.css_set = proof.context.css_set();
            }
        }
        let tgid = fork.child_tgid();
        let child = Identity { tgid, start: child_start };
        let relation = self.relation(child);
        match relation {
            None | Some(Relation::Later) => {}
            Some(Relation::Same) if self.is_snapshot_of_child(child, proof.ns) => {
                self.learn_start(child, proof.boottime_offset_ns());
                return;
            }
            Some(Relation::Same | Relation::Earlier) => self.supersede(tgid, proof.ns),
        }
        let serial = self.population.allocate_serial();
        let mut process = match creator.and_then(|creator| self.population.by_key(creator)) {
            Some(creator) => Process::forked(serial, tgid, creator, proof.ns),
            None => Process { execs: Some(0), ..Process::unknown(serial, tgid) },
        };
        process.is_creator_certain = true;
        process.parent = Some(fork.parent_tgid()).filter(|&parent| parent != 0);
        process.start = Start::forked(proof.ns, None);
        process.identify(child_start, self.boot_id);
        // The parent is the thread that forked, except with `CLONE_PARENT`.
        let is_first_thread = fork.parent_pid() == proof.actor.tgid;
        if !is_first_thread {
            process.comm = None;
        }
        self.inherit(&mut process, &proof.context);
        self.readings.add_heir(&process, is_first_thread);
        let key = if relation == Some(Relation::Later) {
            // A scan of `/proc` found the next process with the id, before this event was received.
            self.population.insert_superseded(process)
        } else {
            self.population.insert(process)
        };
        self.push(ChangeKind::Started, key);
    }

    /// Whether the live process with the child's id, which was read from `/proc`, is the child: it
    /// was read after the fork.
    fn is_snapshot_of_child(&self, child: Identity, ns: u64) -> bool {
        let known = self.population.live.get(child.tgid);
        known.is_some_and(|known| {
            known.start_boottime_ns == Some(child.start) || ns <= known.seen_ns
        })
    }

    pub(super) fn proven_exec(&mut self, proof: &Proof<'_>) {
        let Some(key) = self.find_live_or_vanished(proof) else { return };
        if !self.record_program(key, proof.ns, &proof.context) {
            self.push(ChangeKind::Executed, key);
        }
    }

    pub(super) fn proven_exit(&mut self, exit: &Exit<'_>, proof: &Proof<'_>) {
        let is_over = proof.context.is_over();
        let process_status = proof.context.process_status();
        let status = process_status.unwrap_or(exit.status());
        let usage = proof.context.process_usage();
        let end = End { ns: proof.ns, status: Some(status), usage };
        if is_over == Some(true) && self.ends_before_reading(proof) {
            self.end_vanished(proof.actor, end);
            return;
        }
        let pid = exit.process_pid();
        let Some(key) = self.find_actor(proof) else {
            if is_over == Some(true) {
                let vanished = self.vanished_as(proof.actor);
                let vanished = vanished.and_then(|key| self.population.get_mut(key));
                if let Some(process) = vanished.filter(|_| pid == proof.actor.tgid) {
                    record_first_thread(process, &proof.context);
                }
                self.end_vanished(proof.actor, end);
            }
            return;
        };
        let Some(process) = self.population.get_mut(key) else { return };
        note_namespace(process, &proof.context);
        // An earlier exit can be that of a first thread which an exec of another has replaced.
        let is_first_at_the_end = is_over == Some(true) && pid == proof.actor.tgid;
        if is_first_at_the_end && !process.stale.is_empty() && proof.ns > process.seen_ns {
            record_first_thread(process, &proof.context);
        }
        if is_over == Some(true) {
            self.end_by_proof(key, proof.actor, end);
            return;
        }
        let continues = is_over == Some(false) && process_status.is_none();
        if pid == proof.actor.tgid {
            // The exit of the first thread before an exec of another can follow the exec.
            if continues && process.threads.count() <= 1 {
                return;
            }
            process.threads.first = Err(exit.status());
        } else if !process.threads.remove(pid) {
            return;
        }
        // If a tracer keeps more threads than the ring's program visits, no exit reports the end.
        if !continues && process.threads.count() == 0 {
            self.end_by_proof(key, proof.actor, end);
        } else {
            self.push(ChangeKind::ThreadEnded(pid), key);
        }
    }

    /// Whether the process was over before the live process with its id was read from `/proc`, which
    /// is thus another one that was created in the same tick.
    fn ends_before_reading(&self, proof: &Proof<'_>) -> bool {
        let known = self.population.live.get(proof.actor.tgid);
        known.is_some_and(|known| known.start_boottime_ns.is_none() && proof.ns < known.seen_ns)
            && self.relation(proof.actor) == Some(Relation::Same)
    }

    /// Records the end of a process that a scan found missing. If the process has already ended with
    /// the last thread in the table, only adds the usage.
    fn end_vanished(&mut self, identity: Identity, end: End) {
        if self.over.contains(identity) {
            if end.usage.is_some() {
                let known = self.ended_as(identity).and_then(|(_, process)| process.end.as_mut());
                if let Some(known) = known.filter(|known| known.usage.is_none()) {
                    known.usage = end.usage;
                }
            }
            return;
        }
        let boot_id = self.boot_id;
        let Some((key, process)) = self.ended_as(identity) else { return };
        if process.end.is_some_and(|end| end.status.is_none()) {
            process.end = Some(end);
            process.identify(identity.start, boot_id);
            self.push(ChangeKind::Ended, key);
        }
        self.over.add(identity);
        if !self.population.live.contains(identity.tgid) {
            self.forget_parent(identity.tgid);
        }
    }
}
