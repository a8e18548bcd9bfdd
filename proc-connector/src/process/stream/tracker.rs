//! The table of a stream, and the changes that were not yielded yet.

use std::collections::VecDeque;
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
            let (kind, process) = (change.kind, change.share());
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

#[cfg(test)]
mod tests {
    use proc_connector_core::{EventData, EventRecord, Notification, Notifications};

    use super::super::super::change::ChangeKind;
    use super::super::super::table::ProcessTable;
    use super::super::item::ProcessItem;
    use super::super::kinds::ChangeKinds;
    use super::{STEP, Tracker};
    use crate::owned::{OwnedEvent, OwnedReceived};
    use crate::stream::{LossCause, Lost};

    /// The creation of this process.
    fn fork(tgid: u32) -> OwnedReceived {
        let data =
            EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: tgid, child_tgid: tgid };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: u64::from(tgid), data };
        record.encode_native(&mut datagram).expect("capacity");
        match Notifications::new(&datagram).next() {
            Some(Ok(Notification::Event(event))) => OwnedReceived::Event(OwnedEvent::from(event)),
            other => panic!("{other:?}"),
        }
    }

    fn overrun(count: u64) -> OwnedReceived {
        OwnedReceived::Lost(Lost::new(Some(count), LossCause::Overrun))
    }

    fn tracker(kinds: ChangeKinds) -> Tracker {
        let mut tracker = Tracker::new(ProcessTable::without_proc());
        tracker.kinds = kinds;
        tracker
    }

    /// Started processes by their ids, and losses by their causes and counts.
    fn taken(tracker: &mut Tracker) -> Vec<Result<u32, (LossCause, Option<u64>)>> {
        let items = std::iter::from_fn(|| tracker.pop());
        items
            .map(|item| match item {
                ProcessItem::Change(change) => Ok(change.process.tgid()),
                ProcessItem::Lost(lost) => Err((lost.cause, lost.count)),
            })
            .collect()
    }

    #[test]
    fn a_full_queue_keeps_the_first_changes_and_counts_the_others() {
        let mut tracker = tracker(ChangeKinds::STARTED);
        let stream = [fork(2), fork(3), fork(4), overrun(5), fork(5), overrun(6), fork(6), fork(7)];
        let mut observed = 0;
        let batch = stream.iter().map(OwnedReceived::as_received);
        tracker.apply_observed(batch, 2, |change| {
            observed += u32::from(change.kind == ChangeKind::Started);
        });
        assert_eq!(observed, 6);
        let full = Err((LossCause::QueueFull, Some(4)));
        let expected = [Ok(2), Ok(3), full, Err((LossCause::Overrun, Some(11)))];
        assert_eq!(taken(&mut tracker), expected);
        // The table has applied all of them.
        assert!((2..=7).all(|tgid| tracker.table.get(tgid).is_some()));

        tracker.apply([fork(8), overrun(1), fork(9)].iter().map(OwnedReceived::as_received));
        assert_eq!(taken(&mut tracker), [Ok(8), Err((LossCause::Overrun, Some(1))), Ok(9)]);
    }

    #[test]
    fn a_batch_is_applied_in_steps() {
        let mut tracker = tracker(ChangeKinds::STARTED);
        let forks: Vec<_> = (2..2 * 256 + 12).map(fork).collect();
        let mut batch = forks.iter().map(OwnedReceived::as_received);
        assert_eq!(tracker.apply(&mut batch), STEP);
        assert_eq!(taken(&mut tracker).len(), STEP);
        assert_eq!(tracker.apply(&mut batch), STEP);
        assert_eq!(tracker.apply(&mut batch), 10);
    }

    #[test]
    fn changes_of_other_kinds_are_applied_but_not_queued() {
        let mut tracker = tracker(ChangeKinds::ENDED);
        tracker.apply([fork(2)].iter().map(OwnedReceived::as_received));
        assert!(!tracker.has_items() && tracker.table.get(2).is_some());
    }
}
