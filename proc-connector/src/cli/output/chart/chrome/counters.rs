//! Counters over time: running processes, CPU and memory.

use super::super::forest::Forest;

/// The maximum number of points of a counter. With more, neighbours are merged.
pub(super) const MAX_POINTS: u64 = 2_000;

/// Billionths of a core, so that sums of integers return to exactly zero.
const CORE: i128 = 1_000_000_000;

/// A counter, as a viewer shows it.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) name: &'static str,
    /// What its values are.
    pub(super) key: &'static str,
    /// Each value, and the time in nanoseconds from which it is valid. The last is zero.
    pub(super) points: Vec<(u64, f64)>,
}

/// How points that are close together become one.
#[derive(Clone, Copy, Debug)]
enum Merge {
    Largest,
    Mean,
}

/// A change of a value at a time.
type Change = (u64, i128);

/// The counters whose values are known for at least one process.
pub(super) fn counters(forest: &Forest) -> Vec<Counter> {
    let all = [
        ("processes", "running", processes(forest), Merge::Largest, 1),
        ("CPU", "estimated cores used", cpu(forest), Merge::Mean, CORE),
        ("memory", "bytes, sum of peaks", memory(forest), Merge::Largest, 1),
    ];
    let known = all.into_iter().filter(|(_, _, changes, ..)| !changes.is_empty());
    known
        .map(|(name, key, changes, merge, unit)| {
            let steps = merged(&steps(changes), forest.begin_ns, forest.end_ns, merge);
            let points = steps.into_iter().map(|(at, value)| (at, float(value) / float(unit)));
            Counter { name, key, points: points.collect() }
        })
        .collect()
}

fn processes(forest: &Forest) -> Vec<Change> {
    (0..forest.lives.len()).flat_map(|index| span(forest, index, 1)).collect()
}

/// The CPU time of a process is known only as a sum, so it is spread evenly over its life.
fn cpu(forest: &Forest) -> Vec<Change> {
    let rate = |index: usize| {
        let life = &forest.lives[index];
        // Without a start, the sum may include any time before the chart.
        let wall = life.end_ns?.checked_sub(life.start_ns?).filter(|&wall| wall > 0)?;
        Some((index, i128::from(life.usage?.cpu_ns) * CORE / i128::from(wall)))
    };
    let rates = (0..forest.lives.len()).filter_map(rate);
    rates.flat_map(|(index, rate)| span(forest, index, rate)).collect()
}

fn memory(forest: &Forest) -> Vec<Change> {
    let peaks = forest.lives.iter().enumerate();
    let peaks = peaks.filter_map(|(index, life)| Some((index, life.usage?.max_rss?)));
    peaks.flat_map(|(index, peak)| span(forest, index, peak.into())).collect()
}

/// Adds a value for the life of a process.
fn span(forest: &Forest, index: usize, value: i128) -> [Change; 2] {
    [(forest.start(index), value), (forest.end(index), -value)]
}

/// The sums of changes, with the time from which each is valid.
fn steps(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_unstable_by_key(|&(at, _)| at);
    let mut steps: Vec<Change> = Vec::new();
    let mut sum = 0;
    for (at, change) in changes {
        sum += change;
        match steps.last_mut() {
            Some(last) if last.0 == at => last.1 = sum,
            _ => steps.push((at, sum)),
        }
    }
    steps
}

/// The same steps if there are few, or one value for each part of the period.
fn merged(steps: &[Change], begin: u64, end: u64, merge: Merge) -> Vec<Change> {
    if u64::try_from(steps.len()).is_ok_and(|count| count <= MAX_POINTS) {
        return steps.to_vec();
    }
    let width = end.saturating_sub(begin).div_ceil(MAX_POINTS - 1).max(1);
    let mut merged: Vec<Change> = Vec::new();
    let (mut rest, mut value) = (steps, 0);
    let mut from = begin;
    while from < end {
        let to = from.saturating_add(width).min(end);
        let (mut at, mut largest, mut area) = (from, value, 0);
        while let Some((&(next, sum), later)) = rest.split_first().filter(|(step, _)| step.0 < to) {
            area += value * i128::from(next - at);
            // A value that lasts no time within this part does not count.
            largest = if next == from { sum } else { largest.max(sum) };
            (at, value, rest) = (next, sum, later);
        }
        area += value * i128::from(to - at);
        let point = match merge {
            Merge::Largest => largest,
            Merge::Mean => area / i128::from(to - from),
        };
        if merged.last().is_none_or(|&(_, last)| last != point) {
            merged.push((from, point));
        }
        from = to;
    }
    merged.push((end, 0));
    merged
}

#[expect(clippy::cast_precision_loss, reason = "for a chart")]
fn float(value: i128) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::super::super::samples::{BEGIN, MS, a_loop, forest, process};
    use super::{Counter, MAX_POINTS, counters};

    fn points(counter: &Counter) -> Vec<(u64, f64)> {
        counter.points.iter().map(|&(at, value)| ((at - BEGIN) / MS, value)).collect()
    }

    #[test]
    fn values_change_at_starts_and_ends() {
        let lives = vec![
            process(None, 1, "make", 0, 100_000).using(10_000, 1, [0, 0]),
            process(0, 2, "cc", 20_000, 40_000).using(10_000, 3, [0, 0]),
            process(0, 3, "cc", 40_000, 60_000).using(20_000, 5, [0, 0]),
        ];
        let counters = counters(&forest(lives));
        let [processes, cpu, memory] = &counters[..] else { panic!("{counters:?}") };
        assert_eq!(points(processes), [(0, 1.0), (20, 2.0), (40, 2.0), (60, 1.0), (100, 0.0)]);
        assert_eq!(points(cpu), [(0, 0.1), (20, 0.6), (40, 1.1), (60, 0.1), (100, 0.0)]);
        let kib = [(0, 1.0), (20, 4.0), (40, 6.0), (60, 1.0), (100, 0.0)];
        assert_eq!(points(memory), kib.map(|(at, value)| (at, value * 1_024.0)));
    }

    #[test]
    fn unknown_usage_has_no_counter() {
        let counters = counters(&a_loop(3));
        assert_eq!(counters.iter().map(|counter| counter.name).collect::<Vec<_>>(), ["processes"]);
    }

    #[test]
    fn many_points_are_merged_without_losing_time_or_peaks() {
        let mut forest = a_loop(5_000);
        let known = forest.lives.into_iter().map(|life| life.using(250, 900, [0, 0]));
        forest.lives = known.collect();
        let counters = counters(&forest);
        for counter in &counters {
            assert!(counter.points.len() as u64 <= MAX_POINTS, "{}", counter.points.len());
            assert!(counter.points.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert_eq!(counter.points.last(), Some(&(forest.end_ns, 0.0)));
        }
        let largest =
            |counter: &Counter| counter.points.iter().map(|&(_, value)| value).fold(0.0, f64::max);
        assert!((largest(&counters[0]) - 2.0).abs() < 1e-9);
        assert!((largest(&counters[2]) - 1_800.0 * 1_024.0).abs() < 1e-9);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let area = counters[1].points.windows(2).map(|pair| {
            let [(from, value), (to, _)] = pair else { unreachable!("two") };
            value * (to - from) as f64
        });
        // 5,001 processes with 250 µs each.
        let cpu_ns: f64 = area.sum();
        assert!((cpu_ns - 5_001.0 * 250_000.0).abs() < 10_000.0, "{cpu_ns}");
    }
}
