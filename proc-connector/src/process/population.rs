//! The live processes, and those that ended recently.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::children::Live;
use super::hasher::ById;
use super::process::{End, Process};

/// Locates a process until the next change to the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Live(u32),
    /// Process id and creation time of a superseded process.
    Superseded(u32, u64),
    /// The sequence number of its end.
    Ended(u64),
    /// The number of a process in an earlier state.
    Frozen(usize),
}

#[derive(Debug)]
pub(super) struct Population {
    pub(super) live: Live,
    /// Processes whose ids were assigned again before the exits of their last threads were
    /// received, by process id and creation time.
    superseded: ById<(u32, u64), Arc<Process>>,
    ended: Ended,
    /// Processes in an earlier state, which the changes of the last event have.
    frozen: Vec<Arc<Process>>,
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
    places: VecDeque<Option<(Arc<Process>, Option<u64>)>>,
    /// The time of each end in nanoseconds; 0 if the process was revived.
    times: VecDeque<u64>,
    /// The sequence number of the first entry.
    first: u64,
    /// The sequence number of the last process with an id.
    by_tgid: ById<u32, u64>,
}

impl Population {
    pub(super) fn new(keep: usize, time: Duration) -> Self {
        let mut new = Self {
            live: Live::default(),
            superseded: ById::default(),
            ended: Ended::default(),
            frozen: Vec::new(),
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
        self.shared(key).map(|process| &**process)
    }

    /// The process as the table stores it.
    pub(super) fn shared(&self, key: Key) -> Option<&Arc<Process>> {
        match key {
            Key::Live(tgid) => self.live.shared(tgid),
            Key::Superseded(tgid, start) => self.superseded.get(&(tgid, start)),
            Key::Ended(number) => self.ended.get(number),
            Key::Frozen(number) => self.frozen.get(number),
        }
    }

    /// Keeps a process in its present state until the next event.
    pub(super) fn freeze(&mut self, process: Arc<Process>) -> Key {
        self.frozen.push(process);
        Key::Frozen(self.frozen.len() - 1)
    }

    pub(super) fn clear_frozen(&mut self) {
        self.frozen.clear();
    }

    /// The ended processes, in the order of their ends.
    pub(super) fn ended(&self) -> impl DoubleEndedIterator<Item = &Process> {
        self.ended.places.iter().flatten().map(|(process, _)| &**process)
    }

    /// The ended processes that had this id, the last one first.
    pub(super) fn ended_with_id(&self, tgid: u32) -> impl Iterator<Item = &Process> {
        let place = |number: u64| self.ended.places.get(self.ended.place(number)?)?.as_ref();
        let last = self.ended.by_tgid.get(&tgid).and_then(|&number| place(number));
        std::iter::successors(last, move |(_, before)| place((*before)?))
            .map(|(process, _)| &**process)
    }

    pub(super) fn allocate_serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// Adds a live process.
    pub(super) fn insert(&mut self, process: Process) -> Key {
        let tgid = process.tgid;
        self.live.insert(process);
        Key::Live(tgid)
    }

    /// Moves a process to the ended ones. The caller updates the parents of its children.
    pub(super) fn end(&mut self, tgid: u32, end: End) -> Option<Key> {
        let process = self.live.remove(tgid)?;
        Some(self.push_ended(process, end))
    }

    fn push_ended(&mut self, mut process: Arc<Process>, end: End) -> Key {
        let ended = Arc::make_mut(&mut process);
        ended.threads.end();
        ended.awaits = None;
        ended.end = Some(end);
        Key::Ended(self.ended.push(process, end.ns))
    }

    /// Marks all values that lost events may have changed.
    pub(super) fn mark_stale(&mut self) {
        self.live.for_each_mut(Process::mark_stale);
        self.superseded.values_mut().for_each(|process| Arc::make_mut(process).mark_stale());
        // The last events of a process that has vanished are still to be received.
        let has_vanished = |process: &Process| process.end.is_some_and(|end| end.status.is_none());
        for (process, _) in self.ended.places.iter_mut().flatten() {
            if has_vanished(process) {
                Arc::make_mut(process).mark_stale();
            }
        }
    }

    /// Changes the parent of a live process.
    pub(super) fn move_to_parent(&mut self, tgid: u32, parent: Option<u32>) {
        self.live.move_to_parent(tgid, parent);
    }

    /// The live children of a process.
    pub(super) fn children(&self, tgid: u32) -> impl Iterator<Item = u32> {
        self.live.children(tgid)
    }

    /// Takes a process off the live ones, because a new process has its id. The exits of its last
    /// threads are still to be received. Returns an earlier one that it replaces: its exits were lost.
    pub(super) fn supersede(&mut self, tgid: u32) -> Option<Key> {
        let process = self.live.remove(tgid)?;
        let start = process.start_boottime_ns.unwrap_or(0);
        let before = self.superseded.insert((tgid, start), process)?;
        let end = End { ns: before.seen_ns, status: None, usage: None };
        Some(self.push_ended(before, end))
    }

    /// Adds a process whose id a later process has already.
    pub(super) fn insert_superseded(&mut self, process: Process) -> Key {
        let (tgid, start) = (process.tgid, process.start_boottime_ns.unwrap_or(0));
        self.superseded.insert((tgid, start), Arc::new(process));
        Key::Superseded(tgid, start)
    }

    /// A live or superseded process, for changes to anything but its parent.
    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Process> {
        match key {
            Key::Live(tgid) => self.live.get_mut(tgid),
            Key::Superseded(tgid, start) => {
                self.superseded.get_mut(&(tgid, start)).map(Arc::make_mut)
            }
            Key::Ended(number) => self.ended.get_mut(number),
            Key::Frozen(_) => None,
        }
    }

    /// A superseded process.
    pub(super) fn superseded_process(&self, tgid: u32, start: u64) -> Option<&Process> {
        if self.superseded.is_empty() {
            return None;
        }
        self.superseded.get(&(tgid, start)).map(|process| &**process)
    }

    /// Moves a superseded process to the ended ones.
    pub(super) fn end_superseded(&mut self, tgid: u32, start: u64, end: End) -> Option<Key> {
        let process = self.superseded.remove(&(tgid, start))?;
        Some(self.push_ended(process, end))
    }

    /// Moves any superseded process to the ended ones.
    pub(super) fn end_any_superseded(&mut self, end: End) -> Option<Key> {
        let (tgid, start) = *self.superseded.keys().next()?;
        self.end_superseded(tgid, start, end)
    }

    /// The processes whose ids were assigned again.
    pub(super) fn superseded(&self) -> impl Iterator<Item = &Process> {
        self.superseded.values().map(|process| &**process)
    }

    /// The last ended process that had this id and matches.
    pub(super) fn ended_where(
        &mut self,
        tgid: u32,
        matches: impl Fn(&Process) -> bool,
    ) -> Option<(Key, &mut Process)> {
        let mut number = *self.ended.by_tgid.get(&tgid)?;
        loop {
            let (process, before) = self.ended.places.get(self.ended.place(number)?)?.as_ref()?;
            if matches(process) {
                return Some((Key::Ended(number), self.ended.get_mut(number)?));
            }
            number = (*before)?;
        }
    }

    /// The last ended process that had this id.
    pub(super) fn last_ended(&mut self, tgid: u32) -> Option<(Key, &mut Process)> {
        let number = *self.ended.by_tgid.get(&tgid)?;
        Some((Key::Ended(number), self.ended.get_mut(number)?))
    }

    /// Makes the last ended process with this id live again.
    pub(super) fn revive(&mut self, tgid: u32) -> Option<Key> {
        let mut process = Arc::unwrap_or_clone(self.ended.take(tgid)?);
        process.end = None;
        Some(self.insert(process))
    }

    /// Drops the processes that ended too long before `now_ns`, and those in excess of the limit.
    pub(super) fn forget_old(&mut self, now_ns: u64) {
        let oldest = now_ns.saturating_sub(self.keep_ns);
        while self.ended.times.len() > self.keep
            || self.ended.times.front().is_some_and(|&ns| ns < oldest)
        {
            self.ended.pop();
        }
    }
}

impl Ended {
    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn get(&self, number: u64) -> Option<&Arc<Process>> {
        Some(&self.places.get(self.place(number)?)?.as_ref()?.0)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Process> {
        let place = self.place(number)?;
        Some(Arc::make_mut(&mut self.places.get_mut(place)?.as_mut()?.0))
    }

    /// Appends a process, and returns its sequence number.
    fn push(&mut self, process: Arc<Process>, ns: u64) -> u64 {
        self.times.push_back(ns);
        let number = self.first + self.places.len() as u64;
        let before = self.by_tgid.insert(process.tgid, number);
        self.places.push_back(Some((process, before)));
        number
    }

    /// Removes the last process that had an id.
    fn take(&mut self, tgid: u32) -> Option<Arc<Process>> {
        let number = self.by_tgid.remove(&tgid)?;
        let place = self.place(number)?;
        let (process, before) = self.places.get_mut(place)?.take()?;
        if let Some(ns) = self.times.get_mut(place) {
            *ns = 0;
        }
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
        self.times.pop_front();
        self.first += 1;
    }
}
