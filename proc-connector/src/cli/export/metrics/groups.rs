//! Counts by program and cgroup, for a limited number of pairs.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::process::Process;

use super::counts::Counts;
use crate::cli::output::names::{Comm, comm};
use crate::cli::shown::shown;

/// A pair that did nothing for this time can lose its place to another.
pub(super) const IDLE: Duration = Duration::from_secs(60 * 60);

/// The longest path of a cgroup, in bytes. That of a container in Kubernetes has about 200. Longer
/// paths are cut, and count together.
const PATH: usize = 256;

/// The label of the program and the cgroup of all pairs without a place. No path of a cgroup is equal.
const OTHER: &str = "other";

/// The counts of each pair of a program and a cgroup.
#[derive(Debug)]
pub(super) struct Groups {
    limit: usize,
    /// The places of pairs, by cgroup and program.
    places: HashMap<Box<[u8]>, HashMap<Comm, usize>>,
    all: Vec<Group>,
    other: Option<(SystemTime, Counts)>,
    now: Instant,
    /// No pair is idle for long enough before this time.
    next_idle: Instant,
}

#[derive(Debug)]
struct Group {
    program: Comm,
    cgroup: Box<[u8]>,
    counts: Counts,
    since: SystemTime,
    used: Instant,
}

impl Groups {
    pub(super) fn new(limit: usize, now: Instant) -> Self {
        Self { limit, places: HashMap::new(), all: Vec::new(), other: None, now, next_idle: now }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Sets the time of the next counts.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The counts of the pair of a process, or of all pairs without a place.
    pub(super) fn of(&mut self, process: Option<&Process>) -> &mut Counts {
        let program = process.and_then(comm).unwrap_or_default();
        let cgroup = process.and_then(Process::cgroup);
        let cgroup = cgroup.map_or(&b""[..], |path| path.as_os_str().as_encoded_bytes());
        self.counts(program, &cgroup[..cgroup.len().min(PATH)])
    }

    fn counts(&mut self, program: Comm, cgroup: &[u8]) -> &mut Counts {
        let place = self.places.get(cgroup).and_then(|programs| programs.get(&program)).copied();
        if let Some(place) = place.or_else(|| self.add(program, cgroup)) {
            let group = &mut self.all[place];
            group.used = self.now;
            return &mut group.counts;
        }
        let other = || (SystemTime::now(), Counts::default());
        &mut self.other.get_or_insert_with(other).1
    }

    /// Gives a pair a place, if there is a free one or another pair is idle.
    fn add(&mut self, program: Comm, cgroup: &[u8]) -> Option<usize> {
        let place = if self.all.len() < self.limit { self.all.len() } else { self.free_idle()? };
        let group = Group {
            program,
            cgroup: cgroup.into(),
            counts: Counts::default(),
            since: SystemTime::now(),
            used: self.now,
        };
        if place == self.all.len() {
            self.all.push(group);
        } else {
            self.all[place] = group;
        }
        self.places.entry(cgroup.into()).or_default().insert(program, place);
        Some(place)
    }

    /// Removes the pair that has been idle for the longest time, if that is long enough.
    fn free_idle(&mut self) -> Option<usize> {
        if self.now < self.next_idle {
            return None;
        }
        let oldest = self.all.iter().enumerate().min_by_key(|(_, group)| group.used);
        let (place, group) = oldest?;
        if self.now.saturating_duration_since(group.used) < IDLE {
            self.next_idle = group.used + IDLE;
            return None;
        }
        if let Some(programs) = self.places.get_mut(&group.cgroup) {
            programs.remove(&group.program);
            if programs.is_empty() {
                self.places.remove(&group.cgroup);
            }
        }
        Some(place)
    }

    /// The labels of the program and the cgroup, when counting began, and the counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (String, String, SystemTime, &Counts)> {
        let named = self.all.iter().map(|group| {
            let len = group.program.iter().position(|&byte| byte == 0);
            let program = &group.program[..len.unwrap_or(group.program.len())];
            (shown(program), shown(&group.cgroup), group.since, &group.counts)
        });
        let other = self.other.iter();
        let other =
            other.map(|(since, counts)| (OTHER.to_owned(), OTHER.to_owned(), *since, counts));
        named.chain(other)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, Instant};

    use super::{Groups, IDLE};
    use crate::cli::output::names::Comm;

    fn program(number: u32) -> Comm {
        let mut name = Comm::default();
        name[..8].copy_from_slice(format!("{number:08}").as_bytes());
        name
    }

    fn exported(groups: &Groups) -> HashMap<(String, String), u64> {
        let mut all = HashMap::new();
        for (program, cgroup, _, counts) in groups.iter() {
            let earlier = all.insert((program, cgroup), counts.execs);
            assert_eq!(earlier, None, "two series with the same labels");
        }
        all
    }

    #[test]
    fn pairs_over_the_limit_count_as_other_and_no_count_decreases() {
        let start = Instant::now();
        let mut groups = Groups::new(10, start);
        let mut before = HashMap::new();
        for number in 0..5_000 {
            groups.set_now(start + Duration::from_millis(u64::from(number)));
            groups.counts(program(number % 1_000), b"/a").execs += 1;
            let now = exported(&groups);
            assert!(now.len() <= 11, "{}", now.len());
            assert!(before.iter().all(|(pair, count)| now[pair] >= *count));
            before = now;
        }
        assert_eq!(before.values().sum::<u64>(), 5_000);
        assert_eq!(before[&("other".to_owned(), "other".to_owned())], 5 * 990);
    }

    #[test]
    fn a_pair_that_was_idle_for_long_loses_its_place() {
        let start = Instant::now();
        let mut groups = Groups::new(2, start);
        groups.counts(program(1), b"/a").execs += 1;
        groups.counts(program(2), b"/a").execs += 1;
        groups.set_now(start + IDLE / 2);
        groups.counts(program(2), b"/a").execs += 1;
        groups.counts(program(3), b"/b").execs += 1;
        let other = || ("other".to_owned(), "other".to_owned());
        assert_eq!(exported(&groups)[&other()], 1);
        groups.set_now(start + IDLE);
        groups.counts(program(3), b"/b").execs += 5;
        let now = exported(&groups);
        assert_eq!(now[&other()], 1, "it never decreases");
        assert_eq!((now.len(), now.values().sum::<u64>()), (3, 2 + 5 + 1));
        // The other pair was used later.
        groups.counts(program(1), b"/a").execs += 1;
        assert_eq!(exported(&groups)[&other()], 2);
    }

    #[test]
    fn programs_called_other_have_their_own_series() {
        let mut groups = Groups::new(1, Instant::now());
        let mut name = Comm::default();
        name[..5].copy_from_slice(b"other");
        groups.counts(name, b"/a").execs += 1;
        groups.counts(name, b"").execs += 1;
        let all = exported(&groups);
        assert_eq!(all[&("other".to_owned(), "/a".to_owned())], 1);
        assert_eq!(all[&("other".to_owned(), "other".to_owned())], 1);
    }

    #[test]
    fn no_pair_has_a_place_with_the_limit_0() {
        let mut groups = Groups::new(0, Instant::now());
        groups.counts(program(1), b"/a").execs += 1;
        assert_eq!(exported(&groups).len(), 1);
    }
}
