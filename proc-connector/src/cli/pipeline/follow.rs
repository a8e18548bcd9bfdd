//! Collects the processes that a chart or a tree shows.

use std::collections::HashSet;

use proc_connector::process::ProcessTable;
use proc_connector::{ExitStatus, ProcessIds, Received};

use super::lives::{Lives, Scope};
use super::stage::Choose;
use crate::cli::output::chart::forest::{Forest, Life, Loss, Program};
use crate::cli::output::sink::Item;

/// Collects the lives of processes from events and changes of the table.
#[derive(Debug)]
pub(crate) struct Follower {
    scope: Scope,
    lives: Lives,
    /// Whether the last event was about a process in the scope.
    is_in_scope: bool,
    /// The time of the first event, of the last event in the scope, and of the last event.
    first_ns: Option<u64>,
    last_ns: u64,
    now_ns: u64,
}

/// A time longer than a fork, because a process is created before its fork is reported.
const FORK_NS: u64 = 10_000_000;

/// A child process, as its parent knows it.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) tgid: u32,
    pub(crate) parent: u32,
    /// A time shortly before its fork.
    pub(crate) start_ns: u64,
    /// The program that it executes.
    pub(crate) program: Program,
}

impl Follower {
    /// Follows all processes of a recording.
    pub(crate) fn for_recording() -> Self {
        Self::new(Scope::All)
    }

    /// Follows a child of a process, and its descendants. The child must be younger than the table of
    /// processes, and none of its events may have been received.
    pub(crate) fn for_child(child: &Child) -> Self {
        let &Child { tgid, parent, start_ns, .. } = child;
        let mut follower = Self::new(Scope::Tree { root: tgid, parent });
        follower.lives.by_tgid.insert(tgid, 0);
        follower.lives.all.push(Life { tgid, start_ns: Some(start_ns), ..Life::default() });
        follower
    }

    /// Keeps the details of programs.
    #[cfg(feature = "otlp")]
    pub(crate) fn with_details(mut self) -> Self {
        self.lives.has_details = true;
        self
    }

    fn new(scope: Scope) -> Self {
        let lives = Lives::default();
        Self { scope, lives, is_in_scope: false, first_ns: None, last_ns: 0, now_ns: 0 }
    }

    /// Marks the processes that the last event was about as wanted.
    pub(crate) fn want(&mut self) {
        let Lives { touched, wanted, .. } = &mut self.lives;
        wanted.extend(touched.iter());
    }

    /// The time of the last event, of any process.
    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Whether the first process has ended, and whether all have, with all of their threads.
    pub(crate) fn ended(&self) -> (bool, bool) {
        let has_first_ended = self.lives.all.first().is_some_and(|life| !life.runs());
        (has_first_ended, self.lives.are_complete())
    }

    /// Completes the life of the followed child with the facts that its parent knows: the status, and
    /// where no event has reported them, the program and `end_ns`, a time after its end.
    pub(crate) fn child_ended(&mut self, child: Child, end_ns: u64, status: ExitStatus) {
        let Some(first) = self.lives.all.first_mut() else { return };
        first.end_ns = first.end_ns.or(Some(end_ns));
        first.status = Some(status);
        match first.programs.first_mut() {
            Some(program) if program.command.is_some() => {}
            Some(program) => *program = Program { at_ns: program.at_ns, ..child.program },
            None => first.programs.push(child.program),
        }
    }

    /// The lives that were collected.
    pub(crate) fn into_forest(mut self) -> Forest {
        self.lives.complete_io();
        let Lives { all: mut lives, losses, wanted, .. } = self.lives;
        // A process without a known start or end is drawn from the first or to the last event.
        let (mut first_ns, mut last_ns) = (self.first_ns, self.last_ns);
        let mut earliest_ns = 0;
        if let Scope::All = self.scope {
            lives = reduced(lives, &wanted);
            // A process that existed before the recording may be days old.
            earliest_ns = first_ns.unwrap_or(0).saturating_sub(FORK_NS);
            if lives.iter().all(|life| life.start_ns.is_some_and(|start| start >= earliest_ns)) {
                first_ns = None;
            }
            let any_runs = lives.iter().any(Life::runs);
            last_ns = if any_runs { self.now_ns } else { 0 };
        } else {
            first_ns = None;
        }
        let starts = lives.iter().filter_map(|life| life.start_ns);
        let starts = starts.filter(|&start| start >= earliest_ns);
        let begin_ns = starts.chain(first_ns).min().unwrap_or(last_ns);
        let ends = lives.iter().filter_map(|life| life.end_ns);
        let end_ns = ends.chain([last_ns, begin_ns]).max().unwrap_or(last_ns);
        for life in &mut lives {
            life.start_ns = life.start_ns.filter(|&start| start >= begin_ns);
        }
        Forest { lives, losses, begin_ns, end_ns, cores: None }
    }
}

impl Choose for Follower {
    fn follow(&mut self, table: &ProcessTable, received: Option<&Received<'_>>) {
        let mut at_ns = None;
        match received {
            Some(Received::Event(event)) => {
                at_ns = Some(event.timestamp_ns());
                // Events of different CPUs may be a little out of order.
                self.now_ns = self.now_ns.max(event.timestamp_ns());
                self.first_ns.get_or_insert(event.timestamp_ns());
            }
            Some(Received::Lost(lost)) => {
                self.lives.losses.push(Loss { at_ns: self.now_ns, count: lost.count });
            }
            None => {}
        }
        self.lives.touched.clear();
        self.is_in_scope = false;
        for change in table.changes() {
            self.is_in_scope |= self.lives.change(self.scope, &change, at_ns);
        }
        if let Some(Received::Event(event)) = received {
            self.lives.add_io(event);
            // An exec changes nothing while its program is uncertain.
            let is_known = |ids: ProcessIds| self.lives.by_tgid.contains_key(&ids.tgid);
            self.is_in_scope |= event.process().is_some_and(is_known);
        }
        if self.is_in_scope && at_ns.is_some() {
            self.last_ns = self.now_ns;
        }
    }

    fn chooses(&mut self, item: &Item<'_>) -> bool {
        self.is_in_scope || matches!(item.received, Received::Lost(_))
    }

    fn chooses_held(&mut self, item: &Item<'_>) -> bool {
        item.process.is_some_and(|process| self.lives.contains(process))
    }
}

/// Leaves out the processes that are not wanted. Keeps an unknown creator if it has several wanted
/// children.
fn reduced(lives: Vec<Life>, wanted: &HashSet<usize>) -> Vec<Life> {
    let mut children = vec![0; lives.len()];
    for (index, life) in lives.iter().enumerate() {
        if let Some(creator) = life.creator.filter(|_| wanted.contains(&index)) {
            children[creator] += 1;
        }
    }
    let mut places: Vec<Option<usize>> = Vec::with_capacity(lives.len());
    let mut kept: Vec<Life> = Vec::with_capacity(lives.len());
    for (index, (mut life, children)) in lives.into_iter().zip(children).enumerate() {
        // A process whose creator is left out becomes a child of the creator's creator.
        life.creator = life.creator.and_then(|creator| places[creator]);
        let unseen = life.start_ns.is_none() && life.end_ns.is_none() && life.programs.is_empty();
        if wanted.contains(&index) || (unseen && life.creator.is_none() && children > 1) {
            places.push(Some(kept.len()));
            kept.push(life);
        } else {
            places.push(life.creator);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
