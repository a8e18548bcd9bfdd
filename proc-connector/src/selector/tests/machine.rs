//! A simulated machine with few ids, which are reused soon.

use std::collections::BTreeMap;

use proc_connector_core::testing::context::{RawContext, RawExtension};
use proc_connector_core::testing::kinds::{COMM, EXEC, EXIT, FORK, PTRACE, UID};
use proc_connector_core::{Event, EventData, EventRecord, Notification, Notifications};

use super::name;
use crate::selector::TaskProperties;

/// The process that is the root of the tree.
pub(super) const ROOT: u32 = 2;

/// The most ids in use.
const IDS: u32 = 12;

/// What a thread does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// Creates a process, with `CLONE_PARENT` if `siblings`.
    Fork {
        siblings: bool,
    },
    Thread,
    Exec(u8),
    ExitThread,
    ExitProcess,
    SetUser(u32),
    Rename(u8),
    /// The process is moved to another cgroup.
    Move(u64),
    /// Attaches to the process at this place.
    Trace(u8),
}

#[derive(Clone, Debug)]
struct Process {
    start: u64,
    parent: u32,
    threads: BTreeMap<u32, u8>,
    user: u32,
    cgroup: u64,
    is_in_tree: bool,
    is_in_program: bool,
}

/// The properties of the acting task at an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties {
    pub(super) users: Vec<u32>,
    pub(super) name: u8,
    pub(super) cgroups: Vec<u64>,
    has_contexts: bool,
}

impl TaskProperties for Properties {
    fn users(&mut self, _: u32) -> Option<(u32, u32)> {
        (!self.has_contexts).then(|| (self.users[0], self.users[0]))
    }

    fn comm(&mut self, _: u32, _: u32) -> Option<[u8; 16]> {
        let mut comm = [0; 16];
        let name = name(self.name);
        comm[..name.len()].copy_from_slice(&name);
        (!self.has_contexts).then_some(comm)
    }

    fn cgroups(&mut self, _: u32, ids: &mut Vec<u64>) -> bool {
        ids.extend(&self.cgroups);
        !self.has_contexts
    }

    fn cgroups_above(&mut self, cgroup: u64, ids: &mut Vec<u64>) -> bool {
        assert_eq!(cgroup, self.cgroups[0]);
        ids.extend(&self.cgroups);
        true
    }
}

/// An event, and the facts about it.
#[derive(Debug)]
pub(super) struct Sent {
    data: EventData<'static>,
    ns: u64,
    context: Option<Vec<u8>>,
    pub(super) properties: Properties,
    pub(super) is_in_tree: bool,
    pub(super) is_in_program: bool,
}

impl Sent {
    pub(super) fn what(&self) -> u32 {
        match self.data {
            EventData::Fork { .. } => FORK,
            EventData::Exec { .. } => EXEC,
            EventData::Exit { .. } => EXIT,
            EventData::Uid { .. } => UID,
            EventData::Comm { .. } => COMM,
            EventData::Ptrace { .. } => PTRACE,
            _ => 0,
        }
    }

    pub(super) fn with_event<T>(&self, use_event: impl FnOnce(&Event<'_>) -> T) -> T {
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: self.ns, data: self.data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("capacity");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram[..len]).next()
        else {
            panic!("an event");
        };
        match &self.context {
            Some(context) => use_event(&event.with_context(context)),
            None => use_event(&event),
        }
    }
}

#[derive(Debug)]
pub(super) struct Machine {
    processes: BTreeMap<u32, Process>,
    now_ns: u64,
    last_id: u32,
    has_contexts: bool,
    programs: Vec<u8>,
}

impl Machine {
    pub(super) fn new(has_contexts: bool) -> Self {
        let process = |id: u32, start| Process {
            start,
            parent: 0,
            threads: BTreeMap::from([(id, 0)]),
            user: 0,
            cgroup: 100,
            is_in_tree: id == ROOT,
            is_in_program: false,
        };
        let processes = BTreeMap::from([(1, process(1, 1)), (ROOT, process(ROOT, 2))]);
        Self { processes, now_ns: 10, last_id: ROOT, has_contexts, programs: Vec::new() }
    }

    /// The names of programs that start trees.
    pub(super) fn selects_programs(&mut self, programs: &[u8]) {
        self.programs = programs.to_vec();
    }

    /// A thread acts: that of process 2 if `who` is 0, that of the last process if it is 255. Returns
    /// the events.
    pub(super) fn act(&mut self, who: u8, action: Action) -> Vec<Sent> {
        self.now_ns += 10;
        let ids: Vec<(u32, u32)> = self
            .processes
            .iter()
            .flat_map(|(&tgid, process)| process.threads.keys().map(move |&pid| (tgid, pid)))
            .collect();
        let (tgid, pid) = match who {
            0 => ids.iter().copied().find(|&(tgid, _)| tgid == ROOT).unwrap_or(ids[0]),
            u8::MAX => ids[ids.len() - 1],
            who => ids[usize::from(who) % ids.len()],
        };
        // A tool of process 1 could be missing, but the machine always has an `init`.
        if tgid == 1 && matches!(action, Action::ExitThread | Action::ExitProcess) {
            return Vec::new();
        }
        match action {
            Action::Fork { siblings } => self.fork(tgid, pid, siblings),
            Action::Thread => self.thread(tgid, pid),
            Action::Exec(number) => self.exec(tgid, pid, number),
            Action::ExitThread => self.exit(tgid, &[pid]),
            Action::ExitProcess => {
                let pids: Vec<u32> = self.processes[&tgid].threads.keys().copied().collect();
                self.exit(tgid, &pids)
            }
            Action::SetUser(user) => {
                self.process(tgid).user = user;
                let data =
                    EventData::Uid { process_pid: pid, process_tgid: tgid, ruid: user, euid: user };
                vec![self.sent(tgid, pid, data, None)]
            }
            Action::Rename(number) => {
                self.process(tgid).threads.insert(pid, number);
                let mut comm = [0; 16];
                comm[..name(number).len()].copy_from_slice(&name(number));
                let data = EventData::Comm { process_pid: pid, process_tgid: tgid, comm };
                vec![self.sent(tgid, pid, data, None)]
            }
            Action::Move(cgroup) => {
                self.process(tgid).cgroup = cgroup;
                Vec::new()
            }
            Action::Trace(place) => self.trace(tgid, pid, place),
        }
    }

    fn process(&mut self, tgid: u32) -> &mut Process {
        self.processes.get_mut(&tgid).expect("a process")
    }

    fn new_id(&mut self) -> Option<u32> {
        let is_used = |id: u32| {
            self.processes.contains_key(&id)
                || self.processes.values().any(|process| process.threads.contains_key(&id))
        };
        let id =
            (1..IDS).map(|next| 1 + (self.last_id + next - 1) % IDS).find(|&id| !is_used(id))?;
        self.last_id = id;
        Some(id)
    }

    fn fork(&mut self, tgid: u32, pid: u32, siblings: bool) -> Vec<Sent> {
        let Some(child) = self.new_id() else { return Vec::new() };
        let creator = self.processes[&tgid].clone();
        // Without contexts, an event does not show who called `clone`.
        let siblings = siblings && self.has_contexts && creator.parent != 0;
        let (parent, parent_pid) =
            if siblings { (creator.parent, creator.parent) } else { (tgid, pid) };
        let threads = BTreeMap::from([(child, creator.threads[&pid])]);
        let start = self.now_ns;
        self.processes.insert(child, Process { start, parent, threads, ..creator });
        let data = EventData::Fork {
            parent_pid,
            parent_tgid: parent,
            child_pid: child,
            child_tgid: child,
        };
        vec![self.sent(tgid, pid, data, Some(start))]
    }

    fn thread(&mut self, tgid: u32, pid: u32) -> Vec<Sent> {
        let Some(thread) = self.new_id() else { return Vec::new() };
        let process = self.process(tgid);
        let (name, parent) = (process.threads[&pid], process.parent);
        process.threads.insert(thread, name);
        let data = EventData::Fork {
            parent_pid: parent,
            parent_tgid: parent,
            child_pid: thread,
            child_tgid: tgid,
        };
        vec![self.sent(tgid, pid, data, None)]
    }

    fn exec(&mut self, tgid: u32, pid: u32, number: u8) -> Vec<Sent> {
        let others: Vec<u32> =
            self.processes[&tgid].threads.keys().copied().filter(|&other| other != pid).collect();
        let mut events = self.exit(tgid, &others);
        let is_program = self.programs.contains(&number);
        let process = self.process(tgid);
        process.threads = BTreeMap::from([(tgid, number)]);
        process.is_in_program |= is_program;
        let data = EventData::Exec { process_pid: tgid, process_tgid: tgid };
        events.push(self.sent(tgid, tgid, data, None));
        events
    }

    /// Threads of a process exit.
    fn exit(&mut self, tgid: u32, pids: &[u32]) -> Vec<Sent> {
        let mut events = Vec::new();
        for &pid in pids {
            let data = EventData::Exit {
                process_pid: pid,
                process_tgid: tgid,
                exit_code: 0,
                exit_signal: 17,
                parent_pid: 1,
                parent_tgid: 1,
            };
            let event = self.sent(tgid, pid, data, None);
            events.push(event);
            let process = self.process(tgid);
            process.threads.remove(&pid);
            if process.threads.is_empty() {
                self.processes.remove(&tgid);
                for child in self.processes.values_mut().filter(|child| child.parent == tgid) {
                    child.parent = 1;
                }
            }
        }
        events
    }

    fn trace(&mut self, tgid: u32, pid: u32, place: u8) -> Vec<Sent> {
        let ids: Vec<u32> = self.processes.keys().copied().collect();
        let tracee = ids[usize::from(place) % ids.len()];
        let data = EventData::Ptrace {
            process_pid: tracee,
            process_tgid: tracee,
            tracer_pid: pid,
            tracer_tgid: tgid,
        };
        let mut event = self.sent(tgid, pid, data, None);
        event.is_in_tree |= self.processes[&tracee].is_in_tree;
        event.is_in_program |= self.processes[&tracee].is_in_program;
        vec![event]
    }

    /// An event that a thread causes. `detail` is the start of a child.
    fn sent(&self, tgid: u32, pid: u32, data: EventData<'static>, detail: Option<u64>) -> Sent {
        let process = &self.processes[&tgid];
        let name = process.threads[&pid];
        let properties = Properties {
            users: vec![process.user],
            name,
            cgroups: vec![process.cgroup, 1],
            has_contexts: self.has_contexts,
        };
        let is_last = matches!(data, EventData::Exit { .. }) && process.threads.len() == 1;
        let context = self
            .has_contexts
            .then(|| context_of(process, (tgid, pid), name, detail, &data, is_last));
        Sent {
            data,
            ns: self.now_ns,
            context,
            properties,
            is_in_tree: process.is_in_tree,
            is_in_program: process.is_in_program,
        }
    }
}

fn context_of(
    process: &Process,
    (tgid, pid): (u32, u32),
    number: u8,
    detail: Option<u64>,
    data: &EventData<'_>,
    is_last: bool,
) -> Vec<u8> {
    let mut context = RawContext::of_process((tgid, process.start), (process.parent, 1));
    if let Some(start) = detail {
        context = context.with_child_start(start);
    }
    if matches!(data, EventData::Exit { .. }) {
        context = context.with_end(is_last.then_some(0));
    }
    let extension = RawExtension::default()
        .with_ids(tgid, pid)
        .with_users(process.user, process.user)
        .with_comm(&name(number))
        .with_cgroup(process.cgroup);
    context.with_extension(extension).bytes()
}
