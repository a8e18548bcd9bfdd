//! Evaluates a filter with conditions on the acting task in user space.

mod actor;
mod members;
#[cfg(test)]
mod tests;

use proc_connector_core::filter::ActingTask;
use proc_connector_core::{Event, Filter, Payload};

use self::actor::Actor;
use self::members::Members;

/// Evaluates a filter in user space, including the conditions on the acting task.
///
/// The ring transport evaluates a [`Filter`] in the kernel. A `Selector` gives the same results for
/// recorded events, and the socket transport uses it for live ones. It follows the selected
/// descendants, so it must see all forks, execs and exits, in the order of the stream.
///
/// ```
/// use proc_connector::parser::filter::TreeRoot;
/// use proc_connector::{Filter, Selector, UnknownTasks};
///
/// # use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Fork { parent_pid: 7, parent_tgid: 7, child_pid: 8, child_tgid: 8 };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("the datagram has an event")
/// # };
/// let filter = Filter::default().descendants_of(&[TreeRoot::new(7)])?;
/// let mut selector = Selector::new(&filter);
/// // Process 7 has created process 8.
/// assert!(selector.matches(&event, &mut UnknownTasks));
/// assert!(selector.follows(8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Selector {
    filter: Filter,
    members: Members,
    /// The cgroups of the acting task.
    cgroups: Vec<u64>,
}

/// The properties of tasks that the context of an event does not have.
///
/// An unknown property does not match. By default, users, names and cgroups are unknown.
pub trait TaskProperties {
    /// The real and the effective user id of a process.
    fn users(&mut self, tgid: u32) -> Option<(u32, u32)> {
        let _ = tgid;
        None
    }

    /// The name of a thread, padded with zeros.
    fn comm(&mut self, tgid: u32, pid: u32) -> Option<[u8; 16]> {
        let _ = (tgid, pid);
        None
    }

    /// Appends the ids of the version 2 cgroup of a process and of all cgroups above it. Returns
    /// false if they are unknown.
    fn cgroups(&mut self, tgid: u32, ids: &mut Vec<u64>) -> bool {
        let _ = (tgid, ids);
        false
    }

    /// Appends the id of a cgroup and of all cgroups above it. Returns false if they are unknown. By
    /// default, appends only the cgroup itself.
    fn cgroups_above(&mut self, cgroup: u64, ids: &mut Vec<u64>) -> bool {
        ids.push(cgroup);
        true
    }
}

/// Knows no property of any task, so that only the contexts of events count.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no properties")]
pub struct UnknownTasks;

impl TaskProperties for UnknownTasks {}

impl Selector {
    /// A selector that follows the roots of the filter's trees.
    ///
    /// A root without a start is the process that has the id at the first event. If that event is the
    /// fork of a process with this id, it is the new process.
    pub fn new(filter: &Filter) -> Self {
        let mut members = Members::default();
        for root in filter.roots() {
            members.expect(root.tgid, root.start_boottime_ns);
        }
        Self { filter: filter.clone(), members, cgroups: Vec::new() }
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Replaces the filter. The followed processes stay followed if all roots of the old filter are
    /// roots of the new one.
    pub fn set_filter(&mut self, filter: &Filter) {
        let mut new = Self::new(filter);
        let has_roots = self.filter.roots().iter().all(|root| filter.roots().contains(root));
        let mut names = self.filter.root_names().iter();
        if has_roots && names.all(|name| filter.root_names().contains(name)) {
            let expected = std::mem::take(&mut new.members);
            new.members = std::mem::take(&mut self.members);
            new.members.expect_all(&expected);
        }
        *self = new;
    }

    /// Follows a process and its future descendants. `start_boottime_ns` is its start, in
    /// nanoseconds of `CLOCK_BOOTTIME`. `None` stands for the process that has the id now.
    pub fn follow(&mut self, tgid: u32, start_boottime_ns: Option<u64>) {
        self.members.add(tgid, start_boottime_ns);
    }

    /// The same for a process that exists at `timestamp_ns`, a time of the events' clock. Forks before
    /// that time do not end it, even if they create a process with its id: the scan that found it
    /// may precede the events that are received next.
    pub fn follow_existing(
        &mut self,
        tgid: u32,
        start_boottime_ns: Option<u64>,
        timestamp_ns: u64,
    ) {
        self.members.add_existing(tgid, start_boottime_ns, timestamp_ns);
    }

    /// Stops following a process, but not its descendants.
    pub fn unfollow(&mut self, tgid: u32) {
        self.members.remove(tgid);
    }

    /// Whether the process with this id is followed.
    pub fn follows(&self, tgid: u32) -> bool {
        self.members.contains(tgid, None)
    }

    /// The ids of the followed processes, in arbitrary order. Processes that ended recently can be
    /// among them.
    pub fn followed(&self) -> impl Iterator<Item = u32> {
        self.members.ids()
    }

    /// Whether an event passes the filter.
    ///
    /// The properties of the acting task are those of the event's context. `tasks` is used where the
    /// event has none.
    pub fn matches<T: TaskProperties>(&mut self, event: &Event<'_>, tasks: &mut T) -> bool {
        if !self.filter.selects_tasks() {
            return self.filter.matches(event);
        }
        let actor = Actor::of(event);
        let is_descendant = self.filter.selects_descendants() && self.note(event, actor, tasks);
        if self.filter.selects_descendants() && !is_descendant {
            return false;
        }
        let Some(actor) = actor else { return false };
        self.filter.matches(event) && self.matches_actor(event, actor, is_descendant, tasks)
    }

    /// Whether the properties of the acting task match. Only those that the filter compares are
    /// determined.
    fn matches_actor<T: TaskProperties>(
        &mut self,
        event: &Event<'_>,
        actor: Actor,
        is_descendant: bool,
        tasks: &mut T,
    ) -> bool {
        let Self { filter, cgroups, .. } = self;
        let mut task = ActingTask { is_descendant, ..ActingTask::default() };
        if !filter.users().is_empty() {
            let users = actor::users(event).or_else(|| tasks.users(actor.tgid));
            (task.uid, task.euid) = users.unzip();
        }
        let comm;
        if !filter.names().is_empty() {
            comm = comm_of(event, actor, tasks);
            task.comm = comm.as_ref().map(<[u8; 16]>::as_slice);
        }
        if !filter.cgroups().is_empty() {
            cgroups.clear();
            let is_known = match event.context().and_then(|context| context.cgroup_id()) {
                Some(id) => tasks.cgroups_above(id, cgroups),
                None => tasks.cgroups(actor.tgid, cgroups),
            };
            task.cgroups = is_known.then_some(cgroups);
        }
        filter.matches_task(&task)
    }

    /// Updates the followed processes. Returns whether the event concerns one of them.
    fn note<T: TaskProperties>(
        &mut self,
        event: &Event<'_>,
        actor: Option<Actor>,
        tasks: &mut T,
    ) -> bool {
        let Some(actor) = actor else { return false };
        let Self { filter, members, .. } = self;
        let ns = event.timestamp_ns();
        let is_member = members.contains(actor.tgid, actor.start);
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                let child = fork.child_tgid();
                let start = event.context().and_then(|context| context.child_start_boottime_ns());
                members.acted(actor.tgid, actor.start);
                if is_member {
                    members.created(child, start);
                } else {
                    members.reused(child, start, ns);
                }
                is_member
            }
            Payload::Fork(_) => {
                members.acted(actor.tgid, actor.start);
                members.thread_started(actor.tgid);
                is_member
            }
            Payload::Exec(_) => {
                let mut has_name = || {
                    let comm = comm_of(event, actor, tasks);
                    let names = filter.root_names();
                    comm.is_some_and(|comm| names.iter().any(|name| name.matches(&comm)))
                };
                let is_member = is_member || (!filter.root_names().is_empty() && has_name());
                if is_member {
                    members.executed(actor.tgid, actor.start, ns);
                }
                is_member
            }
            Payload::Exit(exit) => {
                if is_member {
                    members.acted(actor.tgid, actor.start);
                    match event.context().and_then(|context| context.is_over()) {
                        Some(true) => members.over(actor.tgid, actor.start),
                        Some(false) => {}
                        None => {
                            let is_leader = exit.process_pid() == exit.process_tgid();
                            members.thread_exited(actor.tgid, is_leader, ns);
                        }
                    }
                }
                is_member || members.is_over(actor.tgid, actor.start)
            }
            Payload::Ptrace(ptrace) => is_member || members.contains(ptrace.process_tgid(), None),
            _ => {
                members.acted(actor.tgid, actor.start);
                is_member
            }
        }
    }
}

/// The name of the acting thread at the event, after an exec or a renaming the new one.
fn comm_of<T: TaskProperties>(event: &Event<'_>, actor: Actor, tasks: &mut T) -> Option<[u8; 16]> {
    actor::comm(event).or_else(|| tasks.comm(actor.tgid, actor.pid))
}
