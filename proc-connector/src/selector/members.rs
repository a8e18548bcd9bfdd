//! The followed processes.

use std::collections::{HashMap, VecDeque};

/// How many processes remain followed after their end, if their events have no contexts: they may be
/// over only seemingly.
const ENDED: usize = 4096;

/// The length of a clock tick, to which `/proc` rounds the start of a process.
const TICK_NS: u64 = 10_000_000;

/// The followed processes, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    by_tgid: HashMap<u32, Member>,
    /// The ids of processes that seem to be over and the numbers of their ends, the first end first.
    ended: VecDeque<(u32, u64)>,
    ends: u64,
    /// The processes that are over, with their starts. Exits of their threads can follow, because two
    /// threads that end at the same time can both seem to be the last one.
    over: HashMap<u32, Option<u64>>,
    /// The ids in `over`, the first end first.
    over_order: VecDeque<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Member {
    /// When it was created, in nanoseconds of `CLOCK_BOOTTIME`.
    start: Option<u64>,
    /// Whether nothing is known of the process: a root before its first event.
    is_expected: bool,
    /// How many threads it has, if that is known.
    threads: Option<u32>,
    /// The time of its last exec.
    exec_ns: u64,
    /// A time at which it existed. Earlier forks do not create another process with its id.
    existed_ns: u64,
    /// The number of its seeming end.
    end: Option<u64>,
}

impl Members {
    /// Adds a root before its first event.
    pub(super) fn expect(&mut self, tgid: u32, start: Option<u64>) {
        let member = Member { start, is_expected: true, ..Member::default() };
        self.by_tgid.entry(tgid).or_insert(member);
    }

    pub(super) fn expect_all(&mut self, other: &Self) {
        for (&tgid, member) in &other.by_tgid {
            self.expect(tgid, member.start);
        }
    }

    /// Adds a process that has just been created. An earlier process with its id is over.
    pub(super) fn created(&mut self, tgid: u32, start: Option<u64>) {
        self.by_tgid.insert(tgid, Member { start, threads: Some(1), ..Member::default() });
    }

    /// Adds an existing process, or records its start.
    pub(super) fn add(&mut self, tgid: u32, start: Option<u64>) {
        let member = self.by_tgid.entry(tgid).or_default();
        *member = Member { start: start.or(member.start), ..Member::default() };
    }

    /// Adds a process that exists at this time.
    pub(super) fn add_existing(&mut self, tgid: u32, start: Option<u64>, existed_ns: u64) {
        self.add(tgid, start);
        if let Some(member) = self.by_tgid.get_mut(&tgid) {
            member.existed_ns = existed_ns;
        }
    }

    pub(super) fn remove(&mut self, tgid: u32) {
        self.by_tgid.remove(&tgid);
    }

    /// Removes a process after the exit of its last thread.
    pub(super) fn over(&mut self, tgid: u32, start: Option<u64>) {
        let Some(member) = self.by_tgid.remove(&tgid) else { return };
        if self.over.insert(tgid, start.or(member.start)).is_none() {
            self.over_order.push_back(tgid);
        }
        if self.over_order.len() > ENDED {
            if let Some(first) = self.over_order.pop_front() {
                self.over.remove(&first);
            }
        }
    }

    /// Whether a process was followed until its end.
    pub(super) fn is_over(&self, tgid: u32, start: Option<u64>) -> bool {
        self.over.get(&tgid).is_some_and(|&ended| start.is_none() || ended == start)
    }

    /// Records that a process which is not followed has created the process with this id. An earlier
    /// process with the id is over.
    pub(super) fn reused(&mut self, tgid: u32, start: Option<u64>, ns: u64) {
        let Some(member) = self.by_tgid.get_mut(&tgid) else { return };
        if ns < member.existed_ns {
            return;
        }
        let is_root = member.is_expected
            && member
                .start
                .zip(start)
                .is_none_or(|(expected, start)| expected / TICK_NS == start / TICK_NS);
        if is_root {
            *member =
                Member { start: start.or(member.start), threads: Some(1), ..Member::default() };
        } else if !member.is_expected {
            self.by_tgid.remove(&tgid);
        }
    }

    /// Whether a process is followed. `start` distinguishes it from others with the same id.
    pub(super) fn contains(&self, tgid: u32, start: Option<u64>) -> bool {
        let is_same = |member: &Member| match (member.start, start) {
            (Some(known), Some(start)) if member.is_expected => known / TICK_NS == start / TICK_NS,
            (Some(known), Some(start)) => known == start,
            // A root that is known by its start can be missing until its fork.
            (Some(_), None) => !member.is_expected,
            _ => true,
        };
        self.by_tgid.get(&tgid).is_some_and(is_same)
    }

    /// Records that a process caused an event, so that it is not over, and its start.
    pub(super) fn acted(&mut self, tgid: u32, start: Option<u64>) {
        if !self.contains(tgid, start) {
            return;
        }
        let Some(member) = self.by_tgid.get_mut(&tgid) else { return };
        member.start = start.or(member.start);
        member.is_expected = false;
        member.end = None;
    }

    pub(super) fn thread_started(&mut self, tgid: u32) {
        if let Some(member) = self.by_tgid.get_mut(&tgid) {
            member.threads = member.threads.map(|threads| threads.saturating_add(1));
        }
    }

    /// Adds a process that executed a program at `ns`, which ended all other threads.
    pub(super) fn executed(&mut self, tgid: u32, start: Option<u64>, ns: u64) {
        self.add(tgid, start);
        if let Some(member) = self.by_tgid.get_mut(&tgid) {
            (member.threads, member.exec_ns) = (Some(1), ns);
        }
    }

    /// Records the exit of a thread that has no context. A process without threads stays followed for
    /// some time, because the exits of threads that an exec ended can be received after it.
    pub(super) fn thread_exited(&mut self, tgid: u32, is_leader: bool, ns: u64) {
        let Some(member) = self.by_tgid.get_mut(&tgid) else { return };
        if ns < member.exec_ns.max(member.existed_ns) {
            return;
        }
        member.threads = member.threads.map(|threads| threads.saturating_sub(1));
        let is_over = member.threads.map_or(is_leader, |threads| threads == 0);
        if !is_over || member.end.is_some() {
            return;
        }
        self.ends += 1;
        member.end = Some(self.ends);
        self.ended.push_back((tgid, self.ends));
        if self.ended.len() > ENDED {
            let Some((tgid, end)) = self.ended.pop_front() else { return };
            if self.by_tgid.get(&tgid).is_some_and(|member| member.end == Some(end)) {
                self.by_tgid.remove(&tgid);
            }
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.by_tgid.keys().copied()
    }
}
