//! Whose event it is: the processes behind the ids, and the choice among events by those.

use std::cell::RefCell;
use std::time::Duration;

use glob::Pattern;
use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};
use proc_connector::{Event, Payload, Received};

use super::machine;
use super::process_names::is_called;
use super::trees::Trees;
use crate::cli::Failure;
use crate::cli::host::present;
use crate::cli::host::users::Users;
use crate::cli::output::names::command_line;
use crate::cli::values::{self, Root, User};

/// Events of these processes only.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Whose {
    /// Show only this process and its descendants, or all processes of this name and theirs. When
    /// listening, a process given by its id has to exist; one of a name may start later. A process that
    /// gets the id later is another one.
    #[arg(long, value_name = "PID|NAME", value_parser = values::root, allow_negative_numbers = true)]
    tree: Vec<Root>,

    /// Show only processes whose name matches this pattern, such as make or 'python*': the name of
    /// the first thread, of which the kernel keeps 15 bytes, or that of the program or of the script
    /// it runs, as its arguments have it.
    #[arg(long, value_name = "GLOB", value_parser = values::name_pattern)]
    comm: Vec<Pattern>,

    /// Show only processes of this user, by name or id; in a recording by id only. A name is looked up
    /// once.
    #[arg(long, value_name = "USER", value_parser = values::user, allow_negative_numbers = true)]
    #[arg(value_hint = clap::ValueHint::Username)]
    user: Vec<User>,

    /// Only processes in this cgroup and those below it (a path, or a glob), or in the container
    /// whose id begins so.
    #[arg(long, value_name = "PATH|GLOB|ID", value_parser = values::cgroup)]
    cgroup: Vec<Pattern>,
}

impl Whose {
    /// Whether it takes more than the events themselves to choose.
    pub(crate) fn chooses(&self) -> bool {
        let Self { tree, comm, user, cgroup } = self;
        !(tree.is_empty() && comm.is_empty() && user.is_empty() && cgroup.is_empty())
    }

    /// The ids of the chosen users on this machine. A lookup may take a while, so this comes before
    /// anything is received.
    pub(crate) fn uids(&self) -> Result<Vec<u32>, Failure> {
        Ok(self.user.iter().map(present::user).collect::<Result<_, _>>()?)
    }
}

/// The processes, and which of them are of interest.
#[derive(Debug)]
pub(crate) struct Who<'a> {
    table: ProcessTable,
    /// Of this machine; another's users are known by their ids only.
    users: Option<RefCell<Users>>,
    whose: &'a Whose,
    /// The ids of the chosen users.
    uids: Vec<u32>,
    trees: Trees,
}

/// An event's process, as far as it is known, after the event.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) process: Option<&'a Process>,
    /// Whether it is of interest.
    pub(crate) is_wanted: bool,
    users: Option<&'a RefCell<Users>>,
}

impl<'a> Who<'a> {
    /// Of this machine's processes, to be made when a connector is open, for these
    /// [users](Whose::uids).
    ///
    /// Fails for a choice of what does not exist; processes and containers of a name may come later.
    pub(crate) fn live(whose: &'a Whose, uids: Vec<u32>) -> Result<Self, Failure> {
        let table = machine::processes()?;
        for root in &whose.tree {
            if let Root::Pid(pid) = root {
                present::process(*pid)?;
            }
        }
        whose.cgroup.iter().try_for_each(|cgroup| present::cgroup(cgroup.as_str()))?;
        Ok(Self::new(table, Some(RefCell::default()), whose, uids))
    }

    /// Of processes elsewhere, or long gone.
    ///
    /// Fails for a choice of users by name.
    pub(crate) fn recorded(whose: &'a Whose) -> Result<Self, Failure> {
        let uids = whose.user.iter().map(present::recorded_user).collect::<Result<_, _>>()?;
        Ok(Self::new(ProcessTable::without_proc(), None, whose, uids))
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

    /// Whether no process that exists now is of interest.
    pub(crate) fn is_waiting(&self) -> bool {
        self.whose.chooses() && !self.table.iter().any(|process| self.wants(process))
    }

    /// Takes in what was received, and tells whose it is if it is an event.
    pub(crate) fn update(&mut self, received: &Received<'_>) -> Subject<'_> {
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
        let process = live.or_else(|| {
            let mut changed = self.table.changes().map(|change| change.process);
            changed.find(|process| Some(process.serial()) == serial)
        });
        let is_wanted = process.map_or(!self.whose.chooses(), |process| self.wants(process));
        Subject { process, is_wanted, users: self.users.as_ref() }
    }

    /// How long to wait for events at most.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        self.table.rescan_in()
    }

    /// Does what is due though nothing came.
    pub(crate) fn catch_up(&mut self) {
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

/// Whether a process is in a cgroup or below it, or in a container.
fn is_in(process: &Process, wanted: &Pattern) -> bool {
    let Some(path) = process.cgroup().map(|path| path.to_string_lossy()) else { return false };
    let name = wanted.as_str().trim_end_matches('/');
    wanted.matches(&path)
        || path.strip_prefix(name).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        || (values::is_container(name)
            && process.container().is_some_and(|id| id.starts_with(name)))
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
    pub(crate) fn command(&self) -> Option<String> {
        command_line(self.process?)
    }

    /// Its effective user, by name if there is one that is known by now.
    pub(crate) fn user(&self) -> Option<String> {
        let uid = self.process?.uid()?.effective;
        let name = |users: &RefCell<Users>| users.borrow_mut().name(uid).map(str::to_owned);
        let name = self.users.and_then(name);
        Some(name.unwrap_or_else(|| uid.to_string()))
    }
}

#[cfg(test)]
mod tests;
