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

/// How much the queue holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    changes: usize,
    /// The memory of the changed processes. The last change may exceed it.
    bytes: usize,
}

const UNLIMITED: Capacity = Capacity { changes: usize::MAX, bytes: usize::MAX };

/// How much the queue holds during a wait for an exit.
pub(super) const WAIT_CAPACITY: Capacity = Capacity { changes: 1 << 14, bytes: 16 << 20 };

impl Tracker {
    pub(super) fn new(table: ProcessTable) -> Self {
        Self { table, kinds: ChangeKinds::all(), queue: Queue::default() }
    }

    pub(super) fn pop(&mut self) -> Option<ProcessItem> {
        self.queue.pop()
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
        self.apply_observed(batch, UNLIMITED, |_| {})
    }

    /// The same during a wait for an exit: calls `observe` for each change, also of kinds that the
    /// stream does not yield. If the queue has reached `capacity`, counts changes instead of
    /// queueing them.
    pub(super) fn apply_observed<'a>(
        &mut self,
        batch: impl Iterator<Item = Received<'a>>,
        capacity: Capacity,
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
    /// The memory of the processes in the items. What several of them share is counted each time.
    bytes: usize,
}

impl Queue {
    fn pop(&mut self) -> Option<ProcessItem> {
        let item = self.items.pop_front();
        if let Some(ProcessItem::Change(change)) = &item {
            // The table copies a shared process before it changes it, so this is the size from before.
            self.bytes -= change.process.size();
        }
        item
    }

    fn push_change(&mut self, change: Change<'_>, capacity: Capacity) {
        if self.items.len() < capacity.changes && self.bytes < capacity.bytes {
            self.bytes += change.process.size();
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
    use proc_connector_core::context::layout::{ExecHdr, Recorded};
    use proc_connector_core::testing::context::{RawContext, RawExtension};
    use proc_connector_core::{EventData, EventRecord, Notification, Notifications};

    use super::super::super::change::ChangeKind;
    use super::super::super::table::ProcessTable;
    use super::super::item::ProcessItem;
    use super::super::kinds::ChangeKinds;
    use super::{Capacity, STEP, Tracker, UNLIMITED};
    use crate::owned::{OwnedEvent, OwnedReceived};
    use crate::stream::{LossCause, Lost};

    /// The creation of this process.
    fn fork(tgid: u32) -> OwnedReceived {
        let data =
            EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: tgid, child_tgid: tgid };
        received(tgid, data, None)
    }

    /// The execution of a program by this process, with one argument of `len` bytes.
    fn exec(tgid: u32, len: u32) -> OwnedReceived {
        let exec = ExecHdr { args_len: len.into(), ..ExecHdr::default() };
        let extension = RawExtension {
            recorded: Recorded::ARGS,
            exec: Some(exec),
            tail: vec![b'x'; len as usize],
            ..RawExtension::default()
        };
        let context = RawContext::of_process((tgid, tgid.into()), (1, 1)).with_extension(extension);
        let data = EventData::Exec { process_pid: tgid, process_tgid: tgid };
        received(tgid, data, Some(&context.bytes()))
    }

    fn received(tgid: u32, data: EventData<'_>, context: Option<&[u8]>) -> OwnedReceived {
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: u64::from(tgid), data };
        record.encode_native(&mut datagram).expect("capacity");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
            panic!("an event")
        };
        let event = match context {
            Some(context) => event.with_context(context),
            None => event,
        };
        OwnedReceived::Event(OwnedEvent::from(event))
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
        let capacity = Capacity { changes: 2, ..UNLIMITED };
        tracker.apply_observed(batch, capacity, |change| {
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
    fn a_queue_of_large_processes_is_full_earlier() {
        let mut tracker = tracker(ChangeKinds::EXECUTED);
        let capacity = Capacity { bytes: 1 << 20, ..UNLIMITED };
        let full = |count| Err((LossCause::QueueFull, Some(count)));
        for _ in 0..2 {
            let execs: Vec<_> = (2..102).map(|tgid| exec(tgid, 32 << 10)).collect();
            let batch = execs.iter().map(OwnedReceived::as_received);
            tracker.apply_observed(batch, capacity, |_| {});
            // With less than 1 KiB of other data, 32 processes exceed the capacity and 31 do not.
            let expected: Vec<_> = (2..34).map(Ok).chain([full(68)]).collect();
            assert_eq!(taken(&mut tracker), expected);
        }
        let execs: Vec<_> = (2..102).map(|tgid| exec(tgid, 100)).collect();
        tracker.apply_observed(execs.iter().map(OwnedReceived::as_received), capacity, |_| {});
        assert_eq!(taken(&mut tracker).len(), 100);
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
