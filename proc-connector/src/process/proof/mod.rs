//! Events with an identity: the kernel recorded which process acted, and when it was created.
//!
//! The ring has the events in causal order: those of a child follow its fork, and after an exit with
//! which a process is over, only exits of its other threads follow. The exit can follow the fork of a
//! new process that has the same id.

mod identify;
mod life;
mod values;

use proc_connector_core::{Event, Payload};

use super::change::ChangeKind;
use super::evidence::{Identity, Proof};
use super::population::Key;
use super::process::{Name, Process};
use super::snapshot::Ids;
use super::stale::Stale;
use super::table::ProcessTable;

impl ProcessTable {
    /// What the kernel recorded. `None` if it recorded no identity.
    #[inline]
    pub(super) fn proof<'a>(&self, event: &Event<'a>) -> Option<Proof<'a>> {
        Proof::of(event).or_else(|| self.proof_by_thread(event))
    }

    /// The same for the exit of a thread that the kernel sends after it has freed the first thread,
    /// and with that the creation time of the process. The id may be that of another process since.
    #[cold]
    fn proof_by_thread<'a>(&self, event: &Event<'a>) -> Option<Proof<'a>> {
        let context = event.context()?;
        let Payload::Exit(exit) = event.payload() else { return None };
        let (pid, tgid) = (exit.process_pid(), exit.process_tgid());
        let has_thread = |process: &&Process| process.tgid == tgid && process.threads.contains(pid);
        let live = self.population.live.get(tgid).into_iter();
        let process = live.chain(self.population.superseded()).find(has_thread)?;
        let actor = Identity { tgid, start: process.start_boottime_ns? };
        Some(Proof { actor, parent: None, ns: event.timestamp_ns(), context })
    }

    pub(super) fn apply_proven(&mut self, event: &Event<'_>, proof: &Proof<'_>) {
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                match proof.context.child_start_boottime_ns() {
                    Some(start) => self.proven_fork(fork, start, proof),
                    None => self.apply_inferred(event),
                }
            }
            Payload::Exit(exit) => self.proven_exit(&exit, proof),
            Payload::Exec(_) => self.proven_exec(proof),
            Payload::Ptrace(ptrace) => {
                // The tracer acted. The event has only the process id of the traced process.
                self.find_actor(proof);
                let tracer = Some(ptrace.tracer_tgid()).filter(|&tracer| tracer != 0);
                let tgid = ptrace.process_tgid();
                if self.population.live.contains(tgid) {
                    self.push(ChangeKind::Traced(tracer), Key::Live(tgid));
                }
            }
            Payload::Fork(fork) => {
                let pid = fork.child_pid();
                let Some(key) = self.find_actor(proof) else { return };
                let process = self.population.get_mut(key);
                if process.is_some_and(|process| process.threads.add(pid)) {
                    self.push(ChangeKind::ThreadStarted(pid), key);
                }
            }
            // Each thread has its own ids and name. Those of the first thread represent the
            // process.
            Payload::Uid(uid) if uid.process_pid() == uid.process_tgid() => {
                let ids = Ids::known(uid.ruid(), uid.euid());
                self.proven_change(proof, ChangeKind::UserChanged, |process| {
                    process.uid = ids;
                    process.stale -= Stale::USER;
                });
            }
            Payload::Gid(gid) if gid.process_pid() == gid.process_tgid() => {
                let ids = Ids::known(gid.rgid(), gid.egid());
                self.proven_change(proof, ChangeKind::GroupChanged, |process| {
                    process.gid = ids;
                    process.stale -= Stale::GROUP;
                });
            }
            Payload::Comm(comm) if comm.process_pid() == comm.process_tgid() => {
                let name = Name::new(comm.name());
                self.proven_change(proof, ChangeKind::Renamed, |process| {
                    process.comm = Some(name);
                    process.stale -= Stale::NAME;
                });
            }
            Payload::Sid(_) => {
                self.proven_change(proof, ChangeKind::SessionChanged, |process| {
                    process.session = Some(proof.actor.tgid);
                    process.stale -= Stale::SESSION;
                });
            }
            Payload::Coredump(_) => self.proven_change(proof, ChangeKind::Dumped, |_| {}),
            _ => {}
        }
    }

    /// Updates one field of the process that acted. If `/proc` was read after the event, the change is
    /// only reported.
    fn proven_change(
        &mut self,
        proof: &Proof<'_>,
        kind: ChangeKind,
        change: impl FnOnce(&mut Process),
    ) {
        let Some(key) = self.find_live_or_vanished(proof) else { return };
        let Some(process) = self.population.get_mut(key) else { return };
        if proof.ns > process.seen_ns {
            change(process);
            self.push(kind, key);
            return;
        }
        let mut then = process.clone();
        change(&mut then);
        let key = self.population.freeze(then.into());
        self.push(kind, key);
    }
}
