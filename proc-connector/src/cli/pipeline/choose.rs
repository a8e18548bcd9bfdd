//! Chooses the events to show.

use glob::Pattern;
use proc_connector::Received;
use proc_connector::process::{Change, ChangeKind, Changes, Process, ProcessTable};

use super::follow::Follower;
use super::process_names::has_name;
use super::stage::Choose;
use super::trees::Trees;
use crate::cli::failure::Failure;
use crate::cli::options::events::EventChoice;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::sink::{End, Item};
use crate::cli::values;

/// Chooses events by their fields and by their processes.
#[derive(Debug)]
pub(crate) struct Chooser<'a> {
    events: EventChoice,
    processes: ProcessChooser<'a>,
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(events: EventChoice, processes: ProcessChooser<'a>) -> Self {
        Self { events, processes }
    }
}

impl Choose for Chooser<'_> {
    fn follow(&mut self, changes: Changes<'_>, _: Option<&Received<'_>>) {
        self.processes.follow(changes);
    }

    fn chooses(&mut self, item: &Item<'_>) -> bool {
        match item.received {
            Received::Event(event) => {
                self.processes.wants(item.process) && self.events.matches(event, item.end.as_ref())
            }
            Received::Lost(_) => true,
        }
    }

    fn chooses_end(&mut self, process: &Process, end: &End) -> bool {
        self.processes.wants(Some(process)) && self.events.matches_end(process.tgid(), end)
    }
}

/// Chooses events of a recording, and the processes to draw.
#[derive(Debug)]
pub(crate) struct DrawnChooser<'a> {
    pub(crate) chooser: Chooser<'a>,
    pub(crate) follower: Follower,
}

impl Choose for DrawnChooser<'_> {
    fn follow(&mut self, changes: Changes<'_>, received: Option<&Received<'_>>) {
        self.chooser.processes.follow(changes.clone());
        self.follower.follow(changes, received);
    }

    fn chooses(&mut self, item: &Item<'_>) -> bool {
        // The filter selects events only: a process is drawn even if none of its events passes.
        if self.chooser.processes.wants(item.process) {
            self.follower.want();
        }
        self.chooser.chooses(item)
    }
}

/// Chooses processes.
#[derive(Debug)]
pub(crate) struct ProcessChooser<'a> {
    options: &'a ProcessOptions,
    /// The ids of the selected users.
    uids: Vec<u32>,
    trees: Trees,
}

impl<'a> ProcessChooser<'a> {
    /// Chooses among the processes of a recording.
    ///
    /// Fails for a user given by name.
    pub(crate) fn recorded(options: &'a ProcessOptions) -> Result<Self, Failure> {
        Ok(Self { options, uids: options.recorded_uids()?, trees: Trees::new(&options.tree) })
    }

    /// Chooses among the processes of this machine, those in the table first. `uids` are the ids of
    /// the selected [users](ProcessOptions::uids).
    pub(crate) fn live(options: &'a ProcessOptions, uids: Vec<u32>, table: &ProcessTable) -> Self {
        let mut new = Self { options, uids, trees: Trees::new(&options.tree) };
        // A parent has to join a tree before its children do.
        let mut processes: Vec<&Process> = table.iter().collect();
        processes.sort_unstable_by_key(|process| (process.start_ns(), process.tgid()));
        for process in processes {
            new.join_or_leave(ChangeKind::Appeared, process);
        }
        new
    }

    /// Whether the options select processes and none in the table matches.
    pub(crate) fn matches_none_of(&self, table: &ProcessTable) -> bool {
        self.options.is_any_given() && !table.iter().any(|process| self.matches(process))
    }

    fn follow(&mut self, changes: Changes<'_>) {
        for Change { kind, process, .. } in changes {
            self.join_or_leave(kind, process);
        }
    }

    fn join_or_leave(&mut self, kind: ChangeKind, process: &Process) {
        match kind {
            ChangeKind::Started | ChangeKind::Executed | ChangeKind::Appeared => {
                self.trees.join(process, |tree| has_name(process, |name| name == tree));
            }
            ChangeKind::Ended | ChangeKind::Vanished => self.trees.leave(process),
            _ => {}
        }
    }

    /// Whether events of this process are wanted. An unknown process matches no option.
    fn wants(&self, process: Option<&Process>) -> bool {
        process.map_or(!self.options.is_any_given(), |process| self.matches(process))
    }

    fn matches(&self, process: &Process) -> bool {
        let ProcessOptions { tree: _, comm, user, cgroup } = self.options;
        (self.trees.is_empty() || self.trees.contains(process))
            && (comm.is_empty()
                || comm.iter().any(|pattern| has_name(process, |name| pattern.matches(name))))
            && (user.is_empty() || self.is_of_selected_user(process))
            && (cgroup.is_empty() || cgroup.iter().any(|cgroup| is_in_cgroup(process, cgroup)))
    }

    fn is_of_selected_user(&self, process: &Process) -> bool {
        let ids = process.uid().map(|ids| [ids.real, ids.effective]);
        ids.is_some_and(|ids| ids.iter().any(|uid| self.uids.contains(uid)))
    }
}

/// Whether a process is in a cgroup or below it, or in a container.
fn is_in_cgroup(process: &Process, selected: &Pattern) -> bool {
    let Some(path) = process.cgroup().map(|path| path.to_string_lossy()) else { return false };
    let name = selected.as_str().trim_end_matches('/');
    selected.matches(&path)
        || path.strip_prefix(name).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        || (values::is_container(name)
            && process.container().is_some_and(|id| id.starts_with(name)))
}

#[cfg(test)]
mod tests;
