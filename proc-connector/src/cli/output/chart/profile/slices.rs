//! Means and maxima over slices of the period.

use super::super::forest::Forest;
use super::over_time::Step;
use super::parallelism::{cpu_in_period, memory_over_time, processes_over_time};

/// A part of the period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slice {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// The mean number of processes without a running child.
    pub(crate) processes: f64,
    /// The CPU time in nanoseconds, estimated: that of each process is spread evenly over its life. The
    /// sum over all slices is exact.
    pub(crate) cpu_ns: u64,
    /// The largest sum of the peak memory of running processes, in bytes.
    pub(crate) memory: u64,
}

impl Slice {
    /// The CPU time divided by the length of the slice.
    #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
    pub(crate) fn used_cores(&self) -> f64 {
        self.cpu_ns as f64 / (self.to_ns - self.from_ns).max(1) as f64
    }
}

/// Divides the period into at most `count` slices of nearly the same length.
pub(crate) fn slices(forest: &Forest, count: usize) -> Vec<Slice> {
    let bounds = bounds(forest, count);
    let mut slices: Vec<Slice> = bounds
        .windows(2)
        .map(|bounds| Slice {
            from_ns: bounds[0],
            to_ns: bounds[1],
            processes: 0.0,
            cpu_ns: 0,
            memory: 0,
        })
        .collect();
    each_part(&processes_over_time(forest), &mut slices, |slice, length, value| {
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        let share = length as f64 / (slice.to_ns - slice.from_ns) as f64 * value as f64;
        slice.processes += share;
    });
    each_part(&memory_over_time(forest), &mut slices, |slice, _, value| {
        slice.memory = slice.memory.max(value);
    });
    for (index, life) in forest.lives.iter().enumerate() {
        if let Some(cpu_ns) = cpu_in_period(life) {
            spread(cpu_ns, (forest.start(index), forest.end(index)), &mut slices);
        }
    }
    slices
}

/// The bounds of slices. None of them is empty.
fn bounds(forest: &Forest, count: usize) -> Vec<u64> {
    let length = forest.end_ns.saturating_sub(forest.begin_ns);
    let count = u128::try_from(count).unwrap_or(u128::MAX).min(length.into());
    let bound = |number: u128| {
        let part = u64::try_from(u128::from(length) * number / count.max(1)).unwrap_or(length);
        forest.begin_ns.saturating_add(part)
    };
    if count == 0 { Vec::new() } else { (0..=count).map(bound).collect() }
}

/// Calls a function for each slice and each value in it, with the length of time that it has this value.
fn each_part(steps: &[Step], slices: &mut [Slice], mut part: impl FnMut(&mut Slice, u64, u64)) {
    let mut first = 0;
    for (index, step) in steps.iter().enumerate() {
        let end_ns = steps.get(index + 1).map_or(u64::MAX, |next| next.at_ns);
        while slices.get(first).is_some_and(|slice| slice.to_ns <= step.at_ns) {
            first += 1;
        }
        for slice in slices[first..].iter_mut().take_while(|slice| slice.from_ns < end_ns) {
            let (from, to) = (slice.from_ns.max(step.at_ns), slice.to_ns.min(end_ns));
            part(slice, to - from, step.value);
        }
    }
}

/// Spreads a CPU time evenly over a life. The parts add up to the whole.
fn spread(cpu_ns: u64, (start, end): (u64, u64), slices: &mut [Slice]) {
    let Some(last) = slices.len().checked_sub(1) else { return };
    let first = slices.partition_point(|slice| slice.to_ns <= start).min(last);
    let length = u128::from(end.saturating_sub(start)).max(1);
    let mut before = 0;
    for (index, slice) in slices.iter_mut().enumerate().skip(first) {
        let until = slice.to_ns.min(end).saturating_sub(start);
        let so_far = if slice.to_ns >= end || index == last {
            cpu_ns
        } else {
            u64::try_from(u128::from(cpu_ns) * u128::from(until) / length).unwrap_or(cpu_ns)
        };
        slice.cpu_ns = slice.cpu_ns.saturating_add(so_far - before);
        before = so_far;
        if slice.to_ns >= end {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::forest::Forest;
    use super::super::super::samples::process;
    use super::super::over_time::value_at;
    use super::super::testing::{families, random_lives};
    use super::{memory_over_time, processes_over_time, slices};

    #[test]
    fn cpu_time_is_spread_over_the_life() {
        let life = process(None, 1, "cc", 0, 100).using(40, 0, [0, 0]);
        let early = process(0, 2, "as", 0, 25).using(25, 0, [0, 0]);
        let forest = super::super::super::samples::forest(vec![life, early]);
        let cpu: Vec<u64> = slices(&forest, 4).iter().map(|slice| slice.cpu_ns / 1_000).collect();
        assert_eq!(cpu, [35, 10, 10, 10]);
    }

    #[test]
    fn a_period_without_length_has_no_slices() {
        assert!(slices(&Forest::default(), 100).is_empty());
        assert!(slices(&families(&[]), 0).is_empty());
    }

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
        fn slices_are_means_maxima_and_parts(lives in random_lives(), count in 1_usize..120) {
            let forest = families(&lives);
            let slices = slices(&forest, count);
            let length = usize::try_from(forest.end_ns).expect("small");
            prop_assert_eq!(slices.len(), count.min(length));
            let (processes, memory) = (processes_over_time(&forest), memory_over_time(&forest));
            let mut now = 0;
            for slice in &slices {
                prop_assert_eq!(slice.from_ns, now);
                now = slice.to_ns;
                let moments = || slice.from_ns..slice.to_ns;
                let sum: u64 = moments().map(|at| value_at(&processes, at)).sum();
                let mean = sum as f64 / (slice.to_ns - slice.from_ns) as f64;
                prop_assert!((slice.processes - mean).abs() < 1e-9, "{:?} {}", slice, mean);
                let most = moments().map(|at| value_at(&memory, at)).max();
                prop_assert_eq!(Some(slice.memory), most);
                let cpu: f64 = lives.iter().enumerate().filter_map(|(index, life)| {
                    let (start, end) = (forest.start(index), forest.end(index));
                    let shared = slice.to_ns.min(end).saturating_sub(slice.from_ns.max(start));
                    let is_moment = start == end
                        && (slice.from_ns..slice.to_ns).contains(&start.min(forest.end_ns - 1));
                    let part = match (is_moment, end - start) {
                        (true, _) => 1.0,
                        (false, 0) => 0.0,
                        (false, length) => shared as f64 / length as f64,
                    };
                    Some(life.usage?.cpu_ns as f64 * part)
                }).sum();
                prop_assert!((cpu - slice.cpu_ns as f64).abs() <= lives.len() as f64);
            }
            prop_assert_eq!(now, if slices.is_empty() { 0 } else { forest.end_ns });
            if !slices.is_empty() {
                let known = lives.iter().filter_map(|life| life.usage);
                let all: u64 = known.map(|usage| usage.cpu_ns).sum();
                prop_assert_eq!(slices.iter().map(|slice| slice.cpu_ns).sum::<u64>(), all);
            }
        }
    }
}
