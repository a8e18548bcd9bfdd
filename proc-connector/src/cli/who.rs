//! Whose event it is: the processes behind the ids, and the choice among events by those.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::time::Duration;

use glob::Pattern;
use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};
use proc_connector::{Event, Payload, Received};

use super::names::command_line;
use super::users::Users;

/// Events of these processes only.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Whose {
    /// Only this process and its descendants, or all processes of this name and theirs.
    #[arg(long, value_name = "PID|NAME")]
    tree: Vec<String>,

    /// Only processes whose thread's or program's name is like this: `make`, `python*`.
    #[arg(long, value_name = "GLOB")]
    comm: Vec<Pattern>,

    /// Only processes of this user, by name or id; in a recording by id only.
    #[arg(long, value_name = "USER")]
    user: Vec<String>,

    /// Only processes in this cgroup and those below it (a path, or a glob), or in the container
    /// whose id begins so.
    #[arg(long, value_name = "PATH|GLOB|ID")]
    cgroup: Vec<Pattern>,
}

impl Whose {
    /// Whether it takes more than the events themselves to choose.
    pub(super) fn chooses(&self) -> bool {
        let Self { tree, comm, user, cgroup } = self;
        !(tree.is_empty() && comm.is_empty() && user.is_empty() && cgroup.is_empty())
    }
}

/// The processes, and which of them are of interest.
#[derive(Debug)]
pub(super) struct Who<'a> {
    table: ProcessTable,
    /// Of this machine; another's users are known by their ids only.
    users: Option<RefCell<Users>>,
    whose: &'a Whose,
    /// The serials of those that are part of a tree that is asked for.
    in_trees: HashSet<u64>,
}

/// An event's process, as far as it is known, after the event.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) process: Option<&'a Process>,
    /// Whether it is of interest.
    pub(super) is_wanted: bool,
    users: Option<&'a RefCell<Users>>,
}

impl<'a> Who<'a> {
    /// Of this machine's processes, to be made when a connector is open.
    pub(super) fn live(whose: &'a Whose) -> io::Result<Self> {
        Ok(Self::new(ProcessTable::new()?, Some(RefCell::default()), whose))
    }

    /// Of processes elsewhere, or long gone.
    pub(super) fn recorded(whose: &'a Whose) -> Self {
        Self::new(ProcessTable::without_proc(), None, whose)
    }

    fn new(table: ProcessTable, users: Option<RefCell<Users>>, whose: &'a Whose) -> Self {
        let mut new = Self { table, users, whose, in_trees: HashSet::new() };
        // Parents have to be known to be part of a tree before their children are asked for.
        let mut processes: Vec<&Process> = new.table.iter().collect();
        processes.sort_unstable_by_key(|process| (process.start_ns(), process.tgid()));
        for process in processes {
            join_trees(whose, &mut new.in_trees, process);
        }
        new
    }

    /// Takes in what was received, and tells whose it is if it is an event.
    pub(super) fn update(&mut self, received: &Received<'_>) -> Subject<'_> {
        let tgid = match received {
            Received::Event(event) => subject(event),
            Received::Lost(_) => 0,
        };
        // One that has ended is no longer to be found by its id.
        let mut serial = None;
        let mut left = None;
        for change in self.table.apply(received) {
            let Change { kind, process, .. } = change;
            if process.tgid() == tgid {
                serial = Some(process.serial());
            }
            match kind {
                ChangeKind::Started | ChangeKind::Executed | ChangeKind::Appeared => {
                    join_trees(self.whose, &mut self.in_trees, process);
                }
                ChangeKind::Ended | ChangeKind::Vanished => left = Some(process.serial()),
                _ => {}
            }
        }
        let is_it = |process: &&Process| serial.is_none_or(|serial| process.serial() == serial);
        let live = self.table.get(tgid).filter(is_it);
        let process = live.or_else(|| {
            let mut changed = self.table.changes().map(|change| change.process);
            changed.find(|process| Some(process.serial()) == serial)
        });
        let is_wanted = process.map_or(!self.whose.chooses(), |process| self.wants(process));
        if let Some(left) = left {
            self.in_trees.remove(&left);
        }
        Subject { process, is_wanted, users: self.users.as_ref() }
    }

    /// How long to wait for events at most.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.table.rescan_in()
    }

    /// Does what is due though nothing came.
    pub(super) fn catch_up(&mut self) {
        // If `/proc` cannot be listed now, the table tries again.
        for change in self.table.rescan_if_due().into_iter().flatten() {
            if change.kind == ChangeKind::Appeared {
                join_trees(self.whose, &mut self.in_trees, change.process);
            }
        }
    }

    fn wants(&self, process: &Process) -> bool {
        let Whose { tree, comm, user, cgroup } = self.whose;
        (tree.is_empty() || self.in_trees.contains(&process.serial()))
            && (comm.is_empty()
                || comm.iter().any(|name| is_called(process, |it| name.matches(it))))
            && (user.is_empty() || user.iter().any(|user| self.is_of(process, user)))
            && (cgroup.is_empty() || cgroup.iter().any(|cgroup| is_in(process, cgroup)))
    }

    fn is_of(&self, process: &Process, user: &str) -> bool {
        let Some(ids) = process.uid() else { return false };
        [ids.real, ids.effective].into_iter().any(|uid| match user.parse::<u32>() {
            Ok(number) => uid == number,
            Err(_) => is_called_user(self.users.as_ref(), uid, user),
        })
    }
}

fn is_called_user(users: Option<&RefCell<Users>>, uid: u32, name: &str) -> bool {
    users.is_some_and(|users| users.borrow_mut().name(uid) == Some(name))
}

/// Notes whether a process is part of a tree that is asked for.
fn join_trees(whose: &Whose, in_trees: &mut HashSet<u64>, process: &Process) {
    let is_root = |tree: &String| match tree.parse::<u32>() {
        Ok(tgid) => process.tgid() == tgid,
        Err(_) => is_called(process, |name| name == tree),
    };
    let is_child = process.creator().is_some_and(|creator| in_trees.contains(&creator));
    if is_child || whose.tree.iter().any(is_root) {
        in_trees.insert(process.serial());
    }
}

/// Whether one of the names of a process is as wanted: that of its first thread, which is cut
/// after 15 bytes, and the last part of its first argument.
fn is_called(process: &Process, is_wanted: impl Fn(&str) -> bool) -> bool {
    let program = process.args().and_then(|args| args.iter().next());
    let program = program.and_then(|path| path.rsplit(|&byte| byte == b'/').next());
    let names = [process.comm(), program];
    names.into_iter().flatten().any(|name| is_wanted(&String::from_utf8_lossy(name)))
}

/// Whether a process is in a cgroup or below it, or in a container.
fn is_in(process: &Process, wanted: &Pattern) -> bool {
    /// As many digits of a container's id as runtimes show.
    const SHORT_ID: usize = 12;
    let Some(path) = process.cgroup().map(|path| path.to_string_lossy()) else { return false };
    let name = wanted.as_str().trim_end_matches('/');
    wanted.matches(&path)
        || path.strip_prefix(name).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        || (name.len() >= SHORT_ID && process.container().is_some_and(|id| id.starts_with(name)))
}

/// The process that an event is about: of a fork, the one that was made.
fn subject(event: &Event<'_>) -> u32 {
    match event.payload() {
        Payload::Fork(e) => e.child_tgid(),
        Payload::Exec(e) => e.process_tgid(),
        Payload::Uid(e) => e.process_tgid(),
        Payload::Gid(e) => e.process_tgid(),
        Payload::Sid(e) => e.process_tgid(),
        Payload::Ptrace(e) => e.process_tgid(),
        Payload::Comm(e) => e.process_tgid(),
        Payload::Coredump(e) => e.process_tgid(),
        Payload::Exit(e) => e.process_tgid(),
        _ => 0,
    }
}

impl Subject<'_> {
    /// What to call it: its arguments, or its name.
    pub(super) fn command(&self) -> Option<String> {
        command_line(self.process?)
    }

    /// Its effective user, by name if there is one.
    pub(super) fn user(&self) -> Option<String> {
        let uid = self.process?.uid()?.effective;
        let name = self.users.and_then(|users| users.borrow_mut().name(uid).map(str::to_owned));
        Some(name.unwrap_or_else(|| uid.to_string()))
    }
}
