//! A simulated machine with a few processes, which sends events as the kernel does and has a
//! matching `/proc`.

mod shared;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proc_connector_core::context::layout::{ExecHdr, Recorded, TaskHdr};
use proc_connector_core::testing::context::{RawContext, RawExtension};
use proc_connector_core::{EventData, EventRecord};

pub(super) use self::shared::SharedMachine;

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
    pub(super) execs: u32,
    /// Whether `/proc` shows a program whose exec is not reported yet.
    is_executing: bool,
}

/// An item of the event stream.
#[derive(Debug)]
enum Delivery {
    /// A datagram, and the context that the ring records.
    Event(Vec<u8>, Vec<u8>),
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
    late: Vec<(u32, EventData<'static>, Vec<u8>)>,
    /// Whether the ring records contexts.
    has_contexts: bool,
    /// The status of each process that ended, by process id and creation time.
    pub(super) ended: BTreeMap<(u32, u64), u32>,
    /// The arguments of each process when it ended.
    pub(super) last_args: BTreeMap<(u32, u64), String>,
    /// The name and the arguments of each exec, by process id and time stamp.
    pub(super) programs: BTreeMap<(u32, u64), (String, String)>,
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
            execs: 0,
            is_executing: false,
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
            has_contexts: false,
            ended: BTreeMap::new(),
            last_args: BTreeMap::new(),
            programs: BTreeMap::new(),
        }
    }

    /// Records contexts from now on.
    pub(super) fn record_contexts(&mut self) {
        self.has_contexts = true;
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

    pub(super) fn has_contexts(&self) -> bool {
        self.has_contexts
    }

    /// The number of execs of a process.
    pub(super) fn execs(&self, tgid: u32) -> Option<u32> {
        Some(self.tasks.get(&tgid)?.execs)
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
        for (steps, exit, _) in &mut self.late {
            let is_picked =
                matches!(exit, EventData::Exit { process_tgid, .. } if *process_tgid == picked);
            if is_picked && *steps < 4 {
                *steps = 0;
            }
        }
        self.send_late();
        self.finish_exec(picked);
        picked
    }

    fn pick_thread(&self, tgid: u32, choice: usize) -> u32 {
        let threads = &self.tasks[&tgid].threads;
        *threads.iter().nth(choice % threads.len()).expect("a thread")
    }

    fn new_id(&mut self, choice: usize) -> Option<u32> {
        // The id of a thread with a late exit is not reused: the exit would be attributed to a new
        // thread of the same process.
        let is_late = |id: &u32| {
            self.late.iter().any(|(_, exit, _)| match exit {
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
        // A process can choose the id of its child (`set_tid` of `clone3(2)`), and reuse an id at once.
        if self.has_contexts && choice % 3 == 0 && !taken(&self.last_id) {
            return Some(self.last_id);
        }
        let next = (1..=IDS).map(|step| (self.last_id + step - 2) % (IDS - 1) + 2);
        let id = next.into_iter().find(|id| !taken(id))?;
        self.last_id = id;
        Some(id)
    }

    /// Advances the time, and sends the exits that are due.
    pub(super) fn step(&mut self) {
        self.now_ns += STEP_NS;
        for (steps, ..) in &mut self.late {
            *steps = steps.saturating_sub(1);
        }
        self.send_late();
    }

    fn send_late(&mut self) {
        while let Some(place) = self.late.iter().position(|(steps, ..)| *steps == 0) {
            let (_, exit, context) = self.late.remove(place);
            self.send(exit, context);
        }
    }

    /// Sends all late exits, and reports losses.
    pub(super) fn settle(&mut self) {
        for (steps, ..) in &mut self.late {
            *steps = 0;
        }
        self.step();
        let tgids: Vec<u32> = self.tasks.keys().copied().collect();
        for tgid in tgids {
            self.finish_exec(tgid);
        }
        if self.lost > 0 {
            self.queue.push_back(Delivery::Lost(std::mem::take(&mut self.lost)));
        }
    }

    /// The next event or loss. A receive that finds no event reports the loss of later ones.
    fn next_delivery(&mut self) -> Option<Delivery> {
        let lost = || {
            Some(Delivery::Lost(std::mem::take(&mut self.lost)))
                .filter(|lost| !matches!(lost, Delivery::Lost(0)))
        };
        self.queue.pop_front().or_else(lost)
    }

    fn send(&mut self, data: EventData<'_>, context: Vec<u8>) {
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
        self.queue.push_back(Delivery::Event(datagram, context));
    }
}

/// Actions of processes.
impl Machine {
    pub(super) fn fork(&mut self, choice: usize) {
        let Some(child) = self.new_id(choice) else { return };
        let creator = self.pick(choice);
        let pid = self.pick_thread(creator, choice / 7);
        let mut task = self.tasks[&creator].clone();
        // With `CLONE_PARENT`, the child is a sibling of its creator.
        let is_sibling = self.has_contexts && choice % 5 == 0 && task.parent != 0;
        let (parent_pid, parent_tgid) =
            if is_sibling { (task.parent, task.parent) } else { (pid, creator) };
        self.now_ns += 1_000;
        (task.start_ns, task.parent) = (self.now_ns, parent_tgid);
        task.threads = BTreeSet::from([child]);
        task.execs = 0;
        let context = self
            .context(creator, pid, |context| context.with_child_start(task.start_ns + OFFSET_NS));
        self.tasks.insert(child, task);
        let (child_pid, child_tgid) = (child, child);
        let fork = EventData::Fork { parent_pid, parent_tgid, child_pid, child_tgid };
        self.send(fork, context);
    }

    pub(super) fn thread(&mut self, choice: usize) {
        let Some(child_pid) = self.new_id(choice) else { return };
        let child_tgid = self.pick(choice);
        let creator = self.pick_thread(child_tgid, choice / 7);
        let context = self.context(child_tgid, creator, |context| context);
        let task = self.tasks.get_mut(&child_tgid).expect("a process");
        task.threads.insert(child_pid);
        let parent = task.parent;
        let fork =
            EventData::Fork { parent_pid: parent, parent_tgid: parent, child_pid, child_tgid };
        self.send(fork, context);
    }

    /// What the ring records of a thread.
    fn context(
        &self,
        tgid: u32,
        pid: u32,
        change: impl FnOnce(RawContext) -> RawContext,
    ) -> Vec<u8> {
        if !self.has_contexts {
            return Vec::new();
        }
        let task = &self.tasks[&tgid];
        let parent = self.tasks.get(&task.parent).map_or(0, |parent| parent.start_ns + OFFSET_NS);
        let identity = (tgid, task.start_ns + OFFSET_NS);
        let mut header = TaskHdr {
            boot_ns: (self.now_ns + OFFSET_NS).into(),
            pid_tgid: (u64::from(tgid) << 32 | u64::from(pid)).into(),
            uid_gid: (u64::from(task.user) << 32 | u64::from(task.user)).into(),
            euid_egid: (u64::from(task.user) << 32 | u64::from(task.user)).into(),
            session: task.session.into(),
            ..TaskHdr::default()
        };
        header.comm[..task.comm.len()].copy_from_slice(task.comm.as_bytes());
        let recorded = Recorded::BOOT_NS
            | Recorded::PID_TGID
            | Recorded::UID_GID
            | Recorded::EUID_EGID
            | Recorded::SESSION
            | Recorded::COMM;
        let extension = RawExtension { recorded, task: header, ..RawExtension::default() };
        let context = RawContext::of_process(identity, (task.parent, parent));
        change(context.with_extension(extension)).bytes()
    }

    /// A thread executes a program: all others end, and it continues as the first thread.
    pub(super) fn exec(&mut self, choice: usize, late: [u32; 2]) {
        let tgid = self.pick(choice);
        let pid = self.pick_thread(tgid, choice / 7);
        let threads = self.tasks[&tgid].threads.clone();
        for (number, &other) in threads.iter().filter(|&&other| other != pid).enumerate() {
            self.report_exit(other, tgid, 0, late[number % 2], None);
        }
        let name = format!("program{}", self.now_ns);
        let task = self.tasks.get_mut(&tgid).expect("a process");
        task.threads = BTreeSet::from([tgid]);
        task.args = format!("/bin/{name}\0--x\0");
        task.comm = name[..15].to_owned();
        task.execs += 1;
        task.is_executing = true;
    }

    /// Sends the event of an exec. `/proc` shows the program before.
    fn finish_exec(&mut self, tgid: u32) {
        let task = self.tasks.get_mut(&tgid).expect("a process");
        if !std::mem::take(&mut task.is_executing) {
            return;
        }
        let args = task.args.clone();
        let program = (task.comm.clone(), args.clone());
        let context = self.context(tgid, tgid, |mut context| {
            let len = u32::try_from(args.len()).expect("short");
            let extension = context.extension.as_mut().expect("a task");
            extension.recorded |= Recorded::ARGS;
            extension.exec = Some(ExecHdr { args_len: len.into(), ..ExecHdr::default() });
            extension.tail = args.into_bytes();
            context
        });
        self.send(EventData::Exec { process_pid: tgid, process_tgid: tgid }, context);
        self.programs.insert((tgid, self.now_ns), program);
    }

    pub(super) fn thread_exit(&mut self, choice: usize, late: u32) {
        let tgid = self.pick(choice);
        let pid = self.pick_thread(tgid, choice / 7);
        if tgid == 1 && self.tasks[&1].threads.len() == 1 {
            return;
        }
        let threads = &mut self.tasks.get_mut(&tgid).expect("a process").threads;
        threads.remove(&pid);
        // The exit of the last thread decides the status.
        let (code, is_last) = (u32::try_from(choice % 4).expect("small") << 8, threads.is_empty());
        let over = is_last.then(|| self.end(tgid, code));
        self.report_exit(pid, tgid, code, late, over);
    }

    pub(super) fn process_exit(&mut self, choice: usize, late: u32) {
        let tgid = self.pick(choice);
        if tgid == 1 {
            return;
        }
        let task = self.tasks.get_mut(&tgid).expect("a process");
        let threads = std::mem::take(&mut task.threads);
        let over = Some(self.end(tgid, 3 << 8));
        // The first thread usually exits last.
        for (number, &pid) in threads.iter().rev().enumerate() {
            // Exits of other threads can arrive long after the parent waited for the process.
            let late = if pid == tgid { late } else { 15 * late };
            // Threads that end at once all find that the process is over, or only the last does.
            let is_last = number + 1 == threads.len();
            let is_over = late > 0 || is_last || choice % 2 == 0;
            self.report_exit(pid, tgid, 3 << 8, late, over.filter(|_| is_over));
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
        let context = self.context(tgid, tgid, |context| context);
        self.send(EventData::Comm { process_pid: tgid, process_tgid: tgid, comm }, context);
    }

    pub(super) fn change_user(&mut self, choice: usize) {
        let tgid = self.pick(choice);
        let user = u32::try_from(choice % 5).expect("small");
        self.tasks.get_mut(&tgid).expect("a process").user = user;
        let context = self.context(tgid, tgid, |context| context);
        self.send(
            EventData::Uid { process_pid: tgid, process_tgid: tgid, ruid: user, euid: user },
            context,
        );
    }

    pub(super) fn new_session(&mut self, choice: usize) {
        let tgid = self.pick(choice);
        self.tasks.get_mut(&tgid).expect("a process").session = tgid;
        let context = self.context(tgid, tgid, |context| context);
        self.send(EventData::Sid { process_pid: tgid, process_tgid: tgid }, context);
    }

    /// Records the end of a process, and gives its children a new parent. Returns the status.
    fn end(&mut self, tgid: u32, status: u32) -> u32 {
        let identity = (tgid, self.tasks[&tgid].start_ns + OFFSET_NS);
        self.ended.insert(identity, status);
        self.last_args.insert(identity, self.tasks[&tgid].args.clone());
        for task in self.tasks.values_mut().filter(|task| task.parent == tgid) {
            task.parent = 1;
        }
        status
    }

    /// Sends the exit of a thread. `over` is the status of the process if it is over.
    fn report_exit(&mut self, pid: u32, tgid: u32, exit_code: u32, late: u32, over: Option<u32>) {
        let parent = self.tasks[&tgid].parent;
        let exit = EventData::Exit {
            process_pid: pid,
            process_tgid: tgid,
            exit_code,
            exit_signal: 17,
            parent_pid: parent,
            parent_tgid: parent,
        };
        let context = self.context(tgid, pid, |context| context.with_end(over));
        if late == 0 {
            self.send(exit, context);
        } else {
            self.late.push((late, exit, context));
        }
    }
}
