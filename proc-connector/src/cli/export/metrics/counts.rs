//! What the processes of a group did.

use std::sync::Arc;
use std::time::SystemTime;

use proc_connector::Usage;
use proc_connector::process::Process;

use super::family::{Family, Labels, Unit, Value, seconds};
use super::status::Outcome;

/// Sums over processes since the start. None of them ever decreases.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) forks: u64,
    pub(super) threads: u64,
    pub(super) execs: u64,
    outcomes: [u64; Outcome::ALL.len()],
    measured: u64,
    /// Summed for each process, because the split of a sum changes with each addend.
    user_ns: u64,
    system_ns: u64,
    minor_faults: u64,
    major_faults: u64,
    voluntary: u64,
    involuntary: u64,
    max_rss: u64,
    read: u64,
    written: u64,
}

impl Counts {
    pub(super) fn add_end(&mut self, process: &Process) {
        self.outcomes[Outcome::of(process.exit_status()) as usize] += 1;
        let Some(usage) = process.usage() else { return };
        self.measured += 1;
        for (sum, value) in [
            (&mut self.user_ns, usage.user_ns()),
            (&mut self.system_ns, usage.system_ns()),
            (&mut self.minor_faults, usage.min_flt),
            (&mut self.major_faults, usage.maj_flt),
            (&mut self.voluntary, usage.nvcsw),
            (&mut self.involuntary, usage.nivcsw),
        ] {
            *sum = sum.saturating_add(value);
        }
        self.max_rss = self.max_rss.max(usage.max_rss.unwrap_or_default());
    }

    /// Adds what a thread read and wrote. The kernel's sum of a process would include children that it
    /// waited for.
    pub(super) fn add_io(&mut self, thread: &Usage) {
        self.read = self.read.saturating_add(thread.read_bytes);
        self.written = self.written.saturating_add(thread.write_bytes);
    }
}

/// The metrics of all groups.
#[derive(Debug)]
pub(super) struct Families {
    forks: Family,
    threads: Family,
    execs: Family,
    ended: Family,
    measured: Family,
    cpu: Family,
    faults: Family,
    switches: Family,
    max_rss: Family,
    io: Family,
}

impl Families {
    pub(super) fn new() -> Self {
        Self {
            forks: Family::counter(
                "proc_connector_forks",
                "Processes made by a process of this program and cgroup.",
            ),
            threads: Family::counter(
                "proc_connector_thread_starts",
                "Threads made by a process of this program and cgroup.",
            ),
            execs: Family::counter(
                "proc_connector_execs",
                "Executions of this program in this cgroup.",
            ),
            ended: Family::counter("proc_connector_ended_processes", "Processes that ended."),
            measured: Family::counter(
                "proc_connector_ended_processes_measured",
                "Ended processes whose CPU time, memory, page faults and context switches are known.",
            ),
            cpu: Family::counter(
                "proc_connector_ended_processes_cpu",
                "CPU time of ended processes, from their creation to their end.",
            )
            .in_unit(Unit::Seconds),
            faults: Family::counter(
                "proc_connector_ended_processes_page_faults",
                "Page faults of ended processes: minor without I/O, major with I/O.",
            ),
            switches: Family::counter(
                "proc_connector_ended_processes_context_switches",
                "Context switches of ended processes.",
            ),
            max_rss: Family::gauge(
                "proc_connector_ended_processes_max_rss",
                "Largest peak resident memory of an ended process.",
            )
            .in_unit(Unit::Bytes),
            io: Family::counter(
                "proc_connector_ended_threads_io",
                "Data that ended threads read from and wrote to storage.",
            )
            .in_unit(Unit::Bytes),
        }
    }

    /// Adds the counts of a pair since a time.
    pub(super) fn push(&mut self, program: &str, cgroup: &str, since: SystemTime, counts: &Counts) {
        let base: Labels = vec![("program", program.into()), ("cgroup", cgroup.into())];
        let with = |key: &'static str, value: &str| {
            let mut labels = base.clone();
            labels.push((key, Arc::from(value)));
            labels
        };
        let integer = Value::Integer;
        self.forks.push_since(since, base.clone(), integer(counts.forks));
        self.threads.push_since(since, base.clone(), integer(counts.threads));
        self.execs.push_since(since, base.clone(), integer(counts.execs));
        for ((_, outcome), count) in Outcome::ALL.into_iter().zip(counts.outcomes) {
            self.ended.push_since(since, with("outcome", outcome), integer(count));
        }
        self.measured.push_since(since, base.clone(), integer(counts.measured));
        self.cpu.push_since(since, with("mode", "user"), seconds(counts.user_ns));
        self.cpu.push_since(since, with("mode", "system"), seconds(counts.system_ns));
        self.faults.push_since(since, with("type", "minor"), integer(counts.minor_faults));
        self.faults.push_since(since, with("type", "major"), integer(counts.major_faults));
        self.switches.push_since(since, with("type", "voluntary"), integer(counts.voluntary));
        self.switches.push_since(since, with("type", "involuntary"), integer(counts.involuntary));
        if counts.max_rss > 0 {
            self.max_rss.push_since(since, base.clone(), integer(counts.max_rss));
        }
        self.io.push_since(since, with("direction", "read"), integer(counts.read));
        self.io.push_since(since, with("direction", "write"), integer(counts.written));
    }

    /// All metrics, or those that are known without usage.
    pub(super) fn into_all(self, has_usage: bool) -> Vec<Family> {
        let Self { forks, threads, execs, ended, measured, cpu, faults, switches, max_rss, io } =
            self;
        let mut all = vec![forks, threads, execs, ended];
        if has_usage {
            all.extend([measured, cpu, faults, switches, max_rss, io]);
        }
        all
    }
}
