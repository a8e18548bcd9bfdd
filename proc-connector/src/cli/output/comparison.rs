//! Two recordings, compared by program.

mod table;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::chart::Forest;
pub(crate) use table::write as write_table;

/// What the processes of a program, or of a recording, used. A sum of no known values is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Costs {
    pub(crate) processes: u64,
    pub(crate) failed: u64,
    /// The processes whose CPU time and memory are known.
    pub(crate) measured: u64,
    /// The sum of the times from the start to the end of each process.
    pub(crate) run_ns: u64,
    pub(crate) cpu_ns: Option<u64>,
    /// The largest peak memory of a process, in bytes.
    pub(crate) max_rss: Option<u64>,
}

/// The new value less the old one. `None` if one of them is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) processes: i64,
    pub(crate) failed: i64,
    pub(crate) run_ns: i64,
    pub(crate) cpu_ns: Option<i64>,
    pub(crate) max_rss: Option<i64>,
}

/// The costs in both recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pair {
    pub(crate) old: Costs,
    pub(crate) new: Costs,
    pub(crate) change: Change,
}

/// A program, by its name. Processes that run the program of their creator have it in parentheses.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Program {
    pub(crate) program: String,
    #[serde(flatten)]
    pub(crate) costs: Pair,
}

/// Two recordings.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    #[serde(flatten)]
    pub(crate) total: Pair,
    /// The programs, with the largest change of CPU time first, or of run time if the CPU time of a
    /// recording is unknown.
    pub(crate) programs: Vec<Program>,
}

impl Costs {
    fn add(&mut self, forest: &Forest, index: usize) {
        let life = &forest.lives[index];
        self.processes += 1;
        self.failed += u64::from(life.failed());
        self.run_ns = self.run_ns.saturating_add(forest.duration(index));
        if let Some(usage) = life.usage {
            self.measured += 1;
            self.cpu_ns = Some(self.cpu_ns.unwrap_or_default().saturating_add(usage.cpu_ns));
            self.max_rss = self.max_rss.max(usage.max_rss);
        }
    }

    /// The values as those of a recording without processes of this program: nothing was used.
    fn or_zero(self, is_measured: bool) -> Self {
        let zero = (self.processes == 0 && is_measured).then_some(0);
        Self { cpu_ns: self.cpu_ns.or(zero), max_rss: self.max_rss.or(zero), ..self }
    }
}

impl Pair {
    fn new(old: Costs, new: Costs) -> Self {
        let known = |old: Option<u64>, new: Option<u64>| Some(difference(old?, new?));
        let change = Change {
            processes: difference(old.processes, new.processes),
            failed: difference(old.failed, new.failed),
            run_ns: difference(old.run_ns, new.run_ns),
            cpu_ns: known(old.cpu_ns, new.cpu_ns),
            max_rss: known(old.max_rss, new.max_rss),
        };
        Self { old, new, change }
    }
}

fn difference(old: u64, new: u64) -> i64 {
    let size = i64::try_from(old.abs_diff(new)).unwrap_or(i64::MAX);
    if new < old { -size } else { size }
}

impl Comparison {
    pub(crate) fn new(old: &Forest, new: &Forest) -> Self {
        let mut totals = [Costs::default(); 2];
        let mut by_program: BTreeMap<String, [Costs; 2]> = BTreeMap::new();
        for (side, forest) in [old, new].into_iter().enumerate() {
            for (index, life) in forest.lives.iter().enumerate() {
                totals[side].add(forest, index);
                by_program.entry(life.name().into_owned()).or_default()[side].add(forest, index);
            }
        }
        let [old, new] = totals;
        let program = |(program, [of_old, of_new]): (String, [Costs; 2])| {
            let of_old = of_old.or_zero(old.measured > 0);
            let of_new = of_new.or_zero(new.measured > 0);
            Program { program, costs: Pair::new(of_old, of_new) }
        };
        let mut programs: Vec<Program> = by_program.into_iter().map(program).collect();
        let is_measured = old.measured > 0 && new.measured > 0;
        programs.sort_by_key(|program| {
            let change = program.costs.change;
            let size = |change: i64| change.unsigned_abs();
            // Programs without a known CPU time are at the end.
            let cpu = change.cpu_ns.map(size).filter(|_| is_measured);
            let new = program.costs.new;
            Reverse((cpu, size(change.run_ns), size(change.processes), new.cpu_ns, new.run_ns))
        });
        Self { total: Pair::new(old, new), programs }
    }
}

#[cfg(test)]
mod tests;
