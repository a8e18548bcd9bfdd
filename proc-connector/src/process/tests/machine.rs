//! A simulated machine with a few processes, which sends events as the kernel does and has a
//! matching `/proc`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use proc_connector_core::{EventData, EventRecord, ExitStatus, Notification, Notifications};

use crate::process::identity::BootId;
use crate::process::snapshot::{
    Arguments, Fields, Ids, Image, ReadError, Snapshot, SnapshotSource,
};
use crate::process::table::ProcessTable;
use crate::process::time::TICK_NS;
use crate::stream::{LossCause, Lost, Received};

/// The number of process ids.
const IDS: u32 = 50;

/// The time between two steps, in nanoseconds: an id is reused after a few hundred milliseconds.
const STEP_NS: u64 = 7_000_000;

/// How long the machine was suspended.
const OFFSET_NS: u64 = 3_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) start_ns: u64,
    pub(super) parent: u32,
    /// The ids of the running threads.
    pub(super) threads: BTreeSet<u32>,
    pub(super) comm: String,
    pub(super) args: String,
    pub(super) user: u32,
    pub(super) session: u32,
}

/// An item of the event stream.
#[derive(Debug)]
enum Delivery {
    Event(Vec<u8>),
    Lost(u64),
}

/// What the table can read of the machine's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Visibility {
    #[default]
    All,
    /// All processes are listed, but none can be read.
    Unreadable,
    /// Processes of users other than root are neither listed nor readable.
    Hidden,
    /// All processes are listed, then no file can be opened.
    TooManyFiles,
}

#[derive(Debug)]
pub(super) struct Machine {
    now_ns: u64,
    last_id: u32,
    tasks: BTreeMap<u32, Task>,
    /// Whether a listener exists.
    has_listener: bool,
    /// How many of the next events are dropped.
    to_lose: u64,
    lost: u64,
    queue: VecDeque<Delivery>,
    visibility: Visibility,
    /// Exits that other CPUs have not sent yet, each with the number of steps until then.
    late: Vec<(u32, EventData<'static>)>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let init = Task {
            start_ns: 0,
            parent: 0,
            threads: BTreeSet::from([1]),
            comm: "init".into(),
            args: "init\0".into(),
            user: 0,
            session: 1,
        };
        Self {
            now_ns: 1_000_000_000,
            last_id: 1,
            tasks: BTreeMap::from([(1, init)]),
            has_listener: false,
            to_lose: 0,
            lost: 0,
            queue: VecDeque::new(),
            visibility: Visibility::All,
            late: Vec::new(),
        }
    }

    /// Starts to queue events.
    pub(super) fn listen(&mut self) {
        self.late.clear();
        self.has_listener = true;
    }

    /// Changes the visibility.
    pub(super) fn show(&mut self, visibility: Visibility) {
        self.visibility = visibility;
    }

    /// Drops this number of the next events.
    pub(super) fn lose(&mut self, events: u64) {
        self.to_lose += events;
    }

    /// The processes with running threads.
    pub(super) fn alive(&self) -> impl Iterator<Item = (u32, &Task)> {
        let tasks = self.tasks.iter().map(|(&tgid, task)| (tgid, task));
        tasks.filter(|(_, task)| !task.threads.is_empty())
    }

    /// Chooses a live process. First sends the late exits of threads that its last exec ended: they
    /// always arrive before the process's next action.
    fn pick(&mut self, choice: usize) -> u32 {
        let alive: Vec<u32> = self.alive().map(|(tgid, _)| tgid).collect();
        let picked = alive[choice % alive.len()];
        for (steps, exit) in &mut self.late {
            let is_picked =
                matches!(exit, EventData::Exit { process_tgid, .. } if *process_tgid == picked);
            if is_picked && *steps < 4 {
                *steps = 0;
            }
        }
        self.send_late();
        picked
    }

    fn pick_thread(&self, tgid: u32, choice: usize) -> u32 {
        let threads = &self.tasks[&tgid].threads;
        *threads.iter().nth(choice % threads.len()).expect("a thread")
    }

    fn new_id(&mut self) -> Option<u32> {
        // The id of a thread with a late exit is not reused: the exit would be attributed to a new
        // thread of the same process.
        let is_late = |id: &u32| {
            self.late.iter().any(|(_, exit)| match exit {
                EventData::Exit { process_pid, process_tgid, .. } => {
                    process_pid == id && process_tgid != id
                }
                _ => false,
            })
        };
        let taken = |id: &u32| {
            let is_used = |(tgid, task): (&u32, &Task)| tgid == id || task.threads.contains(id);
            is_late(id) || self.tasks.iter().any(is_used)
        };
        let next = (1..=IDS).map(|step| (self.last_id + step - 2) % (IDS - 1) + 2);
        let id = next.into_iter().find(|id| !taken(id))?;
        self.last_id = id;
        Some(id)
    }

    /// Advances the time, and sends the exits that are due.
    pub(super) fn step(&mut self) {
        self.now_ns += STEP_NS;
        for (steps, _) in &mut self.late {
            *steps = steps.saturating_sub(1);
        }
        self.send_late();
    }

    fn send_late(&mut self) {
        while let Some(place) = self.late.iter().position(|(steps, _)| *steps == 0) {
            let (_, exit) = self.late.remove(place);
            self.send(exit);
        }
    }

    /// Sends all late exits, and reports losses.
    pub(super) fn settle(&mut self) {
        for (steps, _) in &mut self.late {
            *steps = 0;
        }
        self.step();
        if self.lost > 0 {
            self.queue.push_back(Delivery::Lost(std::mem::take(&mut self.lost)));
        }
    }

    fn send(&mut self, data: EventData<'_>) {
        self.now_ns += 1_000;
        if !self.has_listener {
            return;
        }
        if self.to_lose > 0 {
            self.to_lose -= 1;
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            self.queue.push_back(Delivery::Lost(std::mem::take(&mut self.lost)));
        }
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: self.now_ns, data };
        let mut datagram = vec![0; EventRecord::MAX_KERNEL_LEN];
        record.encode_native(&mut datagram).expect("a buffer of the maximum length");
        self.queue.push_back(Delivery::Event(datagram));
    }
}

/// Actions of processes.
impl Machine {
    pub(super) fn fork(&mut self, choice: usize) {
        let Some(child) = self.new_id() else { return };
        let parent = self.pick(choice);
        let parent_pid = self.pick_thread(parent, choice / 7);
        let mut task = self.tasks[&parent].clone();
        (task.start_ns, task.parent) = (self.now_ns, parent);
        task.threads = BTreeSet::from([child]);
        self.tasks.insert(child, task);
        self.send(EventData::Fork {
            parent_pid,
            parent_tgid: parent,
            child_pid: child,
            child_tgid: child,
        });
    }

    pub(super) fn thread(&mut self, choice: usize) {
        let Some(child_pid) = self.new_id() else { return };
        let child_tgid = self.pick(choice);
        let task = self.tasks.get_mut(&child_tgid).expect("a process");
        task.threads.insert(child_pid);
        let parent = task.parent;
        self.send(EventData::Fork {
            parent_pid: parent,
            parent_tgid: parent,
            child_pid,
            child_tgid,
        });
    }

    /// A thread executes a program: all others end, and it continues as the first thread.
    pub(super) fn exec(&mut self, choice: usize, late: [u32; 2]) {
        let tgid = self.pick(choice);
        let pid = self.pick_thread(tgid, choice / 7);
        let threads = self.tasks[&tgid].threads.clone();
        for (number, &other) in threads.iter().filter(|&&other| other != pid).enumerate() {
            self.report_exit(other, tgid, 0, late[number % 2]);
        }
        let name = format!("program{}", self.now_ns);
        let task = self.tasks.get_mut(&tgid).expect("a process");
        task.threads = BTreeSet::from([tgid]);
        task.args = format!("/bin/{name}\0--x\0");
        task.comm = name[..15].to_owned();
        self.send(EventData::Exec { process_pid: tgid, process_tgid: tgid });
    }

    pub(super) fn thread_exit(&mut self, choice: usize, late: u32) {
        let tgid = self.pick(choice);
        let pid = self.pick_thread(tgid, choice / 7);
        if tgid == 1 && self.tasks[&1].threads.len() == 1 {
            return;
        }
        self.tasks.get_mut(&tgid).expect("a process").threads.remove(&pid);
        self.reparent_children_if_ended(tgid);
        self.report_exit(pid, tgid, 0, late);
    }

    pub(super) fn process_exit(&mut self, choice: usize, late: u32) {
        let tgid = self.pick(choice);
        if tgid == 1 {
            return;
        }
        let task = self.tasks.get_mut(&tgid).expect("a process");
        let threads = std::mem::take(&mut task.threads);
        self.reparent_children_if_ended(tgid);
        // The first thread usually exits last.
        for &pid in threads.iter().rev() {
            // Exits of other threads can arrive long after the parent waited for the process.
            let late = if pid == tgid { late } else { 15 * late };
            self.report_exit(pid, tgid, 3 << 8, late);
        }
    }

    /// Parents wait for their zombies, whose ids become free.
    pub(super) fn reap(&mut self) {
        self.tasks.retain(|_, task| !task.threads.is_empty());
    }

    pub(super) fn rename(&mut self, choice: usize) {
        let tgid = self.pick(choice);
        let name = format!("name{}", self.now_ns / STEP_NS);
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name.as_bytes());
        self.tasks.get_mut(&tgid).expect("a process").comm = name;
        self.send(EventData::Comm { process_pid: tgid, process_tgid: tgid, comm });
    }

    pub(super) fn change_user(&mut self, choice: usize) {
        let tgid = self.pick(choice);
        let user = u32::try_from(choice % 5).expect("small");
        self.tasks.get_mut(&tgid).expect("a process").user = user;
        self.send(EventData::Uid { process_pid: tgid, process_tgid: tgid, ruid: user, euid: user });
    }

    pub(super) fn new_session(&mut self, choice: usize) {
        let tgid = self.pick(choice);
        self.tasks.get_mut(&tgid).expect("a process").session = tgid;
        self.send(EventData::Sid { process_pid: tgid, process_tgid: tgid });
    }

    fn reparent_children_if_ended(&mut self, tgid: u32) {
        if self.tasks[&tgid].threads.is_empty() {
            for task in self.tasks.values_mut().filter(|task| task.parent == tgid) {
                task.parent = 1;
            }
        }
    }

    fn report_exit(&mut self, pid: u32, tgid: u32, exit_code: u32, late: u32) {
        let parent = self.tasks[&tgid].parent;
        let exit = EventData::Exit {
            process_pid: pid,
            process_tgid: tgid,
            exit_code,
            exit_signal: 17,
            parent_pid: parent,
            parent_tgid: parent,
        };
        if late == 0 {
            self.send(exit);
        } else {
            self.late.push((late, exit));
        }
    }
}

/// A handle to the machine, from which a table reads.
#[derive(Clone, Debug)]
pub(super) struct SharedMachine(Arc<Mutex<Machine>>);

impl SharedMachine {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Machine::new())))
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().expect("no test panicked")
    }

    /// Delivers the next event or loss, and returns whether one was available.
    pub(super) fn deliver(
        &self,
        table: &mut ProcessTable,
        deliver: impl FnOnce(&mut ProcessTable, &Received<'_>),
    ) -> bool {
        let sent = self.machine().queue.pop_front();
        match sent {
            None => return false,
            Some(Delivery::Lost(count)) => {
                let lost = Lost { count: Some(count), cause: LossCause::Overrun };
                deliver(table, &Received::Lost(lost));
            }
            Some(Delivery::Event(datagram)) => match Notifications::new(&datagram).next() {
                Some(Ok(Notification::Event(event))) => deliver(table, &Received::Event(event)),
                other => panic!("{other:?}"),
            },
        }
        true
    }
}

impl SnapshotSource for SharedMachine {
    fn list(&self) -> io::Result<Vec<u32>> {
        let machine = self.machine();
        let is_listed = |task: &Task| machine.visibility != Visibility::Hidden || task.user == 0;
        let tasks = machine.tasks.iter().filter(|(_, task)| is_listed(task));
        Ok(tasks.map(|(&tgid, _)| tgid).collect())
    }

    fn read(&self, tgid: u32, fields: Fields) -> Result<Snapshot, ReadError> {
        let machine = self.machine();
        let task = machine.tasks.get(&tgid).ok_or(ReadError::Gone)?;
        match machine.visibility {
            Visibility::Unreadable => return Err(ReadError::Unreadable),
            Visibility::Hidden if task.user != 0 => return Err(ReadError::Unreadable),
            Visibility::TooManyFiles => {
                return Err(ReadError::Failed(io::Error::from_raw_os_error(24)));
            }
            Visibility::All | Visibility::Hidden => {}
        }
        let has_ended = !task.threads.contains(&tgid);
        let ids = Ids { real: task.user, effective: task.user };
        let is_alive = !task.threads.is_empty();
        let args = Arguments { bytes: task.args.as_bytes().into(), is_cut: false };
        Ok(Snapshot {
            seen_ns: machine.now_ns,
            boottime_offset_ns: OFFSET_NS,
            start_ticks: (task.start_ns + OFFSET_NS) / TICK_NS,
            parent: Some(task.parent).filter(|&parent| parent != 0),
            session: task.session,
            is_kernel_thread: false,
            comm: task.comm.as_bytes().to_vec(),
            first: if has_ended { Err(ExitStatus::from_raw(0)) } else { Ok(()) },
            is_alive,
            others: fields
                .contains(Fields::THREADS)
                .then(|| task.threads.iter().copied().filter(|&pid| pid != tgid).collect()),
            // A process without threads has no memory.
            image: (fields.contains(Fields::IMAGE) && is_alive)
                .then(|| Image { args: Some(args), ..Image::default() }),
            uid: fields.contains(Fields::IDS).then_some(ids),
            gid: fields.contains(Fields::IDS).then_some(ids),
            cgroup: None,
        })
    }

    fn cgroup_id(&self, _: &Path) -> Option<u64> {
        None
    }

    fn boot_id(&self) -> Option<BootId> {
        Some(BootId::from_bytes([7; 16]))
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        start_boottime_ns / TICK_NS
    }

    fn boottime_offset_ns(&self) -> u64 {
        OFFSET_NS
    }

    fn now_ns(&self) -> u64 {
        self.machine().now_ns
    }
}
