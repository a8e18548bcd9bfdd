//! Options that select events by the fields of the event, without the table of processes.

use std::fmt;

use proc_connector::{Event, EventMask, Filter, Payload, TooManyTgids};

use crate::cli::host::present::{self, Absent};
use crate::cli::output::sink::End;
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct EventOptions {
    /// Select only these kinds of events, separated by commas.
    #[arg(long, value_name = "LIST", value_parser = values::Kind, value_delimiter = ',')]
    #[arg(ignore_case = true, default_value = "all", hide_default_value = true)]
    events: Vec<EventMask>,

    /// Leave out threads: select the events of the first thread and the end of each process. `record`
    /// selects the exits of first threads instead of the ends.
    #[arg(long)]
    processes: bool,

    /// Leave out exits, except the ends of failed processes. `record` selects every exit of a thread
    /// with a status other than 0 instead.
    #[arg(long)]
    failed: bool,

    /// Select only events of these processes, given by id and separated by commas. The fork of a child
    /// is an event of its parent. For live events, the processes must exist.
    #[arg(long, value_name = "PID", value_parser = values::pid, value_delimiter = ',')]
    #[arg(allow_negative_numbers = true)]
    pid: Vec<u32>,

    /// Stop after this many events.
    #[arg(long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    count: Option<u64>,
}

impl EventOptions {
    /// The choice by the fields of events alone.
    pub(crate) fn filter(&self) -> Result<Filter, TooManyTgids> {
        let mut filter = self.mask_filter();
        if self.processes {
            filter = filter.processes_only();
        }
        if self.failed {
            filter = filter.failures_only();
        }
        if !self.pid.is_empty() {
            filter = filter.only_tgids(&self.pid)?;
        }
        Ok(filter)
    }

    /// Whether the choice depends on the processes of exits, which a [`Filter`] does not know.
    pub(crate) fn depends_on_ends(&self) -> bool {
        self.processes || self.failed
    }

    /// The choice among events whose processes are identified. Without `threads`, threads are left out.
    pub(crate) fn choice(&self, threads: bool) -> Result<EventChoice, TooManyTgids> {
        let processes = self.processes || !threads;
        let mut events = self.mask_filter();
        let exits = self.events().contains(EventMask::EXIT);
        if processes {
            events = events.processes_only();
        }
        if !self.pid.is_empty() {
            events = events.only_tgids(&self.pid)?;
        }
        let tgids = self.pid.clone();
        Ok(EventChoice { events, exits, tgids, processes, failed: self.failed })
    }

    /// The choice by kind. Without one, kinds that this program does not know are selected, too.
    fn mask_filter(&self) -> Filter {
        match self.events() {
            EventMask::EVENTS => Filter::default(),
            events => Filter::new(events),
        }
    }

    fn events(&self) -> EventMask {
        self.events.iter().copied().collect()
    }

    /// Refuses processes that do not exist. Call it after opening the connector, which then receives
    /// the exit of every process that has passed this check.
    pub(crate) fn check_processes(&self) -> Result<(), Absent> {
        self.pid.iter().try_for_each(|&pid| present::process(pid))
    }

    /// The number of events to stop after.
    pub(crate) fn count(&self) -> u64 {
        self.count.unwrap_or(u64::MAX)
    }
}

/// The choice among events, with the meaning of exits determined by the table of processes.
#[derive(Clone, Debug)]
pub(crate) struct EventChoice {
    /// The choice among all kinds except exits.
    events: Filter,
    /// Whether exits are selected.
    exits: bool,
    /// The selected processes; empty selects all.
    tgids: Vec<u32>,
    /// Whether of exits only the ends of processes are selected.
    processes: bool,
    /// Whether of exits only the ends of failed processes are selected.
    failed: bool,
}

impl EventChoice {
    /// Whether an event is selected. `end` is the end of its process.
    pub(crate) fn matches(&self, event: &Event<'_>, end: Option<&End>) -> bool {
        match (event.payload(), end) {
            (Payload::Exit(exit), Some(end)) => self.matches_end(exit.process_tgid(), end),
            (Payload::Exit(exit), None) => {
                !self.processes && !self.failed && self.selects_exit(exit.process_tgid())
            }
            _ => self.events.matches(event),
        }
    }

    /// Whether the end of a process is selected.
    pub(crate) fn matches_end(&self, tgid: u32, end: &End) -> bool {
        self.selects_exit(tgid) && (!self.failed || end.is_failure())
    }

    fn selects_exit(&self, tgid: u32) -> bool {
        self.exits && (self.tgids.is_empty() || self.tgids.contains(&tgid))
    }
}

/// The options as typed on a command line, for the description of a capture.
impl fmt::Display for EventOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = Vec::new();
        if self.events() != EventMask::EVENTS {
            options.push(format!("--events {}", self.events()));
        }
        if self.processes {
            options.push("--processes".to_owned());
        }
        if self.failed {
            options.push("--failed".to_owned());
        }
        if !self.pid.is_empty() {
            let pids: Vec<String> = self.pid.iter().map(u32::to_string).collect();
            options.push(format!("--pid {}", pids.join(",")));
        }
        f.write_str(&options.join(" "))
    }
}
