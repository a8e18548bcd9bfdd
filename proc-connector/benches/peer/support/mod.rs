//! Shared by the live benches: processes that cause events, CPU time, medians.

#![allow(dead_code, reason = "every bench includes this file and uses a part of it")]

pub(crate) mod helper_process;
pub(crate) mod listener;

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use self::helper_process::{HelperProcess, wait_until_resumed};

/// The task of a forker: a number of forks, or a number of milliseconds.
const FORKS: &str = "PROC_CONNECTOR_BENCH_FORKS";
const MILLIS: &str = "PROC_CONNECTOR_BENCH_MILLIS";

/// Forks, if this process was started for that purpose. Must be called first in `main`.
pub(crate) fn fork_if_requested() -> bool {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (forks, time) = match (number(FORKS), number(MILLIS)) {
        (Some(forks), _) => (forks, Duration::from_secs(60)),
        (None, Some(millis)) => (u64::MAX, Duration::from_millis(millis)),
        (None, None) => return false,
    };
    wait_until_resumed();
    let start = Instant::now();
    let mut made = 0;
    while made < forks && start.elapsed() < time {
        // The kernel reports a thread like any fork and exit. Threads are the fastest to create, so
        // they cause the most events.
        std::thread::spawn(|| {}).join().expect("a thread that ends");
        made += 1;
    }
    println!("{made}");
    true
}

/// Processes that only create threads, which exit immediately.
pub(crate) struct Forkers(Vec<HelperProcess>);

impl Forkers {
    /// `count` forkers that fork for this time.
    pub(crate) fn for_time(count: usize, time: Duration) -> Self {
        Self::start(count, MILLIS, &time.as_millis().to_string())
    }

    /// One forker, with this number of forks. Each causes two events.
    pub(crate) fn for_forks(forks: u64) -> Self {
        Self::start(1, FORKS, &forks.to_string())
    }

    fn start(count: usize, variable: &str, value: &str) -> Self {
        Self((0..count).map(|_| HelperProcess::start(variable, value)).collect())
    }

    /// Runs all forkers to their end. Returns the number of forks.
    pub(crate) fn run(mut self) -> u64 {
        self.0.iter_mut().for_each(HelperProcess::resume);
        let mut forks = 0;
        for mut forker in self.0 {
            forks += forker.line().trim().parse::<u64>().expect("a number");
            forker.wait();
        }
        forks
    }
}

/// The CPU time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// `CLOCK_MONOTONIC`, the clock of the kernel's time stamps.
pub(crate) fn monotonic() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

fn duration(time: rustix::time::Timespec) -> Duration {
    time.try_into().expect("a time after the clock's start")
}

/// The median of the values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The smallest and the largest value, as text.
pub(crate) fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.0} to {greatest:.0}")
}

/// A Markdown table with aligned columns.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self(vec![head.map(str::to_owned).to_vec()])
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push(cells.into());
    }

    pub(crate) fn print(&self) {
        let columns = self.0.first().map_or(0, Vec::len);
        let width = |column: usize| self.0.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!();
        for (index, row) in self.0.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
            if index == 0 {
                let rules = widths.iter().enumerate().map(|(column, &width)| {
                    let rule = "-".repeat(width.saturating_sub(usize::from(column > 0)));
                    if column == 0 { rule } else { rule + ":" }
                });
                println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
            }
        }
    }
}
