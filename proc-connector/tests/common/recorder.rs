//! Records everything that a connector delivers, and compares it with a witness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use proc_connector::{Payload, ProcConnector, Received};

use super::raw::{RawSocket, Stamp, Witnessed};
use super::{CAP_NET_ADMIN, Deadline, load, require_capability};

/// A delivered item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// An event, and the thread that it created or that exited.
    Event {
        stamp: Stamp,
        forked: Option<u32>,
        exited: Option<u32>,
    },
    Lost(u64),
}

impl From<Received<'_>> for Delivered {
    fn from(received: Received<'_>) -> Self {
        let event = match received {
            Received::Event(event) => event,
            Received::Lost(lost) => return Self::Lost(lost.count.expect("a count since 4.12")),
        };
        let (cpu, seq, what) = (event.cpu(), event.seq(), event.what());
        assert_ne!(what, 0, "an acknowledgement is not an event");
        let (forked, exited) = match event.payload() {
            Payload::Fork(fork) => (Some(fork.child_pid()), None),
            Payload::Exit(exit) => (None, Some(exit.process_pid())),
            _ => (None, None),
        };
        let stamp = Stamp { cpu, seq, what, timestamp_ns: event.timestamp_ns() };
        Self::Event { stamp, forked, exited }
    }
}

impl Delivered {
    pub(crate) fn stamp(self) -> Option<Stamp> {
        match self {
            Self::Event { stamp, .. } => Some(stamp),
            Self::Lost(_) => None,
        }
    }

    fn is_exit_of(self, thread: u32) -> bool {
        matches!(self, Self::Event { exited: Some(exited), .. } if exited == thread)
    }
}

/// The items that a connector delivered, in order.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) delivered: Vec<Delivered>,
}

impl Recorder {
    /// Records a batch; returns whether it contained an item.
    pub(crate) fn record(&mut self, connector: &mut ProcConnector, timeout: Duration) -> bool {
        let before = self.delivered.len();
        let batch = connector.recv_batch_timeout(timeout).expect("a batch");
        self.delivered.extend(batch.map(Delivered::from));
        self.delivered.len() > before
    }

    /// Creates a thread, and records up to its exit.
    pub(crate) fn mark(&mut self, connector: &mut ProcConnector) {
        self.record_exits(connector, &load::threads(1));
    }

    /// Records until the exit of each thread was received, then asserts that each started and
    /// exited once.
    ///
    /// Joining a thread does not imply that its exit was already sent, nor in which order exits are
    /// sent.
    pub(crate) fn record_exits(&mut self, connector: &mut ProcConnector, threads: &[u32]) {
        let deadline = Deadline::new();
        let mut missing: BTreeSet<u32> = threads.iter().copied().collect();
        let mut from = 0;
        loop {
            for item in &self.delivered[from..] {
                if let Delivered::Event { exited: Some(thread), .. } = item {
                    missing.remove(thread);
                }
            }
            if missing.is_empty() {
                return self.assert_has(threads);
            }
            from = self.delivered.len();
            let Some(left) = deadline.left() else { panic!("missing exits of {missing:?}") };
            self.record(connector, left);
        }
    }

    /// Records until every CPU has delivered a new event without any loss in between. Returns these
    /// events, one per CPU; `None` if the machine is too busy.
    pub(crate) fn settle(&mut self, connector: &mut ProcConnector) -> Option<Vec<Stamp>> {
        let deadline = Deadline::new();
        'again: loop {
            let mut marks = Vec::new();
            for cpu in load::cpus() {
                let thread = load::thread_on(cpu);
                let mut from = self.delivered.len();
                loop {
                    deadline.left()?;
                    self.record(connector, Duration::from_millis(1));
                    let new = &self.delivered[from..];
                    if new.iter().any(|item| matches!(item, Delivered::Lost(_))) {
                        continue 'again;
                    }
                    if let Some(mark) = new.iter().find(|item| item.is_exit_of(thread)) {
                        marks.extend(mark.stamp());
                        break;
                    }
                    from = self.delivered.len();
                }
            }
            return Some(marks);
        }
    }

    pub(crate) fn stamps(&self) -> impl Iterator<Item = Stamp> {
        self.delivered.iter().filter_map(|item| item.stamp())
    }

    pub(crate) fn has_exit_of(&self, thread: u32) -> bool {
        self.delivered.iter().any(|item| item.is_exit_of(thread))
    }

    pub(crate) fn has_exits_of(&self, threads: &[u32]) -> bool {
        threads.iter().all(|&thread| self.has_exit_of(thread))
    }

    /// The first and the last event of each CPU.
    pub(crate) fn ends(&self) -> Vec<(Stamp, Stamp)> {
        let mut ends: BTreeMap<u32, (Stamp, Stamp)> = BTreeMap::new();
        for stamp in self.stamps() {
            ends.entry(stamp.cpu).or_insert((stamp, stamp)).1 = stamp;
        }
        ends.into_values().collect()
    }

    /// The sum of all losses.
    pub(crate) fn lost(&self) -> u64 {
        self.delivered
            .iter()
            .map(|item| if let Delivered::Lost(count) = item { *count } else { 0 })
            .sum()
    }

    /// Asserts that each thread started once and exited once.
    pub(crate) fn assert_has(&self, threads: &[u32]) {
        let mut counts: BTreeMap<u32, [u32; 2]> =
            threads.iter().map(|&thread| (thread, [0, 0])).collect();
        for item in &self.delivered {
            let Delivered::Event { forked, exited, .. } = item else { continue };
            for (index, thread) in [forked, exited].into_iter().enumerate() {
                if let Some(counts) = thread.and_then(|thread| counts.get_mut(&thread)) {
                    counts[index] += 1;
                }
            }
        }
        counts.retain(|_, counts| *counts != [1, 1]);
        assert!(counts.is_empty(), "threads with their counts of forks and exits: {counts:?}");
    }

    /// Asserts that the events of each CPU, from the first to the last, equal those of the witness:
    /// none is missing, repeated, additional or out of order.
    pub(crate) fn assert_is_all_of(&self, witness: &RawSocket, witnessed: &mut Witnessed) {
        assert_eq!(self.lost(), 0, "the machine is too busy");
        let mut cpus: BTreeMap<u32, Vec<Stamp>> = BTreeMap::new();
        for stamp in self.stamps() {
            cpus.entry(stamp.cpu).or_default().push(stamp);
        }
        let ends = self.ends();
        catch_up(witness, witnessed, ends.iter().map(|&(_, last)| last));
        for (item, (first, last)) in cpus.values().zip(ends) {
            let sent = witnessed.between(first, last).iter().filter(|stamp| stamp.what != 0);
            assert!(item.iter().eq(sent), "CPU {} from {first:?} to {last:?}", first.cpu);
        }
    }
}

/// Opens connectors under load, until several have delivered events from before their
/// acknowledgement. `record` records the events of a connector, and compares them with the witness.
pub(crate) fn receive_events_before_acknowledgements(
    open: impl Fn() -> ProcConnector,
    record: impl Fn(&mut ProcConnector, &RawSocket, &mut Witnessed) -> Recorder,
) {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    // With a single CPU, no other thread causes events while a connector opens.
    let can_be_early = load::cpus().len() > 1;
    // The witness makes the kernel send events from here on.
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                load::threads(1);
            }
        });
        let _stop = load::OnDrop(|| done.store(true, Relaxed));
        let deadline = Deadline::new();
        let (mut rounds, mut early) = (0, 0);
        while rounds < 50 || (early < 3 && can_be_early) {
            assert!(deadline.left().is_some(), "{early} early events in {rounds} rounds");
            witnessed.add(&witness.drain());
            let mut connector = open();
            let new = witness.drain();
            witnessed.add(&new);
            let recorder = record(&mut connector, &witness, &mut witnessed);
            // A single acknowledgement in this period belongs to this connector.
            let mut acks = new.iter().filter(|stamp| stamp.what == 0);
            if let (Some(ack), None) = (acks.next(), acks.next()) {
                early += recorder.stamps().filter(|s| s.timestamp_ns < ack.timestamp_ns).count();
            }
            rounds += 1;
        }
    });
}

/// Reads from the witness until it has seen all of `last`.
pub(crate) fn catch_up(
    witness: &RawSocket,
    witnessed: &mut Witnessed,
    last: impl Iterator<Item = Stamp>,
) {
    let deadline = Deadline::new();
    witnessed.add(&witness.drain());
    for last in last {
        // The kernel delivers an event to one socket after the other.
        while !witnessed.has(last) {
            assert!(deadline.left().is_some(), "the witness never saw {last:?}");
            std::thread::yield_now();
            witnessed.add(&witness.drain());
        }
    }
}
