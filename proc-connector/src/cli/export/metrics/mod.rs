//! Metrics of events and of ended processes, independent of the way they are exported.

mod counts;
pub(crate) mod family;
mod groups;
mod own;
mod status;

use std::time::{Instant, SystemTime};

use proc_connector::process::Process;
use proc_connector::{EventMask, Lost, Transport, Usage};

use self::counts::Families;
use self::family::{Family, Value};
use self::groups::Groups;
use self::status::Statuses;
use crate::cli::output::statistics::report::Kinds;

/// The number of pairs of a program and a cgroup that are counted separately by default.
pub(crate) const GROUPS: usize = 100;

/// The counts since the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: SystemTime,
    kinds: Kinds,
    lost: u64,
    losses: u64,
    unknown_losses: u64,
    statuses: Statuses,
    groups: Groups,
}

/// The state of the machine and of the listener at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) processes: usize,
    /// `None` if only some processes are selected, whose threads are not known.
    pub(crate) threads: Option<usize>,
    pub(crate) transport: Transport,
}

impl Metrics {
    /// Counts at most this many pairs of a program and a cgroup separately.
    pub(crate) fn new(groups: usize) -> Self {
        Self {
            started: SystemTime::now(),
            kinds: Kinds::default(),
            lost: 0,
            losses: 0,
            unknown_losses: 0,
            statuses: Statuses::default(),
            groups: Groups::new(groups, Instant::now()),
        }
    }

    /// When counting began.
    #[cfg(feature = "otlp")]
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// Sets the time of the next counts.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.groups.set_now(now);
    }

    pub(crate) fn add_event(&mut self, kind: EventMask) {
        self.kinds.count(kind);
    }

    /// The number of events.
    pub(crate) fn events(&self) -> u64 {
        self.kinds.sum()
    }

    pub(crate) fn add_loss(&mut self, lost: &Lost) {
        self.losses += 1;
        match lost.count {
            Some(count) => self.lost = self.lost.saturating_add(count),
            None => self.unknown_losses += 1,
        }
    }

    pub(crate) fn add_fork(&mut self, by: Option<&Process>, is_thread: bool) {
        let counts = self.groups.of(by);
        *(if is_thread { &mut counts.threads } else { &mut counts.forks }) += 1;
    }

    pub(crate) fn add_exec(&mut self, process: Option<&Process>) {
        self.groups.of(process).execs += 1;
    }

    pub(crate) fn add_end(&mut self, process: &Process) {
        self.statuses.count(process.exit_status());
        self.groups.of(Some(process)).add_end(process);
    }

    /// Adds what a thread that has ended read and wrote.
    pub(crate) fn add_io(&mut self, process: Option<&Process>, thread: &Usage) {
        // Most threads read and write nothing that is not in the page cache.
        if thread.read_bytes != 0 || thread.write_bytes != 0 {
            self.groups.of(process).add_io(thread);
        }
    }

    /// All metrics at a moment.
    pub(crate) fn families(&self, now: Now) -> Vec<Family> {
        let integer = Value::Integer;
        let number = |number: usize| integer(u64::try_from(number).unwrap_or(u64::MAX));
        let mut events = Family::counter("proc_connector_events", "Events, by kind.");
        for (kind, count) in self.kinds.iter() {
            events.push(vec![("event", kind.into())], integer(count));
        }
        let mut exits =
            Family::counter("proc_connector_exits", "Processes that ended, by status or signal.");
        for (status, count) in self.statuses.iter() {
            exits.push(vec![("status", status.into())], integer(count));
        }
        let mut groups = Families::new();
        for (program, cgroup, since, counts) in self.groups.iter() {
            groups.push(&program, &cgroup, since, counts);
        }
        let mut all = vec![events, exits];
        all.extend(groups.into_all(now.transport == Transport::Ring));
        all.push(
            Family::gauge("proc_connector_processes", "Processes that run.")
                .of(number(now.processes)),
        );
        all.extend(now.threads.map(|threads| {
            Family::gauge("proc_connector_threads", "Threads that run.").of(number(threads))
        }));
        all.extend([
            Family::counter(
                "proc_connector_lost_events",
                "Events lost, where the number is known.",
            )
            .of(integer(self.lost)),
            Family::counter("proc_connector_losses", "Losses of one or more events.")
                .of(integer(self.losses)),
            Family::counter(
                "proc_connector_unknown_losses",
                "Losses of an unknown number of events.",
            )
            .of(integer(self.unknown_losses)),
            Family::gauge(
                "proc_connector_groups",
                "Pairs of a program and a cgroup that are counted separately.",
            )
            .of(number(self.groups.len())),
            Family::gauge(
                "proc_connector_groups_limit",
                "Largest number of pairs of a program and a cgroup that are counted separately.",
            )
            .of(number(self.groups.limit())),
        ]);
        let one = integer(1);
        let transport = match now.transport {
            Transport::Ring => "ring",
            _ => "socket",
        };
        let mut info = Family::info("proc_connector_transport", "How the kernel passes events.");
        info.push(vec![("transport", transport.into())], one);
        let mut build = Family::info("proc_connector_build", "The version of this exporter.");
        build.push(vec![("version", env!("CARGO_PKG_VERSION").into())], one);
        all.extend([info, build]);
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        all.extend(own::families(Value::Float(started.as_secs_f64())));
        all
    }
}
