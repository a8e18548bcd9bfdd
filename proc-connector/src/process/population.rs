//! The processes that live, and those that ended of late.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::process::{End, Process};

/// Where a process is to be found until the next change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Live(u32),
    /// The number of its end among all ends.
    Ended(u64),
}

#[derive(Debug)]
pub(super) struct Population {
    pub(super) live: HashMap<u32, Process>,
    pub(super) ended: VecDeque<Process>,
    /// The number of the first in `ended`.
    first_ended: u64,
    next_serial: u64,
    /// How many that ended are kept, and for how long.
    keep: usize,
    keep_ns: u64,
}

impl Population {
    pub(super) fn new(keep: usize, time: Duration) -> Self {
        let mut new = Self {
            live: HashMap::new(),
            ended: VecDeque::new(),
            first_ended: 0,
            next_serial: 1,
            keep,
            keep_ns: 0,
        };
        new.keep_ended(keep, time);
        new
    }

    pub(super) fn keep_ended(&mut self, number: usize, time: Duration) {
        self.keep = number;
        self.keep_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    }

    pub(super) fn by_key(&self, key: Key) -> Option<&Process> {
        match key {
            Key::Live(tgid) => self.live.get(&tgid),
            Key::Ended(number) => {
                let place = usize::try_from(number.checked_sub(self.first_ended)?).ok()?;
                self.ended.get(place)
            }
        }
    }

    /// A serial for the next process.
    pub(super) fn serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// Adds a process that lives.
    pub(super) fn insert(&mut self, process: Process) -> Key {
        if let Some(parent) = process.parent.and_then(|parent| self.live.get_mut(&parent)) {
            parent.children += 1;
        }
        let tgid = process.tgid;
        self.live.insert(tgid, process);
        Key::Live(tgid)
    }

    /// Moves a process to those that ended. Its children are the caller's to mind.
    pub(super) fn end(&mut self, tgid: u32, end: End) -> Option<Key> {
        let mut process = self.live.remove(&tgid)?;
        self.leave_parent(process.parent);
        process.threads.end();
        process.end = Some(end);
        self.ended.push_back(process);
        Some(Key::Ended(self.first_ended + self.ended.len() as u64 - 1))
    }

    /// Gives a live process another parent.
    pub(super) fn move_to_parent(&mut self, tgid: u32, parent: Option<u32>) {
        let Some(process) = self.live.get_mut(&tgid) else { return };
        let before = std::mem::replace(&mut process.parent, parent);
        self.leave_parent(before);
        if let Some(parent) = parent.and_then(|parent| self.live.get_mut(&parent)) {
            parent.children += 1;
        }
    }

    fn leave_parent(&mut self, parent: Option<u32>) {
        if let Some(parent) = parent.and_then(|parent| self.live.get_mut(&parent)) {
            parent.children = parent.children.saturating_sub(1);
        }
    }

    /// Counts the children of one anew.
    pub(super) fn count_children_of(&mut self, tgid: u32) {
        let children = self.live.values().filter(|process| process.parent == Some(tgid)).count();
        if let Some(process) = self.live.get_mut(&tgid) {
            process.children = u32::try_from(children).unwrap_or(u32::MAX);
        }
    }

    /// Counts everybody's children anew.
    pub(super) fn count_children(&mut self) {
        let parents: Vec<u32> = self.live.values().filter_map(|process| process.parent).collect();
        for process in self.live.values_mut() {
            process.children = 0;
        }
        for parent in parents {
            if let Some(parent) = self.live.get_mut(&parent) {
                parent.children += 1;
            }
        }
    }

    /// The last one that had this id and ended.
    pub(super) fn last_ended(&mut self, tgid: u32) -> Option<(Key, &mut Process)> {
        let place = self.ended.iter().rposition(|process| process.tgid == tgid)?;
        let key = Key::Ended(self.first_ended + place as u64);
        Some((key, self.ended.get_mut(place)?))
    }

    /// Takes one that ended back to life.
    pub(super) fn revive(&mut self, tgid: u32) -> Option<Key> {
        let place = self.ended.iter().rposition(|process| process.tgid == tgid)?;
        let mut process = self.ended.remove(place)?;
        process.end = None;
        Some(self.insert(process))
    }

    /// Forgets those that ended too long before `now_ns`, and those that are too many.
    pub(super) fn forget(&mut self, now_ns: u64) {
        let oldest = now_ns.saturating_sub(self.keep_ns);
        while self.ended.len() > self.keep
            || self.ended.front().is_some_and(|p| p.end.is_some_and(|end| end.ns < oldest))
        {
            self.ended.pop_front();
            self.first_ended += 1;
        }
    }
}
