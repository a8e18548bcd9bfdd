//! The table of a stream, and the changes that were not yielded yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::change::Change;
use super::super::table::ProcessTable;
use super::item::{ProcessChange, ProcessItem};
use super::kinds::ChangeKinds;
use crate::stream::{LossCause, Lost, Received};

/// Applies events to a table, and queues the changes.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) table: ProcessTable,
    pub(super) kinds: ChangeKinds,
    queue: Queue,
}

/// How many events and losses are applied before the queue is read.
const STEP: usize = 256;

/// How many changes the queue holds during a wait for an exit.
pub(super) const WAIT_CAPACITY: usize = 1 << 14;

impl Tracker {
    pub(super) fn new(table: ProcessTable) -> Self {
        Self { table, kinds: ChangeKinds::all(), queue: Queue::default() }
    }

    pub(super) fn pop(&mut self) -> Option<ProcessItem> {
        self.queue.items.pop_front()
    }

    pub(super) fn has_items(&self) -> bool {
        !self.queue.items.is_empty()
    }

    /// The time until the next scan of `/proc`, if a loss made a scan necessary.
    pub(super) fn rescan_in(&self) -> Option<Duration> {
        self.table.rescan_in()
    }

    /// Applies the first items of a batch, and scans `/proc` if that is due. Returns how many items
    /// were applied.
    pub(super) fn apply<'a>(&mut self, batch: impl Iterator<Item = Received<'a>>) -> usize {
        self.apply_observed(batch, usize::MAX, |_| {})
    }

    /// The same during a wait for an exit: calls `observe` for each change, also of kinds that the
    /// stream does not yield. If the queue has reached `capacity`, counts changes instead of
    /// queueing them.
    pub(super) fn apply_observed<'a>(
        &mut self,
        batch: impl Iterator<Item = Received<'a>>,
        capacity: usize,
        mut observe: impl FnMut(Change<'_>),
    ) -> usize {
        let Self { table, kinds, queue } = self;
        let mut note = |queue: &mut Queue, change: Change<'_>| {
            observe(change);
            if kinds.contains(change.kind.into()) {
                queue.push_change(change, capacity);
            }
        };
        let mut applied = 0;
        for received in batch.take(STEP) {
            applied += 1;
            if let Received::Lost(lost) = received {
                queue.push_loss(lost);
            }
            table.apply(&received).for_each(|change| note(queue, change));
        }
        // A scan that fails changes nothing, and is repeated later.
        if let Ok(changes) = table.rescan_if_due() {
            changes.for_each(|change| note(queue, change));
        }
        applied
    }
}

/// Items that were not yielded yet, in order.
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<ProcessItem>,
}

impl Queue {
    fn push_change(&mut self, change: Change<'_>, capacity: usize) {
        if self.items.len() < capacity {
            let Change { kind, process } = change;
            let process = Arc::new(process.clone());
            self.items.push_back(ProcessItem::Change(ProcessChange { kind, process }));
        } else {
            self.push_loss(Lost::new(Some(1), LossCause::QueueFull));
        }
    }

    /// Adds a loss to those at the end of the queue, which has one item for each cause at most.
    fn push_loss(&mut self, lost: Lost) {
        let losses = self.items.iter_mut().rev().map_while(|item| match item {
            ProcessItem::Lost(known) => Some(known),
            ProcessItem::Change(_) => None,
        });
        let same_cause = losses.into_iter().find(|known| known.cause == lost.cause);
        match same_cause {
            Some(known) => {
                known.count = known.count.zip(lost.count).map(|(a, b)| a.saturating_add(b));
            }
            None => self.items.push_back(ProcessItem::Lost(lost)),
        }
    }
}
