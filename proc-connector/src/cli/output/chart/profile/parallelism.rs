//! Parallelism: the processes that run at a time, and the CPU time against the cores.
//!
//! A process counts while it has no running child, because most parents wait for their children: a
//! shell that runs a compiler is one process at a time, not two.

use super::super::forest::{Forest, Life};
use super::over_time::{Span, Step, steps};

/// The parallelism of a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parallelism {
    /// The processes at a time: the mean, and the most.
    pub(crate) mean: f64,
    pub(crate) most: u64,
    /// The CPU time divided by the length of the period. `None` without any usage.
    pub(crate) used_cores: Option<f64>,
    /// Whether the usage of all processes is known.
    pub(crate) is_complete: bool,
}

impl Parallelism {
    pub(crate) fn new(forest: &Forest) -> Self {
        let length = forest.end_ns.saturating_sub(forest.begin_ns);
        let spans = working_spans(forest);
        let time: u128 = spans.iter().map(|span| u128::from(span.to_ns - span.from_ns)).sum();
        let most = steps(spans).iter().map(|step| step.value).max().unwrap_or_default();
        let cpu = || forest.lives.iter().filter_map(cpu_in_period);
        let used = cpu().next().map(|_| ratio(cpu().map(u128::from).sum(), length));
        let is_complete = cpu().count() == forest.lives.len();
        Self { mean: ratio(time, length), most, used_cores: used, is_complete }
    }
}

/// The CPU time of a process that started in the period. For others, an unknown part is from before.
pub(crate) fn cpu_in_period(life: &Life) -> Option<u64> {
    life.start_ns.and(life.usage).map(|usage| usage.cpu_ns)
}

/// The number of processes without a running child, over time.
pub(crate) fn processes_over_time(forest: &Forest) -> Vec<Step> {
    steps(working_spans(forest))
}

/// The sum of the peak memory of the running processes in bytes, over time. It is an upper bound: peaks
/// are at different times, and shared pages count in each process.
pub(crate) fn memory_over_time(forest: &Forest) -> Vec<Step> {
    let span = |(index, life): (usize, &Life)| {
        let value = life.usage?.max_rss?;
        Some(Span { from_ns: forest.start(index), to_ns: forest.end(index), value })
    };
    steps(forest.lives.iter().enumerate().filter_map(span))
}

/// The periods in which each process had no running child.
fn working_spans(forest: &Forest) -> Vec<Span> {
    let (children, _) = forest.families();
    let mut spans = Vec::new();
    for (index, children) in children.iter().enumerate() {
        let (mut from_ns, end_ns) = (forest.start(index), forest.end(index));
        let mut add = |from_ns: u64, to_ns: u64| {
            if from_ns < to_ns {
                spans.push(Span { from_ns, to_ns, value: 1 });
            }
        };
        for &child in children {
            add(from_ns, forest.start(child).min(end_ns));
            from_ns = from_ns.max(forest.end(child));
        }
        add(from_ns, end_ns);
    }
    spans
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn ratio(part: u128, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::forest::Forest;
    use super::super::super::samples::measured;
    use super::super::over_time::value_at;
    use super::super::testing::{families, forest, random_lives};
    use super::{Parallelism, memory_over_time, processes_over_time};

    #[test]
    fn a_parent_counts_only_without_a_running_child() {
        // The root works alone for 10 + 20; two children overlap for 20; an orphan continues.
        let lives = [(None, 0, 100), (Some(0), 10, 60), (Some(0), 40, 80), (Some(1), 50, 90)];
        let parallelism = Parallelism::new(&forest(&lives));
        // 30 of the root, 40 of the first child, 40 of the second, 40 of the orphan.
        assert!((parallelism.mean - 1.5).abs() < 1e-9, "{parallelism:?}");
        assert_eq!(parallelism.most, 2);
        assert_eq!((parallelism.used_cores, parallelism.is_complete), (None, false));
    }

    #[test]
    fn cpu_time_is_compared_with_the_period() {
        let mut forest = measured();
        let parallelism = Parallelism::new(&forest);
        // 93.51 of 374 ms.
        let used = parallelism.used_cores.expect("usages");
        assert!((used - 93.51 / 374.0).abs() < 1e-9, "{parallelism:?}");
        assert!(!parallelism.is_complete, "one still runs");
        // An unknown part of its 51 ms is from before the period.
        forest.lives[2].start_ns = None;
        let used = Parallelism::new(&forest).used_cores.expect("usages");
        assert!((used - 42.51 / 374.0).abs() < 1e-9, "{used}");
    }

    #[test]
    fn a_period_without_length_has_no_parallelism() {
        for forest in [Forest::default(), forest(&[(None, 0, 0)])] {
            let parallelism = Parallelism::new(&forest);
            assert!(parallelism.mean.abs() < 1e-9 && parallelism.most == 0, "{parallelism:?}");
        }
    }

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
        fn steps_are_the_counts_of_each_moment(lives in random_lives()) {
            let forest = families(&lives);
            let (processes, memory) = (processes_over_time(&forest), memory_over_time(&forest));
            let runs = |index: usize, at: u64| (forest.start(index)..forest.end(index)).contains(&at);
            let mut sum = 0;
            for at in 0..forest.end_ns {
                let alive: Vec<usize> = (0..lives.len()).filter(|&index| runs(index, at)).collect();
                let working = alive.iter().filter(|&&parent| {
                    !alive.iter().any(|&child| lives[child].creator == Some(parent))
                });
                let working = working.count() as u64;
                sum += working;
                prop_assert_eq!(value_at(&processes, at), working);
                let peak = |&index: &usize| lives[index].usage.and_then(|usage| usage.max_rss);
                prop_assert_eq!(value_at(&memory, at), alive.iter().filter_map(peak).sum::<u64>());
            }
            let mean = Parallelism::new(&forest).mean;
            prop_assert!((mean * forest.end_ns as f64 - sum as f64).abs() < 1e-6);
        }
    }
}
