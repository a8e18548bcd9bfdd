//! The live processes, and those that ended recently.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::process::{End, Process};

/// Locates a process until the next change to the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Live(u32),
    /// The sequence number of its end.
    Ended(u64),
}

#[derive(Debug)]
pub(super) struct Population {
    pub(super) live: HashMap<u32, Process>,
    /// Pairs of parent and child, for each process of `live` that has a parent. The parent may be
    /// unknown.
    children: BTreeSet<(u32, u32)>,
    ended: Ended,
    next_serial: u64,
    /// How many ended processes are kept, and for how long.
    keep: usize,
    keep_ns: u64,
}

/// Ended processes, in the order of their ends.
#[derive(Debug, Default)]
struct Ended {
    /// Each process with the sequence number of the previous process with the same id. `None`: the
    /// process was revived.
    places: VecDeque<Option<(Process, Option<u64>)>>,
    /// The sequence number of the first entry.
    first: u64,
    /// The sequence number of the last process with an id.
    by_tgid: HashMap<u32, u64>,
}

impl Population {
    pub(super) fn new(keep: usize, time: Duration) -> Self {
        let mut new = Self {
            live: HashMap::new(),
            children: BTreeSet::new(),
            ended: Ended::default(),
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
            Key::Ended(number) => self.ended.get(number),
        }
    }

    /// The ended processes, in the order of their ends.
    pub(super) fn ended(&self) -> impl DoubleEndedIterator<Item = &Process> {
        self.ended.places.iter().flatten().map(|(process, _)| process)
    }

    /// The ended processes that had this id, the last one first.
    pub(super) fn ended_with_id(&self, tgid: u32) -> impl Iterator<Item = &Process> {
        let place = |number: u64| self.ended.places.get(self.ended.place(number)?)?.as_ref();
        let last = self.ended.by_tgid.get(&tgid).and_then(|&number| place(number));
        std::iter::successors(last, move |(_, before)| place((*before)?))
            .map(|(process, _)| process)
    }

    pub(super) fn allocate_serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// Adds a live process.
    pub(super) fn insert(&mut self, process: Process) -> Key {
        let (tgid, parent) = (process.tgid, process.parent);
        if let Some(before) = self.live.insert(tgid, process) {
            self.remove_child(before.parent, tgid);
        }
        self.add_child(parent, tgid);
        Key::Live(tgid)
    }

    /// Moves a process to the ended ones. The caller updates the parents of its children.
    pub(super) fn end(&mut self, tgid: u32, end: End) -> Option<Key> {
        let mut process = self.live.remove(&tgid)?;
        self.remove_child(process.parent, tgid);
        process.threads.end();
        process.end = Some(end);
        Some(Key::Ended(self.ended.push(process)))
    }

    /// Changes the parent of a live process.
    pub(super) fn move_to_parent(&mut self, tgid: u32, parent: Option<u32>) {
        let Some(process) = self.live.get_mut(&tgid) else { return };
        let before = std::mem::replace(&mut process.parent, parent);
        self.remove_child(before, tgid);
        self.add_child(parent, tgid);
    }

    fn add_child(&mut self, parent: Option<u32>, tgid: u32) {
        self.children.extend(parent.map(|parent| (parent, tgid)));
    }

    fn remove_child(&mut self, parent: Option<u32>, tgid: u32) {
        if let Some(parent) = parent {
            self.children.remove(&(parent, tgid));
        }
    }

    /// The live children of a process.
    pub(super) fn children(&self, tgid: u32) -> impl Iterator<Item = u32> {
        self.children.range((tgid, 0)..=(tgid, u32::MAX)).map(|&(_, child)| child)
    }

    /// Rebuilds the index of children, after parents were changed in `live`.
    pub(super) fn index_children(&mut self) {
        let child = |process: &Process| Some((process.parent?, process.tgid));
        self.children = self.live.values().filter_map(child).collect();
    }

    /// The last ended process that had this id.
    pub(super) fn last_ended(&mut self, tgid: u32) -> Option<(Key, &mut Process)> {
        let number = *self.ended.by_tgid.get(&tgid)?;
        Some((Key::Ended(number), self.ended.get_mut(number)?))
    }

    /// Makes the last ended process with this id live again.
    pub(super) fn revive(&mut self, tgid: u32) -> Option<Key> {
        let mut process = self.ended.take(tgid)?;
        process.end = None;
        Some(self.insert(process))
    }

    /// Drops the processes that ended too long before `now_ns`, and those in excess of the limit.
    pub(super) fn forget_old(&mut self, now_ns: u64) {
        let oldest = now_ns.saturating_sub(self.keep_ns);
        let is_old = |process: &Process| process.end.is_some_and(|end| end.ns < oldest);
        let is_over = |place: &Option<(Process, _)>| place.as_ref().is_none_or(|(p, _)| is_old(p));
        while self.ended.places.len() > self.keep || self.ended.places.front().is_some_and(is_over)
        {
            self.ended.pop();
        }
    }
}

impl Ended {
    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn get(&self, number: u64) -> Option<&Process> {
        Some(&self.places.get(self.place(number)?)?.as_ref()?.0)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Process> {
        let place = self.place(number)?;
        Some(&mut self.places.get_mut(place)?.as_mut()?.0)
    }

    /// Appends a process, and returns its sequence number.
    fn push(&mut self, process: Process) -> u64 {
        let number = self.first + self.places.len() as u64;
        let before = self.by_tgid.insert(process.tgid, number);
        self.places.push_back(Some((process, before)));
        number
    }

    /// Removes the last process that had an id.
    fn take(&mut self, tgid: u32) -> Option<Process> {
        let number = self.by_tgid.remove(&tgid)?;
        let place = self.place(number)?;
        let (process, before) = self.places.get_mut(place)?.take()?;
        if let Some(before) = before.filter(|&before| before >= self.first) {
            self.by_tgid.insert(tgid, before);
        }
        Some(process)
    }

    /// Drops the first entry.
    fn pop(&mut self) {
        if let Some(Some((process, _))) = self.places.pop_front() {
            if self.by_tgid.get(&process.tgid) == Some(&self.first) {
                self.by_tgid.remove(&process.tgid);
            }
        }
        self.first += 1;
    }
}
