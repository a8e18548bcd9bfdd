//! Reads single processes from `/proc`: those that events mention but the table does not know, and
//! values that events do not contain.

use std::sync::Arc;

use super::change::ChangeKind;
use super::process::Process;
use super::snapshot::{Fields, Image, Snapshot};
use super::table::ProcessTable;
use super::time::existed;

impl ProcessTable {
    /// Adds a process that was active at `ns` if it is missing. If `/proc` does not show it, only
    /// its id is known. A process that a later scan did not find has ended, and is not added.
    pub(super) fn ensure_known(&mut self, tgid: u32, ns: u64) {
        if ns <= self.scanned_ns {
            return;
        }
        if !self.population.live.contains(tgid) && !self.read_alive(tgid, ns) {
            self.add_unknown(tgid);
        }
    }

    /// Adds a process that `/proc` shows to be alive, and returns whether it did.
    pub(super) fn read_alive(&mut self, tgid: u32, ns: u64) -> bool {
        match self.read_at(tgid, ns, Fields::ALL) {
            Some(snapshot) if snapshot.is_alive => {
                self.appeared(tgid, snapshot);
                true
            }
            _ => false,
        }
    }

    /// Adds a process with only its id known.
    pub(super) fn add_unknown(&mut self, tgid: u32) {
        let process = Process::unknown(self.population.allocate_serial(), tgid);
        let key = self.population.insert(process);
        self.push(ChangeKind::Appeared, key);
    }

    /// Reads a process that existed at `ns`.
    pub(super) fn read_at(&self, tgid: u32, ns: u64, fields: Fields) -> Option<Snapshot> {
        let snapshot = self.source.as_ref()?.read(tgid, fields).ok()?;
        existed(snapshot.start_ticks, ns, snapshot.boottime_offset_ns).then_some(snapshot)
    }

    /// Reads a process of the table.
    pub(super) fn read_known(&self, tgid: u32, fields: Fields) -> Option<Snapshot> {
        let snapshot = self.source.as_ref()?.read(tgid, fields).ok()?;
        let process = self.population.live.get(tgid)?;
        self.can_show(process, &snapshot).then_some(snapshot)
    }

    /// Whether a snapshot can be of this process: of all processes with its id, it may show one that
    /// was created in the same tick.
    pub(super) fn can_show(&self, process: &Process, snapshot: &Snapshot) -> bool {
        match (process.start_boottime_ns, &self.source) {
            (Some(start), Some(source)) => source.ticks(start) == snapshot.start_ticks,
            _ => process.start.can_be(snapshot.start_ticks),
        }
    }

    /// Reads the parent of a process whose previous parent has ended.
    pub(super) fn update_parent(&mut self, tgid: u32) {
        let snapshot = self.read_known(tgid, Fields::empty());
        let parent = snapshot.and_then(|snapshot| snapshot.parent);
        if parent.is_none() {
            self.unplaced.push(tgid);
        }
        self.population.move_to_parent(tgid, parent);
    }

    /// Fills in what `/proc` shows of a process that was just created or has just executed a
    /// program. `cgroup_id` is the id recorded at the event, if any. Returns whether the exec is
    /// reported later, with the program.
    pub(super) fn fill_in(
        &mut self,
        tgid: u32,
        fields: Fields,
        cgroup_id: Option<u64>,
        is_exec: bool,
    ) -> bool {
        let Some(process) = self.population.live.get(tgid) else { return false };
        let is_unknown = process.image.is_none();
        let needs_program = is_unknown || process.comm.is_none();
        let program =
            if needs_program { Fields::IMAGE | Fields::ACTIVITY } else { Fields::empty() };
        let Some(mut snapshot) = self.read_known(tgid, fields | program) else { return false };
        let Some(process) = self.population.live.get_mut(tgid) else { return false };
        process.start.refine(snapshot.start_ticks, snapshot.boottime_offset_ns);
        if process.session.is_none() || process.uid.is_none() {
            process.read_ns = snapshot.seen_ns;
        }
        process.session = process.session.or(Some(snapshot.session));
        process.uid = process.uid.or(snapshot.uid);
        process.gid = process.gid.or(snapshot.gid);
        if let (Some(cgroup), Some(source)) = (snapshot.cgroup.take(), &self.source) {
            self.cgroups.note_hierarchies(&cgroup);
            if process.cgroup.as_deref() != Some(&cgroup.path) || cgroup_id.is_some() {
                process.cgroup = Some(self.cgroups.learn(&**source, cgroup, cgroup_id));
            }
        }
        // The arguments recorded at the event are correct. `/proc` adds details only if it shows
        // the same exec: the process may have executed another program in the meantime.
        if let (Some(read), Some(recorded)) =
            (&snapshot.image, process.image.as_mut().filter(|_| is_exec).map(Arc::make_mut))
        {
            if recorded.program.is_some() {
                recorded.exe = recorded.exe.take().or_else(|| self.programs.learn(recorded, read));
            } else if let Image { args: Some(args), exe, .. } = recorded {
                if read.continues(args) {
                    *args = read.args.clone().unwrap_or_else(|| args.clone());
                    *exe = exe.take().or_else(|| read.exe.clone());
                }
            }
        }
        needs_program && self.await_program(tgid, snapshot, is_exec && is_unknown)
    }
}
