//! Events without an identity, as the socket transport receives them: which process they concern
//! follows from the order of events, from time stamps and from `/proc`.

mod status;

use std::collections::hash_map::Entry;
use std::sync::Arc;

use proc_connector_core::{Event, ExitStatus, Payload, proc_event};

use crate::process::change::ChangeKind;
use crate::process::population::Key;
use crate::process::process::{End, Name, Process};
use crate::process::snapshot::{Arguments, Fields, Ids, Image};
use crate::process::stale::Stale;
use crate::process::table::ProcessTable;
use crate::process::time::Start;

pub(super) use self::status::ThreadStatuses;

/// How long after an exec the exits of the threads that it ended may still arrive, in nanoseconds.
/// They are sent by other CPUs.
const LATE_NS: u64 = 1_000_000_000;

impl ProcessTable {
    pub(in crate::process) fn apply_inferred(&mut self, event: &Event<'_>) {
        let ns = event.timestamp_ns();
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                self.forked(fork, event);
            }
            Payload::Fork(fork) => self.thread_started(fork.child_tgid(), fork.child_pid(), ns),
            Payload::Exec(exec) => self.executed(exec.process_tgid(), event),
            Payload::Exit(exit) => self.exited(&exit, ns),
            // Each thread has its own ids and name. Those of the first thread represent the
            // process.
            Payload::Uid(uid) if uid.process_pid() == uid.process_tgid() => {
                let ids = Ids::known(uid.ruid(), uid.euid());
                self.change(uid.process_tgid(), ns, ChangeKind::UserChanged, |process| {
                    process.uid = ids;
                    process.stale -= Stale::USER;
                });
            }
            Payload::Gid(gid) if gid.process_pid() == gid.process_tgid() => {
                let ids = Ids::known(gid.rgid(), gid.egid());
                self.change(gid.process_tgid(), ns, ChangeKind::GroupChanged, |process| {
                    process.gid = ids;
                    process.stale -= Stale::GROUP;
                });
            }
            Payload::Comm(comm) if comm.process_pid() == comm.process_tgid() => {
                let name = Name::new(comm.name());
                // An exec that was received after the reading of `/proc` has made the name unknown.
                let is_news = |process: &Process| {
                    process.seen_ns < ns || process.comm.is_none() && process.exec_ns < ns
                };
                self.change_if(is_news, comm.process_tgid(), ns, ChangeKind::Renamed, |process| {
                    process.comm = Some(name);
                    process.stale -= Stale::NAME;
                });
            }
            Payload::Sid(sid) => {
                let tgid = sid.process_tgid();
                self.change(tgid, ns, ChangeKind::SessionChanged, |process| {
                    process.session = Some(tgid);
                    process.stale -= Stale::SESSION;
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
        let boottime_offset_ns = self.boottime_offset_ns(event);
        self.thread_statuses.forget(tgid);
        let mut predecessor_exit_pending = false;
        if let Some(known) = self.population.live.get_mut(tgid) {
            if known.start.is_after(ns) {
                return;
            }
            if ns <= known.seen_ns {
                // `/proc` was read after the fork, but before the event was received.
                known.start.refine_by_fork(ns, boottime_offset_ns);
                return;
            }
            predecessor_exit_pending = self.end_predecessor(tgid, ns);
        }
        let live = self.population.live.get(parent);
        let is_id_reused = live.is_some_and(|live| live.start.is_after(ns));
        let has_ended = (is_id_reused || live.is_none()) && self.ended_after(parent, ns).is_some();
        if live.is_none() && !has_ended {
            self.read_alive(parent, ns);
        }
        let is_creator_certain = self.has_no_child(parent);
        let serial = self.population.allocate_serial();
        let creator = if has_ended || is_id_reused {
            self.ended_after(parent, ns)
        } else {
            self.population.live.get(parent)
        };
        let mut process = match creator {
            Some(parent) => Process::forked(serial, tgid, parent, ns),
            // The process that has this id now is not the parent.
            None if is_id_reused => Process::unknown(serial, tgid),
            None => Process { parent: Some(parent), ..Process::unknown(serial, tgid) },
        };
        process.is_creator_certain = is_creator_certain;
        process.start = Start::forked(ns, boottime_offset_ns);
        process.predecessor_exit_pending = predecessor_exit_pending;
        let recorded_name = event.context().and_then(|context| context.comm());
        if recorded_name.is_some() {
            process.stale -= Stale::NAME;
        }
        process.comm = match recorded_name {
            // The kernel renames its own threads later, without an event.
            _ if process.is_kernel_thread => None,
            Some(comm) => Some(Name::new(comm)),
            // The child has the name of the thread that forked. Only the first thread's name is
            // known.
            None if fork.parent_pid() != parent => None,
            None => process.comm,
        };
        let cgroup_id = event.context().and_then(|context| context.cgroup_id());
        if let Some(path) = cgroup_id.and_then(|id| self.cgroups.path(id)) {
            // The parent may have moved to another cgroup since it was read.
            process.cgroup = Some(path.clone());
        }
        let inherits_name = fork.parent_pid() == parent;
        let fields = match (&process.image, process.comm) {
            _ if process.is_kernel_thread || (process.awaits.is_some() && inherits_name) => None,
            (None, _) => Some(Fields::ALL),
            (_, None) => Some(Fields::empty()),
            _ => None,
        };
        self.readings.add_heir(&process, inherits_name);
        let key = self.population.insert(process);
        self.push(ChangeKind::Started, key);
        if let Some(fields) = fields {
            self.fill_in(tgid, fields, cgroup_id, false);
        }
        if has_ended {
            self.update_parent(tgid);
        }
    }

    /// Whether a process certainly has no child, which could make further children of this process by
    /// `CLONE_PARENT`.
    fn has_no_child(&mut self, tgid: u32) -> bool {
        let Self { population, unplaced, rescan, .. } = self;
        unplaced.retain(|&orphan| {
            population.live.get(orphan).is_some_and(|orphan| orphan.parent.is_none())
        });
        let is_childless =
            population.live.contains(tgid) && population.children(tgid).next().is_none();
        is_childless && unplaced.is_empty() && !rescan.is_missing_events
    }

    /// The ended process that had this id at `ns`. Its exit can be received before earlier events
    /// of the same process, because different CPUs send them.
    fn ended_after(&self, tgid: u32, ns: u64) -> Option<&Process> {
        let was_alive = |process: &&Process| {
            process.end.is_some_and(|end| ns <= end.ns) && !process.start.is_after(ns)
        };
        self.population.ended_with_id(tgid).find(was_alive)
    }

    /// Ends the process whose id now belongs to a new process: its last exit is late, because the
    /// exiting thread waits for a CPU. Returns whether the exit of its first thread is still to
    /// come.
    fn end_predecessor(&mut self, tgid: u32, ns: u64) -> bool {
        let Some(process) = self.population.live.get(tgid) else { return false };
        let first = process.threads.first.err();
        // The exit of this process may have been attributed to its predecessor. Then none is
        // pending, and the next exit belongs to another process.
        let is_late =
            first.is_none() && !process.predecessor_exit_pending && !self.rescan.is_missing_events;
        if is_late {
            *self.pending_exits.entry(tgid).or_default() += 1;
        }
        // Other threads may have exited later than the first.
        self.end(tgid, End { ns, status: None, usage: None });
        is_late
    }

    fn thread_started(&mut self, tgid: u32, pid: u32, ns: u64) {
        self.ensure_known(tgid, ns);
        let Some(process) = self.population.live.get_mut(tgid) else { return };
        // A thread that started before `/proc` was read, and was not found there, has already
        // exited.
        let is_news = process.seen_ns < ns && !process.start.is_after(ns);
        if is_news && process.threads.add(pid) {
            self.push(ChangeKind::ThreadStarted(pid), Key::Live(tgid));
        }
    }

    fn executed(&mut self, tgid: u32, event: &Event<'_>) {
        let ns = event.timestamp_ns();
        if !self.population.live.contains(tgid) {
            self.revive(tgid, ns);
        }
        self.ensure_known(tgid, ns);
        let Some(process) = self.population.live.get_mut(tgid) else { return };
        if process.start.is_after(ns) {
            return;
        }
        self.settle(tgid, false);
        let Some(process) = self.population.live.get_mut(tgid) else { return };
        process.exec_ns = ns;
        process.execs = process.execs.map(|execs| execs.saturating_add(1));
        // Otherwise, `/proc` was read after the exec, and showed the threads of this program or of a
        // later one.
        if ns > process.seen_ns {
            process.threads.exec();
            self.thread_statuses.forget(tgid);
        }
        process.is_kernel_thread = false;
        process.awaits = None;
        process.stale -= Stale::NAME | Stale::PROGRAM;
        let context = event.context();
        process.comm = context.and_then(|context| context.comm()).map(Name::new);
        let recorded = context.and_then(|context| context.args());
        let recorded =
            recorded.map(|args| Arguments { bytes: args.bytes().into(), is_cut: args.is_cut() });
        process.image =
            recorded.map(|args| Arc::new(Image { args: Some(args), ..Image::default() }));
        let cgroup_id = context.and_then(|context| context.cgroup_id());
        let mut fields = Fields::IMAGE;
        match cgroup_id.and_then(|id| self.cgroups.path(id)) {
            Some(path) => process.cgroup = Some(path.clone()),
            None => fields |= Fields::CGROUP,
        }
        if process.uid.is_none() {
            fields |= Fields::IDS;
        }
        if !self.fill_in(tgid, fields, cgroup_id, true) {
            self.push(ChangeKind::Executed, Key::Live(tgid));
        }
    }

    /// An exec proves that a process recorded as ended is alive: a thread that was unknown to the
    /// table continues as the first thread.
    fn revive(&mut self, tgid: u32, ns: u64) {
        if self.rescan.is_missing_events || ns <= self.scanned_ns {
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
        if pid == tgid && self.record_late_exit(tgid, ns, status) {
            return;
        }
        if !self.population.live.contains(tgid) {
            self.exit_of_unknown(exit, ns);
            return;
        }
        let Some(process) = self.population.live.get_mut(tgid) else { return };
        if process.start.is_after(ns) || ns <= process.seen_ns {
            return;
        }
        if pid == tgid {
            if self.is_exit_of_replaced_first(tgid, ns, status) {
                return;
            }
            let Some(process) = self.population.live.get_mut(tgid) else { return };
            process.threads.first = Err(status);
        } else if process.threads.remove(pid) {
            self.thread_statuses.add(tgid, status);
        } else {
            return;
        }
        let Some(process) = self.population.live.get_mut(tgid) else { return };
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
        let earlier_first = first.err().filter(|_| pid != tgid);
        let status = self.thread_statuses.of_process(tgid, status, earlier_first);
        self.end(tgid, End { ns, status, usage: None });
    }

    /// Whether an exit belongs to the old first thread, which an exec of another thread replaced.
    /// Another CPU sends that exit, so it may arrive after the exec.
    fn is_exit_of_replaced_first(&mut self, tgid: u32, ns: u64, status: ExitStatus) -> bool {
        let Some(process) = self.population.live.get(tgid) else { return false };
        if ns < process.exec_ns {
            return true;
        }
        if status.into_raw() != 0 || ns.saturating_sub(process.exec_ns) > LATE_NS {
            return false;
        }
        // If `/proc` was first read after the exec, the threads before it are unknown.
        let are_known = process.seen_ns < process.exec_ns;
        let snapshot = if are_known && !process.threads.expects_exit_of_replaced_first() {
            return false;
        } else {
            self.read_known(tgid, Fields::empty())
        };
        let lives = snapshot.is_some_and(|snapshot| snapshot.first.is_ok());
        if are_known && !lives {
            // If this was the exit of the process after all, the scan removes it.
            self.schedule_rescan();
        }
        if let Some(process) = self.population.live.get_mut(tgid) {
            process.threads.forget_leaving();
        }
        are_known || lives
    }

    /// Adds the status to an ended process whose status is unknown. Returns whether the exit
    /// belongs to one.
    fn record_late_exit(&mut self, tgid: u32, ns: u64, status: ExitStatus) -> bool {
        let is_pending = match self.pending_exits.entry(tgid) {
            Entry::Occupied(mut count) => {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
                true
            }
            Entry::Vacant(_) if self.population.live.contains(tgid) => return false,
            Entry::Vacant(_) => false,
        };
        let ended = self.population.last_ended(tgid);
        let ended = ended.and_then(|(key, process)| Some((key, process.end.as_mut()?)));
        let Some((key, end)) = ended.filter(|(_, end)| end.status.is_none()) else {
            // The process was already dropped from the table.
            return is_pending;
        };
        *end = End { ns: end.ns.min(ns), status: Some(status), usage: None };
        self.push(ChangeKind::Ended, key);
        true
    }

    fn exit_of_unknown(&mut self, exit: &proc_event::Exit<'_>, ns: u64) {
        let tgid = exit.process_tgid();
        let snapshot = self.read_at(tgid, ns, Fields::ALL);
        let is_over = exit.process_pid() == tgid
            && !snapshot.as_ref().is_some_and(|snapshot| snapshot.is_alive);
        match snapshot {
            Some(snapshot) if snapshot.is_alive || is_over => self.appeared(tgid, snapshot),
            None if is_over => self.add_unknown(tgid),
            _ => return,
        }
        if is_over {
            self.population.move_to_parent(tgid, exit.parent_tgid());
            self.end(tgid, End { ns, status: Some(exit.status()), usage: None });
        } else if exit.process_pid() == tgid {
            // Other threads continue to run.
            if let Some(process) = self.population.live.get_mut(tgid) {
                process.threads.first = Err(exit.status());
            }
        }
    }

    /// Ends a process, and updates the parents of its children, which were reparented.
    fn end(&mut self, tgid: u32, end: End) {
        self.settle_ended(tgid, end);
        if let Some(key) = self.population.end(tgid, end) {
            self.push(ChangeKind::Ended, key);
        }
        let orphans: Vec<u32> = self.population.children(tgid).collect();
        for orphan in orphans {
            self.update_parent(orphan);
        }
    }

    /// Updates one field, unless `/proc` was read after the event.
    fn change(&mut self, tgid: u32, ns: u64, kind: ChangeKind, change: impl FnOnce(&mut Process)) {
        self.change_if(|process| process.seen_ns < ns, tgid, ns, kind, change);
    }

    /// Updates one field if the event is news about the process.
    fn change_if(
        &mut self,
        is_news: impl FnOnce(&Process) -> bool,
        tgid: u32,
        ns: u64,
        kind: ChangeKind,
        change: impl FnOnce(&mut Process),
    ) {
        self.ensure_known(tgid, ns);
        let Some(process) = self.population.live.get_mut(tgid) else { return };
        if !process.start.is_after(ns) && is_news(process) {
            change(process);
            self.push(kind, Key::Live(tgid));
        }
    }
}
