//! Receives events, applies them to a table, and keeps what the table reports of each process.

use std::collections::HashMap;
use std::time::Duration;

use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};
use proc_connector::{ProcConnector, Received};

use super::recorded::Recorded;
use crate::common::builder;

/// What the library reported of one process. Each copy shows the process at that change.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) first: Process,
    pub(crate) execs: Vec<Process>,
    pub(crate) ends: Vec<Process>,
    pub(crate) vanished: usize,
}

#[derive(Debug)]
pub(crate) struct Observer {
    connector: ProcConnector,
    table: ProcessTable,
    /// By the serial number.
    pub(crate) seen: HashMap<u64, Seen>,
    pub(crate) recorded: Recorded,
    pub(crate) losses: usize,
    pub(crate) events: u64,
    /// A time to sleep before each batch, in which the buffer overflows.
    nap: Duration,
}

impl Observer {
    /// Opens a connector with a buffer of this many bytes. The observer sleeps for `nap` before each
    /// batch.
    pub(crate) fn start(buffer: usize, nap: Duration) -> Self {
        let connector = builder().receive_buffer(buffer).context(true).open();
        let connector = connector.expect("a live connector");
        let table = ProcessTable::new().expect("/proc is mounted");
        let mut observer = Self {
            connector,
            table,
            seen: HashMap::new(),
            recorded: Recorded::default(),
            losses: 0,
            events: 0,
            nap,
        };
        let known: Vec<Process> = observer.table.iter().cloned().collect();
        for process in known {
            observer.seen.insert(process.serial(), Seen::new(process));
        }
        observer
    }

    /// Receives and applies events for this time.
    pub(crate) fn take(&mut self, time: Duration) {
        std::thread::sleep(self.nap);
        let time = self.table.rescan_in().unwrap_or(time).min(time);
        for received in self.connector.recv_batch_timeout(time).expect("a batch") {
            match received {
                Received::Event(event) => {
                    self.events += 1;
                    self.recorded.note(&event);
                }
                Received::Lost(_) => self.losses += 1,
            }
            for change in self.table.apply(&received) {
                note(&mut self.seen, change);
            }
        }
        for change in self.table.rescan_if_due().expect("/proc is mounted") {
            note(&mut self.seen, change);
        }
    }
}

impl Seen {
    fn new(first: Process) -> Self {
        Self { first, execs: Vec::new(), ends: Vec::new(), vanished: 0 }
    }
}

fn note(seen: &mut HashMap<u64, Seen>, change: Change<'_>) {
    let seen = match change.kind {
        ChangeKind::Started
        | ChangeKind::Appeared
        | ChangeKind::Executed
        | ChangeKind::Ended
        | ChangeKind::Vanished => seen.entry(change.process.serial()),
        _ => return,
    };
    let seen = seen.or_insert_with(|| Seen::new(change.process.clone()));
    match change.kind {
        ChangeKind::Executed => seen.execs.push(change.process.clone()),
        ChangeKind::Ended => seen.ends.push(change.process.clone()),
        ChangeKind::Vanished => seen.vanished += 1,
        _ => {}
    }
}
