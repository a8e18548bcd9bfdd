//! The properties of tasks as `/proc` shows them, for filters over the socket.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use proc_connector_core::{Event, Filter, Payload};

use crate::live::host::cgroup_mounts::Mounts;
use crate::live::host::proc_mount;
use crate::live::host::stat::{Stat, TICK_NS, ids, initial_ticks};
use crate::live::host::time_namespace::{self, Offsets};
use crate::selector::TaskProperties;
use crate::sys::ProcDir;

/// Exceeds the sizes of `stat` and `comm`, and of `status` up to the ids.
const BUFFER_LEN: usize = 4096;

/// Exceeds the sizes of `cgroup` and `mountinfo`.
const CGROUP_MAX: u64 = 1 << 20;
const MOUNTINFO_MAX: u64 = 64 << 20;

/// How many ended processes are kept, whose last threads may still exit.
const ENDED: usize = 4096;

/// The properties of all processes. They are read once, and updated from events.
#[derive(Debug)]
pub(super) struct ProcTasks {
    root: ProcDir,
    offsets: Offsets,
    mounts: Mounts,
    wanted: Wanted,
    processes: HashMap<u32, Task>,
    ended: VecDeque<u32>,
    /// The time of the last event.
    event_ns: u64,
}

/// The properties that the filter compares.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    users: bool,
    names: bool,
    cgroups: bool,
}

impl Wanted {
    fn any(self) -> bool {
        self.users || self.names || self.cgroups
    }
}

/// The known properties of a process.
#[derive(Clone, Debug, Default)]
struct Task {
    users: Option<(u32, u32)>,
    comm: Option<[u8; 16]>,
    /// The ids of its version 2 cgroup and of those above it.
    cgroups: Option<Arc<[u64]>>,
    /// The names of the threads other than the first.
    threads: HashMap<u32, [u8; 16]>,
    has_ended: bool,
}

impl ProcTasks {
    /// Reads the properties that the filter compares.
    pub(super) fn new(filter: &Filter) -> io::Result<Self> {
        let root = proc_mount::open().map_err(io::Error::from)?;
        let offsets = time_namespace::offsets()?;
        let wanted = Wanted {
            users: !filter.users().is_empty(),
            names: !filter.names().is_empty() || !filter.root_names().is_empty(),
            cgroups: !filter.cgroups().is_empty(),
        };
        let mut mounts = Mounts::default();
        if wanted.cgroups {
            let own = root.directory(c"self")?;
            mounts = Mounts::parse(&own.read_all(c"mountinfo", MOUNTINFO_MAX)?);
        }
        let (processes, ended) = Default::default();
        Ok(Self { root, offsets, mounts, wanted, processes, ended, event_ns: u64::MAX })
    }

    /// Reads all processes. Call it after the subscription, so that events report all later changes.
    pub(super) fn read_all(&mut self) -> io::Result<()> {
        self.processes.clear();
        self.ended.clear();
        if !self.wanted.any() {
            return Ok(());
        }
        self.event_ns = u64::MAX;
        for tgid in self.root.numbers(c".")? {
            if let Some(task) = self.read(tgid) {
                self.processes.insert(tgid, task);
            }
        }
        Ok(())
    }

    /// Records what an event changes, before it is compared.
    pub(super) fn apply(&mut self, event: &Event<'_>) {
        self.event_ns = event.timestamp_ns();
        if !self.wanted.any() {
            return;
        }
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                let (parent, creator) = (fork.parent_tgid(), fork.parent_pid());
                let comm = self.comm_of(parent, creator);
                let Task { users, cgroups, .. } = self.task(parent).clone();
                let child = Task { users, comm, cgroups, ..Task::default() };
                self.processes.insert(fork.child_tgid(), child);
            }
            Payload::Fork(fork) if self.wanted.names => {
                let (tgid, pid) = (fork.child_tgid(), fork.child_pid());
                self.read_thread(tgid, pid);
            }
            Payload::Exec(exec) => self.executed(exec.process_tgid()),
            Payload::Comm(comm) => {
                let (tgid, pid) = (comm.process_tgid(), comm.process_pid());
                let task = self.task(tgid);
                if pid == tgid {
                    task.comm = Some(*comm.comm());
                } else {
                    task.threads.insert(pid, *comm.comm());
                }
            }
            Payload::Uid(uid) if uid.process_pid() == uid.process_tgid() => {
                self.task(uid.process_tgid()).users = Some((uid.ruid(), uid.euid()));
            }
            _ => {}
        }
    }

    /// Records the end of a process, after its event was compared.
    pub(super) fn finish(&mut self, event: &Event<'_>) {
        let Payload::Exit(exit) = event.payload() else { return };
        let (tgid, pid) = (exit.process_tgid(), exit.process_pid());
        let Some(task) = self.processes.get_mut(&tgid) else { return };
        if pid != tgid {
            task.threads.remove(&pid);
            return;
        }
        task.has_ended = true;
        self.ended.push_back(tgid);
        if self.ended.len() > ENDED {
            let Some(tgid) = self.ended.pop_front() else { return };
            if self.processes.get(&tgid).is_some_and(|task| task.has_ended) {
                self.processes.remove(&tgid);
            }
        }
    }

    /// The time of the last event by `CLOCK_BOOTTIME`, in ticks.
    pub(super) fn last_event_ticks(&self) -> u64 {
        if self.event_ns == u64::MAX {
            return u64::MAX;
        }
        let offset = time_namespace::boottime_ns().saturating_sub(time_namespace::monotonic_ns());
        self.event_ns.saturating_add(offset) / TICK_NS
    }

    fn executed(&mut self, tgid: u32) {
        let read = self.read(tgid);
        let task = self.task(tgid);
        task.threads.clear();
        // The process may have ended by now. Its name has changed, its cgroup rarely has.
        task.comm = read.as_ref().and_then(|read| read.comm);
        task.cgroups = read.and_then(|read| read.cgroups).or_else(|| task.cgroups.take());
    }

    /// The properties of a process, which are read if they are unknown.
    fn task(&mut self, tgid: u32) -> &mut Task {
        if !self.processes.contains_key(&tgid) {
            let task = self.read(tgid).unwrap_or_default();
            self.processes.insert(tgid, task);
        }
        self.processes.entry(tgid).or_default()
    }

    fn comm_of(&mut self, tgid: u32, pid: u32) -> Option<[u8; 16]> {
        if !self.wanted.names {
            return None;
        }
        let task = self.task(tgid);
        if pid == tgid {
            return task.comm;
        }
        if !task.threads.contains_key(&pid) {
            self.read_thread(tgid, pid);
        }
        self.task(tgid).threads.get(&pid).copied()
    }

    /// Reads a process that existed at the last event. `None` if it has ended.
    fn read(&self, tgid: u32) -> Option<Task> {
        let directory = self.root.process(tgid).ok()?;
        let mut buffer = [0; BUFFER_LEN];
        let stat = Stat::parse(directory.read(c"stat", &mut buffer).ok()?)?;
        if initial_ticks(stat.start_ticks, self.offsets.boottime_ns) > self.last_event_ticks() {
            // The id belongs to a later process.
            return None;
        }
        let mut task = Task::default();
        if self.wanted.names {
            task.comm = name(&directory);
        }
        if self.wanted.users {
            task.users = ids(directory.read(c"status", &mut buffer).ok()?, b"Uid:");
        }
        if self.wanted.cgroups {
            let lines = directory.read_all(c"cgroup", CGROUP_MAX).ok()?;
            task.cgroups = self.cgroup_ids(&lines);
        }
        Some(task)
    }

    /// Reads the name of a thread.
    fn read_thread(&mut self, tgid: u32, pid: u32) {
        let path = std::ffi::CString::new(format!("{tgid}/task/{pid}"));
        let directory = path.ok().and_then(|path| self.root.directory(&path).ok());
        let Some(comm) = directory.and_then(|directory| name(&directory)) else { return };
        self.task(tgid).threads.insert(pid, comm);
    }

    /// The ids of the version 2 cgroup in the lines of `/proc/PID/cgroup`, and of those above it.
    fn cgroup_ids(&self, lines: &[u8]) -> Option<Arc<[u64]>> {
        let mut lines = lines.split(|&byte| byte == b'\n');
        let path = lines.find_map(|line| line.strip_prefix(b"0::"))?;
        let path = Path::new(OsStr::from_bytes(path));
        // A cgroup outside of the mounted hierarchy has no directory here.
        let ids: Vec<u64> = path.ancestors().filter_map(|path| self.mounts.id(path)).collect();
        (!ids.is_empty()).then(|| ids.into())
    }
}

/// The name in a directory of a process or a thread.
fn name(directory: &ProcDir) -> Option<[u8; 16]> {
    let mut buffer = [0; 64];
    let comm = directory.read(c"comm", &mut buffer).ok()?;
    let comm = comm.strip_suffix(b"\n").unwrap_or(comm);
    let mut padded = [0; 16];
    let len = comm.len().min(15);
    padded[..len].copy_from_slice(&comm[..len]);
    Some(padded)
}

impl TaskProperties for ProcTasks {
    fn users(&mut self, tgid: u32) -> Option<(u32, u32)> {
        self.task(tgid).users
    }

    fn comm(&mut self, tgid: u32, pid: u32) -> Option<[u8; 16]> {
        self.comm_of(tgid, pid)
    }

    fn cgroups(&mut self, tgid: u32, ids: &mut Vec<u64>) -> bool {
        let Some(cgroups) = &self.task(tgid).cgroups else { return false };
        ids.extend_from_slice(cgroups);
        true
    }
}
