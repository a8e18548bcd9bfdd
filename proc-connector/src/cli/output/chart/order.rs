//! The order of siblings in a tree.

use std::cmp::Reverse;

use proc_connector::Usage;

use super::fold::Group;
use super::forest::Forest;

/// What siblings are sorted by, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SortKey {
    /// The CPU time of a process and its descendants.
    Cpu,
    /// The largest peak memory of a process and its descendants.
    Mem,
    /// The run time of a process.
    Time,
}

/// Sorts groups of siblings. Without a key they are in the order of their starts.
#[derive(Debug)]
pub(crate) struct Order {
    key: Option<SortKey>,
    /// The value of each process; 0 if it is unknown.
    values: Vec<u64>,
}

impl Order {
    pub(crate) fn new(forest: &Forest, key: Option<SortKey>) -> Self {
        let mut values: Vec<u64> = match key {
            None => Vec::new(),
            Some(SortKey::Time) => (0..forest.lives.len()).map(|i| forest.duration(i)).collect(),
            Some(SortKey::Cpu) => usages(forest, |usage| usage.cpu_ns),
            Some(SortKey::Mem) => usages(forest, |usage| usage.max_rss.unwrap_or_default()),
        };
        // A creator comes before the processes it created, so the values of those are complete.
        for index in (0..values.len()).rev() {
            let Some(creator) = forest.lives[index].creator else { continue };
            values[creator] = match key {
                Some(SortKey::Cpu) => values[creator].saturating_add(values[index]),
                Some(SortKey::Mem) => values[creator].max(values[index]),
                _ => values[creator],
            };
        }
        Self { key, values }
    }

    pub(crate) fn sort(&self, groups: &mut [Group]) {
        let Some(key) = self.key else { return };
        groups.sort_by_cached_key(|group| {
            let values = group.members.iter().map(|&member| self.values[member]);
            Reverse(match key {
                SortKey::Cpu => values.fold(0, u64::saturating_add),
                SortKey::Mem | SortKey::Time => values.max().unwrap_or_default(),
            })
        });
    }
}

fn usages(forest: &Forest, value: impl Fn(Usage) -> u64) -> Vec<u64> {
    forest.lives.iter().map(|life| life.usage.map_or(0, &value)).collect()
}
