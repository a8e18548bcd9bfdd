//! Options that select events by the fields of the event, without the table of processes.

use std::fmt;

use proc_connector::{EventMask, Filter, TooManyTgids};

use crate::cli::host::present::{self, Absent};
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct EventOptions {
    /// Select only these kinds of events, separated by commas.
    #[arg(long, value_name = "LIST", value_parser = values::Kind, value_delimiter = ',')]
    #[arg(ignore_case = true, default_value = "all", hide_default_value = true)]
    events: Vec<EventMask>,

    /// Leave out threads, except the first of each process.
    #[arg(long)]
    processes: bool,

    /// Leave out successful exits.
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
    pub(crate) fn filter(&self) -> Result<Filter, TooManyTgids> {
        let mut filter = match self.events() {
            EventMask::EVENTS => Filter::default(),
            events => Filter::new(events),
        };
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
