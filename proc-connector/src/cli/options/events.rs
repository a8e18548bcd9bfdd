//! Which events: the same options for `watch`, `record` and `replay`.

use std::fmt;

use proc_connector::{EventMask, Filter, TooManyTgids};

use crate::cli::host::present::{self, Absent};
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Show only these kinds of events; several are separated by commas.
    #[arg(long, value_name = "LIST", value_parser = values::Kind, value_delimiter = ',')]
    #[arg(ignore_case = true, default_value = "all", hide_default_value = true)]
    events: Vec<EventMask>,

    /// Only processes: leave out the threads that are not a process's first.
    #[arg(long, conflicts_with = "threads")]
    processes: bool,

    /// Threads too, which are left out where events are shown in columns.
    #[arg(long)]
    threads: bool,

    /// Of exits only those with a failure.
    #[arg(long)]
    failed: bool,

    /// Show only what these processes do: their forks, execs, threads and exits. When listening, the
    /// processes have to exist.
    #[arg(long, value_name = "PID", value_parser = values::pid, value_delimiter = ',')]
    #[arg(allow_negative_numbers = true)]
    pid: Vec<u32>,

    /// Stop after this many events.
    #[arg(long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    count: Option<u64>,
}

impl Choice {
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

    /// What to show to the eye: without being asked for, no threads.
    pub(crate) fn filter_for_the_eye(&self) -> Result<Filter, TooManyTgids> {
        let filter = self.filter()?;
        Ok(if self.threads { filter } else { filter.processes_only() })
    }

    fn events(&self) -> EventMask {
        self.events.iter().copied().collect()
    }

    /// Refuses processes that do not exist. To be asked when a connector is open, so that the exit
    /// of one that ends after this is received.
    pub(crate) fn check_processes(&self) -> Result<(), Absent> {
        self.pid.iter().try_for_each(|&pid| present::process(pid))
    }

    /// How many events are enough.
    pub(crate) fn count(&self) -> u64 {
        self.count.unwrap_or(u64::MAX)
    }
}

/// The options that choose among events, as one would type them.
impl fmt::Display for Choice {
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
