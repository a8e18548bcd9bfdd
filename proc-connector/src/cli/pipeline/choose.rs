//! Chooses the events to show.

use std::collections::HashSet;

use proc_connector::process::{ChangeKind, Process, ProcessTable};
use proc_connector::{Filter, Received, Selector, TaskProperties};

use super::conditions::{Conditions, Rest};
use super::follow::Follower;
use super::stage::Choose;
use crate::cli::failure::Failure;
use crate::cli::host::present;
use crate::cli::options::events::EventChoice;
use crate::cli::output::sink::{End, Item};

/// Chooses events by their fields and by their processes.
#[derive(Debug)]
pub(crate) struct Chooser<'a> {
    events: Events,
    processes: ProcessChooser<'a>,
}

/// The choice by the fields of events.
#[derive(Debug)]
enum Events {
    Identified(EventChoice),
    /// Exits are those of threads.
    Plain(Filter),
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(events: EventChoice, processes: ProcessChooser<'a>) -> Self {
        Self { events: Events::Identified(events), processes }
    }

    /// Chooses what passes a filter.
    pub(crate) fn plain(filter: Filter, processes: ProcessChooser<'a>) -> Self {
        Self { events: Events::Plain(filter), processes }
    }
}

impl Choose for Chooser<'_> {
    fn follow(&mut self, table: &ProcessTable, received: Option<&Received<'_>>) {
        self.processes.follow(table, received);
    }

    fn chooses(&mut self, item: &Item<'_>) -> bool {
        match item.received {
            Received::Event(event) => {
                self.processes.chooses(item)
                    && match &self.events {
                        Events::Identified(events) => events.matches(event, item.end.as_ref()),
                        Events::Plain(filter) => filter.matches(event),
                    }
            }
            Received::Lost(_) => true,
        }
    }

    fn chooses_end(&mut self, process: &Process, end: &End) -> bool {
        match &self.events {
            Events::Identified(events) => {
                self.processes.chooses_end(process) && events.matches_end(process.tgid(), end)
            }
            Events::Plain(_) => false,
        }
    }
}

/// Chooses events of a recording, and the processes to draw.
#[derive(Debug)]
pub(crate) struct DrawnChooser<'a> {
    pub(crate) chooser: Chooser<'a>,
    pub(crate) follower: Follower,
}

impl Choose for DrawnChooser<'_> {
    fn follow(&mut self, table: &ProcessTable, received: Option<&Received<'_>>) {
        self.chooser.processes.follow(table, received);
        self.follower.follow(table, received);
    }

    fn chooses(&mut self, item: &Item<'_>) -> bool {
        // The filter selects events only: a process is drawn even if none of its events passes.
        if self.chooser.processes.chooses(item) {
            self.follower.want();
        }
        self.chooser.chooses(item)
    }
}

/// Chooses events by their processes.
#[derive(Debug)]
pub(crate) struct ProcessChooser<'a> {
    /// Whether any condition is set.
    is_selective: bool,
    rest: Rest<'a>,
    /// Evaluates the other conditions on recorded events. Live events were received by them.
    selector: Option<Selector>,
    /// Whether the last event meets those conditions.
    is_selected: bool,
    /// The serials of the processes that were chosen and have not ended.
    chosen: HashSet<u64>,
    /// The same for processes that ended with the last event.
    ended: HashSet<u64>,
}

impl<'a> ProcessChooser<'a> {
    /// Chooses among the processes of a recording.
    pub(crate) fn recorded(conditions: &Conditions<'a>) -> Result<Self, Failure> {
        let selector = Selector::new(&conditions.filter(Filter::default())?);
        Ok(Self { selector: Some(selector), ..Self::new(conditions, HashSet::new()) })
    }

    /// Chooses among live events, which a filter with the conditions has already passed.
    pub(crate) fn live(conditions: &Conditions<'a>, table: &ProcessTable) -> Result<Self, Failure> {
        let chosen = if conditions.are_any() { conditions.met_by(table)? } else { HashSet::new() };
        Ok(Self::new(conditions, chosen))
    }

    fn new(conditions: &Conditions<'a>, chosen: HashSet<u64>) -> Self {
        Self {
            is_selective: conditions.are_any(),
            rest: conditions.rest(),
            selector: None,
            is_selected: true,
            chosen,
            ended: HashSet::new(),
        }
    }

    /// Whether some processes are selected.
    #[cfg(any(feature = "otlp", feature = "prometheus"))]
    pub(crate) fn is_selective(&self) -> bool {
        self.is_selective
    }

    /// Whether processes are selected, and none was chosen that still runs.
    pub(crate) fn has_chosen_none(&self) -> bool {
        self.is_selective && self.chosen.is_empty()
    }

    /// The number of processes that run, as they are known. Without conditions, these are all.
    pub(crate) fn running(&self, table: &ProcessTable) -> usize {
        if !self.is_selective {
            return table.len();
        }
        // The exits of processes that no longer meet the conditions were not received.
        let is_chosen = |process: &&Process| self.chosen.contains(&process.serial());
        table.iter().filter(is_chosen).filter(|process| present::has_id(process.tgid())).count()
    }

    pub(crate) fn follow(&mut self, table: &ProcessTable, received: Option<&Received<'_>>) {
        if !self.is_selective {
            return;
        }
        if let (Some(selector), Some(Received::Event(event))) = (&mut self.selector, received) {
            self.is_selected = selector.matches(event, &mut Known(table));
        }
        self.ended.clear();
        for change in table.changes() {
            if matches!(change.kind, ChangeKind::Ended | ChangeKind::Vanished) {
                let serial = change.process.serial();
                if self.chosen.remove(&serial) {
                    self.ended.insert(serial);
                }
            }
        }
    }

    /// Whether an event is chosen.
    pub(crate) fn chooses(&mut self, item: &Item<'_>) -> bool {
        let Received::Event(event) = item.received else { return true };
        if !self.is_selective {
            return true;
        }
        let chooses = self.is_selected && self.rest.wants(event, item.process);
        if let Some(process) = item.process.filter(|process| chooses && process.is_alive()) {
            self.chosen.insert(process.serial());
        }
        chooses
    }

    /// Whether the end of a process is chosen, which has no event of its own.
    fn chooses_end(&self, process: &Process) -> bool {
        !self.is_selective || self.ended.contains(&process.serial())
    }
}

/// The properties of processes that a table knows.
struct Known<'a>(&'a ProcessTable);

impl<'a> Known<'a> {
    /// The process in its state after the last event, which may have ended it.
    fn find(&self, tgid: u32) -> Option<&'a Process> {
        let mut changes = self.0.changes();
        let last = changes
            .find(|change| change.process.tgid() == tgid && change.kind != ChangeKind::Vanished);
        last.map(|change| change.process).or_else(|| self.0.get(tgid))
    }
}

impl TaskProperties for Known<'_> {
    fn users(&mut self, tgid: u32) -> Option<(u32, u32)> {
        self.find(tgid)?.uid().map(|ids| (ids.real, ids.effective))
    }

    /// That of the first thread. The names of others are unknown.
    fn comm(&mut self, tgid: u32, _: u32) -> Option<[u8; 16]> {
        let name = self.find(tgid)?.comm()?;
        let mut comm = [0; 16];
        let len = name.len().min(15);
        comm[..len].copy_from_slice(&name[..len]);
        Some(comm)
    }

    fn cgroups(&mut self, _: u32, _: &mut Vec<u64>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
