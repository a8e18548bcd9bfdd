//! The most expensive processes and programs.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

use super::super::forest::Forest;
use super::super::order::SortKey;

/// What a process or all processes of a program cost. Descendants are not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The run time, in nanoseconds.
    pub(crate) time_ns: u64,
    /// The time on the critical path, in nanoseconds.
    pub(crate) on_path_ns: u64,
    /// The CPU time, in nanoseconds. `None` if that of no process is known.
    pub(crate) cpu_ns: Option<u64>,
    /// The largest peak memory, in bytes. `None` if that of no process is known.
    pub(crate) memory: Option<u64>,
}

/// The processes with the same program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramCost<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) count: usize,
    pub(crate) cost: Cost,
}

impl Cost {
    /// The cost of a process; `on_path` is the time of each process on the critical path.
    pub(crate) fn new(forest: &Forest, on_path: &[u64], index: usize) -> Self {
        let usage = forest.lives[index].usage;
        Self {
            time_ns: forest.duration(index),
            on_path_ns: on_path[index],
            cpu_ns: usage.map(|usage| usage.cpu_ns),
            memory: usage.and_then(|usage| usage.max_rss),
        }
    }

    fn add(&mut self, other: Self) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        *self = Self {
            time_ns: self.time_ns.saturating_add(other.time_ns),
            on_path_ns: self.on_path_ns.saturating_add(other.on_path_ns),
            cpu_ns: sum(self.cpu_ns, other.cpu_ns),
            memory: self.memory.max(other.memory),
        };
    }

    /// The value of a key; 0 if it is unknown.
    pub(crate) fn value(&self, key: SortKey) -> u64 {
        match key {
            SortKey::Cpu => self.cpu_ns.unwrap_or_default(),
            SortKey::Mem => self.memory.unwrap_or_default(),
            SortKey::Time => self.time_ns,
        }
    }
}

/// The processes with the largest values, the largest first, without those whose value is 0.
pub(crate) fn most_expensive(
    costs: &[Cost],
    count: usize,
    value: impl Fn(&Cost) -> u64,
) -> Vec<usize> {
    let mut values: Vec<(Reverse<u64>, usize)> = costs
        .iter()
        .enumerate()
        .map(|(index, cost)| (Reverse(value(cost)), index))
        .filter(|&(Reverse(value), _)| value > 0)
        .collect();
    values.sort_unstable();
    values.into_iter().take(count).map(|(_, index)| index).collect()
}

/// The costs of all programs, the largest value first.
pub(crate) fn programs<'a>(
    forest: &'a Forest,
    costs: &[Cost],
    key: SortKey,
) -> Vec<ProgramCost<'a>> {
    let mut programs: HashMap<Cow<'a, str>, (usize, Cost)> = HashMap::new();
    for (life, &cost) in forest.lives.iter().zip(costs) {
        let (count, sum) = programs.entry(life.name()).or_default();
        *count += 1;
        sum.add(cost);
    }
    let mut programs: Vec<_> = programs
        .into_iter()
        .map(|(name, (count, cost))| ProgramCost { name, count, cost })
        .collect();
    // Sorted by name too, so that the same processes always have the same order.
    programs.sort_unstable_by(|a, b| {
        b.cost.value(key).cmp(&a.cost.value(key)).then_with(|| a.name.cmp(&b.name))
    });
    programs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples::measured;
    use super::super::testing::{families, random_lives};
    use super::super::{critical_path, times_on_path};
    use super::*;

    fn costs(forest: &Forest) -> Vec<Cost> {
        let on_path = times_on_path(forest, &critical_path(forest));
        (0..forest.lives.len()).map(|index| Cost::new(forest, &on_path, index)).collect()
    }

    #[test]
    fn programs_have_sums_and_the_largest_memory() {
        let forest = measured();
        let costs = costs(&forest);
        let named = |key| {
            let programs = programs(&forest, &costs, key).into_iter();
            programs.map(|program| program.name.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(named(SortKey::Cpu), ["cc1", "ld", "make", "cc", "true", "server"]);
        assert_eq!(named(SortKey::Mem), ["cc1", "true", "ld", "make", "cc", "server"]);
        assert_eq!(named(SortKey::Time), ["make", "ld", "server", "cc", "cc1", "true"]);
        let programs = programs(&forest, &costs, SortKey::Cpu);
        let all = programs.iter().find(|program| program.name == "true").expect("it ran");
        assert_eq!(all.count, 5);
        let us = 1_000;
        let cost = Cost {
            time_ns: 5 * 800 * us,
            // The last of them, and what precedes each.
            on_path_ns: 5 * 800 * us,
            cpu_ns: Some(1_510 * us),
            memory: Some(50_004 << 10),
        };
        assert_eq!(all.cost, cost);
        let unknown = programs.last().expect("it runs").cost;
        assert_eq!((unknown.cpu_ns, unknown.memory), (None, None));
    }

    proptest! {
        #[test]
        fn the_most_expensive_are_first(lives in random_lives(), count in 0_usize..30) {
            let forest = families(&lives);
            let costs = costs(&forest);
            for key in [SortKey::Cpu, SortKey::Mem, SortKey::Time] {
                let value = |cost: &Cost| cost.value(key);
                let first = most_expensive(&costs, count, value);
                let worth = costs.iter().filter(|cost| value(cost) > 0).count();
                prop_assert_eq!(first.len(), count.min(worth));
                for pair in first.windows(2) {
                    prop_assert!(value(&costs[pair[0]]) >= value(&costs[pair[1]]));
                }
                let least = first.last().map_or(u64::MAX, |&last| value(&costs[last]));
                let more = (0..costs.len()).filter(|index| !first.contains(index));
                prop_assert!(count == 0 || more.map(|index| value(&costs[index])).all(|v| v <= least));
            }
        }
    }
}
