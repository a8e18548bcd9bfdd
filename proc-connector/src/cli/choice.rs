//! Which events: the same options for `watch`, `record` and `replay`.

use std::fmt;

use proc_connector::{EventMask, Filter, TooManyTgids};

#[derive(Debug, clap::Args)]
pub(super) struct Choice {
    /// Only these kinds: fork, exec, uid, gid, sid, ptrace, comm, coredump, exit, or all.
    #[arg(long, value_name = "LIST", default_value = "all", hide_default_value = true)]
    events: EventMask,

    /// Only processes: leave out the threads that are not a process's first.
    #[arg(long, conflicts_with = "threads")]
    processes: bool,

    /// Threads too, which are left out where events are shown in columns.
    #[arg(long)]
    threads: bool,

    /// Of exits only those with a failure.
    #[arg(long)]
    failed: bool,

    /// Only what these processes do: their forks, execs, threads and exits.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,

    /// Stop after this many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

impl Choice {
    pub(super) fn filter(&self) -> Result<Filter, TooManyTgids> {
        let mut filter = if self.events == EventMask::EVENTS {
            Filter::default()
        } else {
            Filter::new(self.events)
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
    pub(super) fn filter_for_the_eye(&self) -> Result<Filter, TooManyTgids> {
        let filter = self.filter()?;
        Ok(if self.threads { filter } else { filter.processes_only() })
    }

    /// How many events are enough.
    pub(super) fn count(&self) -> u64 {
        self.count.unwrap_or(u64::MAX)
    }
}

/// The options that choose among events, as one would type them.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = Vec::new();
        if self.events != EventMask::EVENTS {
            options.push(format!("--events {}", self.events));
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
