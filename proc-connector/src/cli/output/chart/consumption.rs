//! The resources that the processes of a forest used together.

use std::fmt::Write;

use proc_connector::Usage;

use super::forest::{Forest, Life};
use crate::cli::output::columns::{fitted, short_size, short_time};

/// What the processes with a known usage used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumption {
    pub(crate) usage: Usage,
    /// The process with the largest peak memory.
    pub(crate) largest: Option<usize>,
    /// The number of processes with a known usage.
    pub(crate) known: usize,
}

/// The maximum width of the name of the largest process.
const NAME: usize = 40;

impl Consumption {
    /// `None` if the usage of no process is known.
    pub(crate) fn new(forest: &Forest) -> Option<Self> {
        let known = || forest.lives.iter().filter_map(|life| life.usage);
        let usage = known().reduce(|sum, usage| sum + usage)?;
        let peak = |life: &Life| life.usage.and_then(|usage| usage.max_rss);
        let peaks = forest.lives.iter().enumerate().filter_map(|(i, life)| Some((peak(life)?, i)));
        // Among equals, the first.
        let largest = peaks.rev().max_by_key(|&(peak, _)| peak).map(|(_, index)| index);
        Some(Self { usage, largest, known: known().count() })
    }

    /// `391 ms of CPU time in 9 of the processes, peak memory 62M (cc1)`.
    pub(crate) fn text(&self, forest: &Forest) -> String {
        let mut text = format!("{} of CPU time", short_time(self.usage.cpu_ns));
        if self.known < forest.lives.len() {
            let _ = write!(text, " in {} of the processes", self.known);
        }
        if let Some((peak, largest)) = self.usage.max_rss.zip(self.largest) {
            let name = forest.lives[largest].name_or_pid();
            let name = fitted(&name, Some(NAME));
            let _ = write!(text, ", peak memory {} ({name})", short_size(peak));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{build, forest, measured, process};
    use super::Consumption;

    #[test]
    fn the_largest_process_is_named() {
        let forest = measured();
        let all = Consumption::new(&forest).expect("usages");
        let text = "93 ms of CPU time in 9 of the processes, peak memory 60M (cc1)";
        assert_eq!(all.text(&forest), text);
    }

    #[test]
    fn a_usage_that_is_complete_has_no_number_of_processes() {
        let forest = forest(vec![process(None, 1, "true", 0, 900).using(700, 0, [0, 0])]);
        let all = Consumption::new(&forest).expect("a usage");
        assert_eq!(all.text(&forest), "700 µs of CPU time, peak memory 0 (true)");
    }

    #[test]
    fn without_any_usage_there_are_no_sums() {
        assert_eq!(Consumption::new(&build()), None);
    }
}
