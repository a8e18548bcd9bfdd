//! Whose event it is: the processes behind the ids, and the choice among events by those.

use std::cell::RefCell;
use std::time::Duration;

use glob::Pattern;
use nix::unistd::User;
use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};
use proc_connector::{Event, Payload, Received};

use super::Failure;
use super::machine;
use super::names::command_line;
use super::trees::Trees;
use super::users::Users;

/// Events of these processes only.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Whose {
    /// Only this process and its descendants, or all processes of this name and theirs. A process that
    /// gets the id later is another one.
    #[arg(long, value_name = "PID|NAME")]
    tree: Vec<String>,

    /// Only processes whose thread's or program's name is like this: `make`, `python*`.
    #[arg(long, value_name = "GLOB")]
    comm: Vec<Pattern>,

    /// Only processes of this user, by name or id; in a recording by id only. A name is looked up once.
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

    /// The users that are asked for, with the ids that names have on this machine. That may take a
    /// while, so it is to be done before anything is received.
    pub(super) fn uids(&self) -> Vec<u32> {
        let uid = |user: &String| match user.parse() {
            Ok(uid) => Some(uid),
            Err(_) => Some(User::from_name(user).ok()??.uid.as_raw()),
        };
        self.user.iter().filter_map(uid).collect()
    }
}

/// The processes, and which of them are of interest.
#[derive(Debug)]
pub(super) struct Who<'a> {
    table: ProcessTable,
    /// Of this machine; another's users are known by their ids only.
    users: Option<RefCell<Users>>,
    whose: &'a Whose,
    /// The users that are asked for.
    uids: Vec<u32>,
    trees: Trees,
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
    /// Of this machine's processes, to be made when a connector is open, for these
    /// [users](Whose::uids).
    pub(super) fn live(whose: &'a Whose, uids: Vec<u32>) -> Result<Self, Failure> {
        Ok(Self::new(machine::processes()?, Some(RefCell::default()), whose, uids))
    }

    /// Of processes elsewhere, or long gone.
    pub(super) fn recorded(whose: &'a Whose) -> Self {
        let uids = whose.user.iter().filter_map(|user| user.parse().ok()).collect();
        Self::new(ProcessTable::without_proc(), None, whose, uids)
    }

    fn new(
        table: ProcessTable,
        users: Option<RefCell<Users>>,
        whose: &'a Whose,
        uids: Vec<u32>,
    ) -> Self {
        let mut new = Self { table, users, whose, uids, trees: Trees::new(&whose.tree) };
        // Parents have to be known to be part of a tree before their children are asked for.
        let mut processes: Vec<&Process> = new.table.iter().collect();
        processes.sort_unstable_by_key(|process| (process.start_ns(), process.tgid()));
        for process in processes {
            follow(&mut new.trees, ChangeKind::Appeared, process);
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
        for change in self.table.apply(received) {
            let Change { kind, process, .. } = change;
            if process.tgid() == tgid {
                serial = Some(process.serial());
            }
            follow(&mut self.trees, kind, process);
        }
        let is_it = |process: &&Process| serial.is_none_or(|serial| process.serial() == serial);
        let live = self.table.get(tgid).filter(is_it);
        let process = live.or_else(|| self.table.by_serial(serial?));
        let is_wanted = process.map_or(!self.whose.chooses(), |process| self.wants(process));
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
            follow(&mut self.trees, change.kind, change.process);
        }
    }

    fn wants(&self, process: &Process) -> bool {
        let Whose { tree: _, comm, user, cgroup } = self.whose;
        (self.trees.is_empty() || self.trees.contains(process))
            && (comm.is_empty()
                || comm.iter().any(|name| is_called(process, |it| name.matches(it))))
            && (user.is_empty() || self.is_of_user(process))
            && (cgroup.is_empty() || cgroup.iter().any(|cgroup| is_in(process, cgroup)))
    }

    fn is_of_user(&self, process: &Process) -> bool {
        let ids = process.uid().map(|ids| [ids.real, ids.effective]);
        ids.is_some_and(|ids| ids.iter().any(|uid| self.uids.contains(uid)))
    }
}

/// Notes whether a process is part of a tree that is asked for.
fn follow(trees: &mut Trees, kind: ChangeKind, process: &Process) {
    match kind {
        ChangeKind::Started | ChangeKind::Executed | ChangeKind::Appeared => {
            trees.join(process, |tree| is_called(process, |name| name == tree));
        }
        ChangeKind::Ended | ChangeKind::Vanished => trees.leave(process),
        _ => {}
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

    /// Its effective user, by name if there is one that is known by now.
    pub(super) fn user(&self) -> Option<String> {
        let uid = self.process?.uid()?.effective;
        let name = |users: &RefCell<Users>| users.borrow_mut().name(uid).map(str::to_owned);
        let name = self.users.and_then(name);
        Some(name.unwrap_or_else(|| uid.to_string()))
    }
}

#[cfg(test)]
mod tests;
