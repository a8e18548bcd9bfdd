//! All events of a machine, with the processes of a tree found by the identities in their contexts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proc_connector::{Event, Payload, ProcConnector, Received, Transport};

use super::pair::Position;
use crate::common::{Deadline, load, skip};

/// An unfiltered connector.
#[derive(Debug)]
pub(crate) struct Tree {
    connector: ProcConnector,
    root: u32,
    /// The id and the start of each process.
    members: BTreeSet<(u32, u64)>,
    /// The events of the members: their kinds and time stamps.
    pub(crate) events: BTreeMap<Position, (u32, u64)>,
    exited: Vec<u32>,
}

impl Tree {
    /// Opens the connector, which must be before the tree exists. Skips the test without the ring.
    pub(crate) fn open() -> Self {
        let builder = ProcConnector::builder().transport(Transport::Ring);
        let Ok(connector) = builder.receive_buffer(64 << 20).context(true).open() else {
            skip("the ring transport is unavailable")
        };
        let (members, events) = Default::default();
        Self { connector, root: 0, members, events, exited: Vec::new() }
    }

    /// Sets the root of the tree, which has no child yet.
    pub(crate) fn set_root(&mut self, root: u32) {
        self.root = root;
    }

    /// Receives what has arrived after at most `time`.
    pub(crate) fn take(&mut self, time: Duration) {
        for received in self.connector.recv_batch_timeout(time).expect("a batch") {
            let Received::Event(event) = received else { panic!("{received:?}") };
            let context = event.context().expect("a context");
            if let Payload::Exit(exit) = event.payload() {
                self.exited.push(exit.process_pid());
            }
            let (Some(tgid), Some(start)) = (context.tgid(), context.start_boottime_ns()) else {
                continue;
            };
            if tgid != self.root && !self.members.contains(&(tgid, start)) {
                continue;
            }
            self.events.insert(position(&event), (event.what(), event.timestamp_ns()));
            if let Payload::Fork(fork) = event.payload() {
                let start = context.child_start_boottime_ns().expect("a child");
                self.members.insert((fork.child_tgid(), start));
            }
        }
    }

    /// Receives all events that were sent until now. Other connectors have received them, too.
    pub(crate) fn catch_up(&mut self) {
        for cpu in [load::cpus(), load::cpus()].concat() {
            let (thread, deadline) = (load::thread_on(cpu), Deadline::new());
            while !self.exited.contains(&thread) {
                assert!(deadline.left().is_some(), "the exit of a thread is missing");
                self.take(Duration::from_millis(1));
            }
        }
    }
}

/// The position of an event in the stream of its CPU.
pub(crate) fn position(event: &Event<'_>) -> Position {
    (event.cpu(), event.seq())
}

/// The time of the events' clock.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    u64::try_from(now.tv_sec()).expect("not negative") * 1_000_000_000
        + u64::try_from(now.tv_nsec()).expect("not negative")
}
