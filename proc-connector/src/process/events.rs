//! What each kind of event does to the table.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use proc_connector_core::{Event, ExitStatus, Payload, proc_event};

use super::change::ChangeKind;
use super::facts::{Arguments, Facts, Ids, Image, Wants};
use super::population::Key;
use super::process::{End, Name, Process};
use super::table::ProcessTable;
use super::time::{Start, was_there};

/// How long after an exec the exits of threads that it ended may be told: they are sent by other
/// CPUs. In nanoseconds.
const LATE_NS: u64 = 1_000_000_000;

impl ProcessTable {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let ns = event.timestamp_ns();
        self.population.forget(ns);
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                self.forked(fork, event);
            }
            Payload::Fork(fork) => self.thread_started(fork.child_tgid(), fork.child_pid(), ns),
            Payload::Exec(exec) => self.executed(exec.process_tgid(), event),
            Payload::Exit(exit) => self.exited(&exit, ns),
            // Ids and names are each thread's own: the first one's are the process's.
            Payload::Uid(uid) if uid.process_pid() == uid.process_tgid() => {
                let ids = Ids { real: uid.ruid(), effective: uid.euid() };
                self.change(uid.process_tgid(), ns, ChangeKind::UserChanged, |process| {
                    process.uid = Some(ids);
                });
            }
            Payload::Gid(gid) if gid.process_pid() == gid.process_tgid() => {
                let ids = Ids { real: gid.rgid(), effective: gid.egid() };
                self.change(gid.process_tgid(), ns, ChangeKind::GroupChanged, |process| {
                    process.gid = Some(ids);
                });
            }
            Payload::Comm(comm) if comm.process_pid() == comm.process_tgid() => {
                let name = Name::new(comm.name());
                self.change(comm.process_tgid(), ns, ChangeKind::Renamed, |process| {
                    process.comm = Some(name);
                });
            }
            Payload::Sid(sid) => {
                let tgid = sid.process_tgid();
                self.change(tgid, ns, ChangeKind::SessionChanged, |process| {
                    process.session = Some(tgid);
                });
            }
            Payload::Ptrace(ptrace) => {
                let tracer = Some(ptrace.tracer_tgid()).filter(|&tracer| tracer != 0);
                self.change(ptrace.process_tgid(), ns, ChangeKind::Traced(tracer), |_| {});
            }
            Payload::Coredump(dump) => {
                self.change(dump.process_tgid(), ns, ChangeKind::Dumped, |_| {});
            }
            _ => {}
        }
    }

    fn forked(&mut self, fork: &proc_event::Fork, event: &Event<'_>) {
        let (tgid, parent, ns) = (fork.child_tgid(), fork.parent_tgid(), event.timestamp_ns());
        let offset_ns = self.offset_ns(event);
        let mut has_displaced = false;
        if let Some(known) = self.population.live.get_mut(&tgid) {
            if known.start.is_after(ns) {
                return;
            }
            if ns <= known.seen_ns {
                // Seen in `/proc` before its fork was read.
                known.start.refine_by_fork(ns, offset_ns);
                return;
            }
            has_displaced = self.displace(tgid, ns);
        }
        let live = self.population.live.get(&parent);
        let is_later = live.is_some_and(|live| live.start.is_after(ns));
        let has_ended = (is_later || live.is_none()) && self.ended_after(parent, ns).is_some();
        if live.is_none() && !has_ended {
            self.read_alive(parent, ns);
        }
        let serial = self.population.serial();
        let maker = if has_ended || is_later {
            self.ended_after(parent, ns)
        } else {
            self.population.live.get(&parent)
        };
        let mut process = match maker {
            Some(parent) => Process::forked(serial, tgid, parent, ns),
            // Not of a process that has its id by now.
            None if is_later => Process::unknown(serial, tgid),
            None => Process { parent: Some(parent), ..Process::unknown(serial, tgid) },
        };
        process.start = Start::forked(ns, offset_ns);
        process.has_displaced = has_displaced;
        process.comm = match event.context().and_then(|context| context.comm()) {
            // The kernel names its own threads later, and says nothing of it.
            _ if process.is_kernel_thread => None,
            Some(comm) => Some(Name::new(comm)),
            // A child has the name of the thread that forked, of which the first one's is known.
            None if fork.parent_pid() != parent => None,
            None => process.comm,
        };
        let cgroup_id = event.context().and_then(|context| context.cgroup_id());
        if let Some(path) = cgroup_id.and_then(|id| self.cgroups.path(id)) {
            // The parent may have been moved since anybody looked.
            process.cgroup = Some(path.clone());
        }
        let wants = match (&process.image, process.comm) {
            _ if process.is_kernel_thread => None,
            (None, _) => Some(Wants::all()),
            (_, None) => Some(Wants::empty()),
            _ => None,
        };
        let key = self.population.insert(process);
        self.push(ChangeKind::Started, key);
        if let Some(wants) = wants {
            self.complete(tgid, wants, cgroup_id);
        }
        if has_ended {
            let facts = self.read_again(tgid, Wants::empty());
            self.population.move_to_parent(tgid, facts.and_then(|facts| facts.parent));
        }
    }

    /// A process that was there at `ns` and whose end is known already: another CPU sent its exit,
    /// which may be received before what the process did last.
    fn ended_after(&self, tgid: u32, ns: u64) -> Option<&Process> {
        let was_there = |process: &&Process| {
            process.end.is_some_and(|end| ns <= end.ns) && !process.start.is_after(ns)
        };
        self.population.ended_of(tgid).find(was_there)
    }

    /// Ends a process whose id is another's now: its last exit is late, which may have to wait for
    /// a processor on a busy machine. Says whether its first thread's is to come yet.
    fn displace(&mut self, tgid: u32, ns: u64) -> bool {
        let Some(process) = self.population.live.get(&tgid) else { return false };
        let status = process.threads.first.err();
        // Should this one be here only because an exit was mistaken for another's, the next one is
        // not to suffer for it.
        let is_late = status.is_none() && !process.has_displaced && !self.rescan.is_unsure;
        if is_late {
            *self.displaced.entry(tgid).or_default() += 1;
        }
        self.end(tgid, End { ns, status });
        is_late
    }

    fn thread_started(&mut self, tgid: u32, pid: u32, ns: u64) {
        self.know(tgid, ns);
        let Some(process) = self.population.live.get_mut(&tgid) else { return };
        // What `/proc` did not show after that is gone already.
        let is_news = process.seen_ns < ns && !process.start.is_after(ns);
        if is_news && process.threads.add(pid) {
            self.push(ChangeKind::ThreadStarted(pid), Key::Live(tgid));
        }
    }

    fn executed(&mut self, tgid: u32, event: &Event<'_>) {
        let ns = event.timestamp_ns();
        if !self.population.live.contains_key(&tgid) {
            self.revive(tgid, ns);
        }
        self.know(tgid, ns);
        let Some(process) = self.population.live.get_mut(&tgid) else { return };
        if process.start.is_after(ns) {
            return;
        }
        self.changes.push((ChangeKind::Executed, Key::Live(tgid)));
        process.exec_ns = ns;
        if ns <= process.seen_ns {
            // What is known is of this program, or of a later one.
            return;
        }
        process.threads.exec();
        process.is_kernel_thread = false;
        let context = event.context();
        process.comm = context.and_then(|context| context.comm()).map(Name::new);
        let noted = context.and_then(|context| context.args());
        let noted =
            noted.map(|args| Arguments { bytes: args.bytes().into(), is_cut: args.is_cut() });
        process.image = noted.map(|args| Arc::new(Image { args: Some(args), exe: None }));
        let cgroup_id = context.and_then(|context| context.cgroup_id());
        let mut wants = Wants::IMAGE;
        match cgroup_id.and_then(|id| self.cgroups.path(id)) {
            Some(path) => process.cgroup = Some(path.clone()),
            None => wants |= Wants::CGROUP,
        }
        if process.uid.is_none() {
            wants |= Wants::IDS;
        }
        self.complete(tgid, wants, cgroup_id);
    }

    /// An exec of a process that has ended shows that it has not: a thread that nobody knew of goes
    /// on in the first one's place.
    fn revive(&mut self, tgid: u32, ns: u64) {
        if self.rescan.is_unsure || ns <= self.looked_ns {
            return;
        }
        let Some((_, process)) = self.population.last_ended(tgid) else { return };
        if process.end.is_some_and(|end| end.ns <= ns) {
            if let Some(key) = self.population.revive(tgid) {
                self.push(ChangeKind::Appeared, key);
            }
        }
    }

    fn exited(&mut self, exit: &proc_event::Exit<'_>, ns: u64) {
        let (pid, tgid, status) = (exit.process_pid(), exit.process_tgid(), exit.status());
        if pid == tgid && self.exited_late(tgid, ns, status) {
            return;
        }
        if !self.population.live.contains_key(&tgid) {
            self.exit_of_unknown(exit, ns);
            return;
        }
        let Some(process) = self.population.live.get_mut(&tgid) else { return };
        if process.start.is_after(ns) || ns <= process.seen_ns {
            return;
        }
        if pid == tgid {
            if self.is_of_old_first(tgid, ns, status) {
                return;
            }
            let Some(process) = self.population.live.get_mut(&tgid) else { return };
            process.threads.first = Err(status);
        } else if !process.threads.remove(pid) {
            return;
        }
        let Some(process) = self.population.live.get_mut(&tgid) else { return };
        let first = process.threads.first;
        if process.threads.count() > 0 {
            self.push(ChangeKind::ThreadEnded(pid), Key::Live(tgid));
            return;
        }
        if let Some(parent) = exit.parent_tgid() {
            if process.parent != Some(parent) {
                self.population.move_to_parent(tgid, Some(parent));
            }
        }
        // What ends a process as a whole is the status of all its threads; otherwise the first
        // one's counts.
        let status = if status.into_raw() == 0 { first.err().unwrap_or(status) } else { status };
        self.end(tgid, End { ns, status: Some(status) });
    }

    /// Whether an exit is not that of the first thread, but of the one whose place it has taken with
    /// an exec: that one's is sent by another CPU, and may come after the exec.
    fn is_of_old_first(&mut self, tgid: u32, ns: u64, status: ExitStatus) -> bool {
        let Some(process) = self.population.live.get(&tgid) else { return false };
        if ns < process.exec_ns {
            return true;
        }
        if status.into_raw() != 0 || ns.saturating_sub(process.exec_ns) > LATE_NS {
            return false;
        }
        // The threads that there were at the exec, if they were seen.
        let are_known = process.seen_ns < process.exec_ns;
        let facts = if are_known && !process.threads.await_exit_of_old_first() {
            return false;
        } else {
            self.read_again(tgid, Wants::empty())
        };
        let lives = facts.is_some_and(|facts| facts.first.is_ok());
        if are_known && !lives {
            // All but certain, and nobody must be taken to live for ever.
            self.want_rescan();
        }
        if let Some(process) = self.population.live.get_mut(&tgid) {
            process.threads.forget_leaving();
        }
        are_known || lives
    }

    /// Whether an exit is that of a process which is known to have ended, but not how.
    fn exited_late(&mut self, tgid: u32, ns: u64, status: ExitStatus) -> bool {
        let is_displaced = match self.displaced.entry(tgid) {
            Entry::Occupied(mut count) => {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
                true
            }
            Entry::Vacant(_) if self.population.live.contains_key(&tgid) => return false,
            Entry::Vacant(_) => false,
        };
        let ended = self.population.last_ended(tgid);
        let ended = ended.and_then(|(key, process)| Some((key, process.end.as_mut()?)));
        let Some((key, end)) = ended.filter(|(_, end)| end.status.is_none()) else {
            // Whoever it was is forgotten by now.
            return is_displaced;
        };
        *end = End { ns: end.ns.min(ns), status: Some(status) };
        self.push(ChangeKind::Ended, key);
        true
    }

    fn exit_of_unknown(&mut self, exit: &proc_event::Exit<'_>, ns: u64) {
        let tgid = exit.process_tgid();
        let facts = self.read(tgid, ns, Wants::all());
        let is_over = exit.process_pid() == tgid && !facts.as_ref().is_some_and(|f| f.is_alive);
        match facts {
            Some(facts) if facts.is_alive || is_over => self.appeared(tgid, facts),
            None if is_over => self.bare(tgid),
            _ => return,
        }
        if is_over {
            self.population.move_to_parent(tgid, exit.parent_tgid());
            self.end(tgid, End { ns, status: Some(exit.status()) });
        } else if exit.process_pid() == tgid {
            // Others of its threads go on.
            if let Some(process) = self.population.live.get_mut(&tgid) {
                process.threads.first = Err(exit.status());
            }
        }
    }

    /// A process has ended; others adopt its children.
    fn end(&mut self, tgid: u32, end: End) {
        if let Some(key) = self.population.end(tgid, end) {
            self.push(ChangeKind::Ended, key);
        }
        let orphans: Vec<u32> = self.population.children(tgid).collect();
        for orphan in orphans {
            let facts = self.read_again(orphan, Wants::empty());
            self.population.move_to_parent(orphan, facts.and_then(|facts| facts.parent));
        }
    }

    /// A change of one field, where it is not known already.
    fn change(&mut self, tgid: u32, ns: u64, kind: ChangeKind, change: impl FnOnce(&mut Process)) {
        self.know(tgid, ns);
        let Some(process) = self.population.live.get_mut(&tgid) else { return };
        if !process.start.is_after(ns) && process.seen_ns < ns {
            change(process);
            self.push(kind, Key::Live(tgid));
        }
    }
}

/// Asking `/proc`, and what to make of no answer.
impl ProcessTable {
    /// Sees to it that a process that did something at `ns` is in the table, if only with its id;
    /// unless it is known to be gone.
    fn know(&mut self, tgid: u32, ns: u64) {
        if ns <= self.looked_ns {
            return;
        }
        if !self.population.live.contains_key(&tgid) && !self.read_alive(tgid, ns) {
            self.bare(tgid);
        }
    }

    /// Adds an unknown process if `/proc` has it, and says whether it does.
    fn read_alive(&mut self, tgid: u32, ns: u64) -> bool {
        match self.read(tgid, ns, Wants::all()) {
            Some(facts) if facts.is_alive => {
                self.appeared(tgid, facts);
                true
            }
            _ => false,
        }
    }

    /// Adds a process of which nothing is known but its id.
    fn bare(&mut self, tgid: u32) {
        let process = Process::unknown(self.population.serial(), tgid);
        let key = self.population.insert(process);
        self.push(ChangeKind::Appeared, key);
    }

    /// What `/proc` says of a process that was there at `ns`.
    fn read(&self, tgid: u32, ns: u64, wants: Wants) -> Option<Facts> {
        let facts = self.source.as_ref()?.read(tgid, wants).ok()?;
        was_there(facts.start_ticks, ns, facts.offset_ns).then_some(facts)
    }

    /// What `/proc` says of a process of the table.
    fn read_again(&self, tgid: u32, wants: Wants) -> Option<Facts> {
        let facts = self.source.as_ref()?.read(tgid, wants).ok()?;
        self.population.live.get(&tgid)?.start.can_be(facts.start_ticks).then_some(facts)
    }

    /// Fills in what `/proc` knows of a process that has just been made or executed a program, in
    /// the cgroup `cgroup_id` if that was noted.
    fn complete(&mut self, tgid: u32, wants: Wants, cgroup_id: Option<u64>) {
        let Some(facts) = self.read_again(tgid, wants) else { return };
        let Some(process) = self.population.live.get_mut(&tgid) else { return };
        process.start.refine(facts.start_ticks, facts.offset_ns);
        let mut is_later = process.session.is_none() || process.uid.is_none();
        process.session = process.session.or(Some(facts.session));
        process.uid = process.uid.or(facts.uid);
        process.gid = process.gid.or(facts.gid);
        if process.comm.is_none() && !facts.comm.is_empty() {
            process.comm = Some(Name::new(&facts.comm));
            is_later = true;
        }
        if let (Some(cgroup), Some(source)) = (facts.cgroup, &self.source) {
            if process.cgroup.as_deref() != Some(&cgroup.path) || cgroup_id.is_some() {
                process.cgroup = Some(self.cgroups.learn(&**source, cgroup, cgroup_id));
            }
        }
        // What was noted at the event is right. What `/proc` has is more, if it is about the same
        // exec; the process may have done another meanwhile.
        let noted = process.image.as_ref().and_then(|image| image.args.as_ref());
        match (facts.image, noted) {
            (Some(read), Some(noted)) if read.continues(noted) => {
                process.image = Some(Arc::new(read));
            }
            (Some(read), None) => {
                process.image = Some(Arc::new(read));
                is_later = true;
            }
            _ => {}
        }
        if is_later {
            process.read_ns = facts.seen_ns;
        }
    }
}
