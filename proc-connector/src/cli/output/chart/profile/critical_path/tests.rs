use proptest::prelude::*;

use super::super::super::forest::{Forest, Life};
use super::super::super::samples::{BEGIN, MS, build};
use super::super::testing::{families, forest, random_lives};
use super::{Segment, critical_path, times_on_path};

fn path(forest: &Forest) -> Vec<(usize, u64, u64)> {
    let segments = critical_path(forest).into_iter();
    segments.map(|Segment { process, from_ns, to_ns }| (process, from_ns, to_ns)).collect()
}

#[test]
fn the_path_goes_through_the_children_that_ended_last() {
    // A parent runs 1 and 2 together, then 3, whose child is 4; 2 is the slower.
    let lives = [
        (None, 0, 100),
        (Some(0), 10, 30),
        (Some(0), 12, 50),
        (Some(0), 60, 90),
        (Some(3), 65, 85),
    ];
    let expected =
        [(0, 0, 12), (2, 12, 50), (0, 50, 60), (3, 60, 65), (4, 65, 85), (3, 85, 90), (0, 90, 100)];
    assert_eq!(path(&forest(&lives)), expected);
}

#[test]
fn a_process_that_starts_when_another_ends_continues_the_path() {
    // Two at a time: 3 takes the place of 1, and 4 that of 2.
    let lives =
        [(None, 0, 100), (Some(0), 0, 40), (Some(0), 0, 60), (Some(0), 40, 95), (Some(0), 60, 90)];
    assert_eq!(path(&forest(&lives)), [(1, 0, 40), (3, 40, 95), (0, 95, 100)]);
}

#[test]
fn a_child_that_outlives_its_parent_is_not_waited_for() {
    let lives = [(None, 0, 100), (Some(0), 10, 50), (Some(1), 20, 90)];
    assert_eq!(path(&forest(&lives)), [(0, 0, 10), (1, 10, 50), (0, 50, 100)]);
}

#[test]
fn a_running_child_is_entered_only_from_a_running_parent() {
    let mut forest = forest(&[(None, 0, 100), (Some(0), 10, 100)]);
    forest.lives[1].end_ns = None;
    assert_eq!(path(&forest), [(0, 0, 100)]);
    forest.lives[0].end_ns = None;
    assert_eq!(path(&forest), [(0, 0, 10), (1, 10, 100)]);
}

#[test]
fn several_roots_are_followed_from_the_last_end() {
    let lives = [(None, 0, 40), (None, 10, 50), (None, 70, 80)];
    assert_eq!(path(&forest(&lives)), [(1, 10, 50), (2, 70, 80)]);
}

#[test]
fn processes_that_took_no_time_do_not_split_a_segment() {
    let lives = [(None, 0, 100), (Some(0), 50, 50), (Some(0), 100, 100), (Some(0), 0, 0)];
    assert_eq!(path(&forest(&lives)), [(0, 0, 100)]);
}

#[test]
fn nothing_has_an_empty_path() {
    assert!(critical_path(&Forest::default()).is_empty());
    assert!(
        critical_path(&Forest { lives: vec![Life::default()], ..Forest::default() }).is_empty()
    );
}

#[test]
fn a_build_waits_for_its_slowest_compilation_and_the_linker() {
    // make, cc -MM a.c b.c, make, sh, cc -c a.c, cc1 a.c, back, make, cc, ld, cc, make, the rest.
    let expected = [
        (0, 0, 10_000),
        (1, 10_000, 66_000),
        (0, 66_000, 70_000),
        (2, 70_000, 72_000),
        (4, 72_000, 78_000),
        (6, 78_000, 252_000),
        (4, 252_000, 253_000),
        (2, 253_000, 287_000),
        (0, 287_000, 288_000),
        (7, 288_000, 292_000),
        (8, 292_000, 343_000),
        (7, 343_000, 345_000),
        (0, 345_000, 346_000),
        (9, 346_000, 349_000),
        (0, 349_000, 350_000),
        (11, 350_000, 352_500),
        (0, 352_500, 353_000),
        (12, 353_000, 353_400),
        (0, 353_400, 374_000),
    ];
    let us = |ns: u64| (ns - BEGIN) / (MS / 1_000);
    let path: Vec<_> =
        path(&build()).into_iter().map(|(process, from, to)| (process, us(from), us(to))).collect();
    assert_eq!(path, expected);
}

#[test]
fn a_chain_longer_than_the_stack_has_a_path() {
    let depth = 200_000_u64;
    let chain: Vec<_> = (0..depth)
        .map(|n| (usize::try_from(n).expect("small").checked_sub(1), n, 2 * depth - n))
        .collect();
    let forest = forest(&chain);
    let path = critical_path(&forest);
    // Down to the deepest process, and up again.
    assert_eq!(path.len(), 2 * chain.len() - 1);
    assert_eq!(times_on_path(&forest, &path).iter().sum::<u64>(), 2 * depth);
}

/// The process of each unit of time, by the definition.
fn brute_force(forest: &Forest) -> Vec<Option<usize>> {
    let mut units = vec![None; usize::try_from(forest.end_ns).expect("small")];
    fill(forest, None, (0, forest.end_ns), &mut units);
    units
}

fn fill(
    forest: &Forest,
    process: Option<usize>,
    (from, to): (u64, u64),
    units: &mut [Option<usize>],
) {
    let mut now = to;
    let mut entered = vec![false; forest.lives.len()];
    loop {
        let mut best: Option<usize> = None;
        for (child, life) in forest.lives.iter().enumerate() {
            let end = life.end_ns.unwrap_or(forest.end_ns);
            let waited = life.end_ns.is_some()
                || process.is_none_or(|process| forest.lives[process].end_ns.is_none());
            let reached = life.creator == process && !entered[child] && end <= now && end > from;
            if !reached || !waited {
                continue;
            }
            let is_better = best.is_none_or(|best| {
                let other = &forest.lives[best];
                let other_end = other.end_ns.unwrap_or(forest.end_ns);
                end > other_end || (end == other_end && life.start_ns < other.start_ns)
            });
            if is_better {
                best = Some(child);
            }
        }
        let end = best.map_or(from, |child| forest.lives[child].end_ns.unwrap_or(forest.end_ns));
        for unit in end..now {
            units[usize::try_from(unit).expect("small")] = process;
        }
        let Some(child) = best else { return };
        entered[child] = true;
        let start = forest.lives[child].start_ns.unwrap_or_default().max(from);
        fill(forest, best, (start, end), units);
        now = start;
    }
}

proptest! {
    #[test]
    fn the_path_is_that_of_the_definition(lives in random_lives()) {
        let forest = families(&lives);
        let mut units = vec![None; usize::try_from(forest.end_ns).expect("small")];
        for (process, from, to) in path(&forest) {
            for unit in from..to {
                let unit = &mut units[usize::try_from(unit).expect("small")];
                prop_assert_eq!(unit.replace(process), None, "segments overlap");
            }
        }
        prop_assert_eq!(units, brute_force(&forest));
    }

    #[test]
    fn the_path_of_one_root_covers_its_life_in_order(lives in random_lives()) {
        let mut lives = lives;
        for (index, life) in lives.iter_mut().enumerate().skip(1) {
            life.creator = life.creator.or(Some(index - 1));
        }
        let forest = families(&lives);
        let segments = critical_path(&forest);
        let mut now = forest.start(0);
        for segment in &segments {
            prop_assert_eq!(segment.from_ns, now);
            prop_assert!(segment.from_ns < segment.to_ns);
            prop_assert!(forest.start(segment.process) <= segment.from_ns);
            prop_assert!(segment.to_ns <= forest.end(segment.process));
            now = segment.to_ns;
            // The end of a child within the segment would have moved the path.
            for (child, life) in forest.lives.iter().enumerate() {
                let inside = life.creator == Some(segment.process)
                    && (segment.from_ns + 1..segment.to_ns).contains(&forest.end(child));
                prop_assert!(!inside || forest.duration(child) == 0 || life.runs());
            }
        }
        prop_assert_eq!(now, forest.end(0));
        let times: u64 = times_on_path(&forest, &segments).iter().sum();
        prop_assert_eq!(times, forest.duration(0));
    }
}
