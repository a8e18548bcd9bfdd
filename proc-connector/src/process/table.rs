//! The table: what it is asked, and what it is told.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use proc_connector_core::Event;

use super::cgroups::Cgroups;
use super::change::{ChangeKind, Changes};
use super::facts::Source;
use super::population::{Key, Population};
use super::process::Process;
use super::rescan::Rescan;
use crate::stream::Received;

/// The processes of a machine, kept up to date by its events.
///
/// See the [module](super) for how it is used.
#[derive(Debug)]
pub struct ProcessTable {
    pub(super) population: Population,
    /// Whom to ask for what events do not tell.
    pub(super) source: Option<Box<dyn Source>>,
    pub(super) rescan: Rescan,
    /// When the table last looked at all of `/proc`: who was not there then was gone before.
    pub(super) looked_ns: u64,
    /// How many processes of an id had it given away before their exit was reported, so that the
    /// next exits under that id are theirs.
    pub(super) displaced: HashMap<u32, u32>,
    pub(super) cgroups: Cgroups,
    pub(super) changes: Vec<(ChangeKind, Key)>,
}

/// How many processes that ended are kept, and how long.
const KEEP: (usize, Duration) = (4096, Duration::from_secs(60));

/// Making one.
impl ProcessTable {
    /// The processes of this machine, as `/proc` has them now.
    ///
    /// To be made *after* the connector was opened: then no process can start or end between the
    /// two without being noticed.
    ///
    /// # Errors
    ///
    /// Those of reading `/proc`: too many files are open, say. [`io::ErrorKind::Unsupported`] where
    /// what is at `/proc` cannot be used, whose message says why: nothing or something else is mounted
    /// there; or the `/proc` of another pid namespace, where ids are other processes'; or the times
    /// in it are of a time namespace whose offset cannot be read. Also on other systems than Linux.
    pub fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        return Self::with_source(Box::new(super::proc_fs::ProcFs::open()?));
        #[cfg(not(target_os = "linux"))]
        Err(io::Error::new(io::ErrorKind::Unsupported, "process events require Linux"))
    }

    /// An empty table that never looks at `/proc`: for recordings, or events of another machine.
    ///
    /// It has what events tell. Processes that were there before appear when something happens to
    /// them.
    pub fn without_proc() -> Self {
        Self {
            population: Population::new(KEEP.0, KEEP.1),
            source: None,
            rescan: Rescan::default(),
            looked_ns: 0,
            displaced: HashMap::new(),
            cgroups: Cgroups::default(),
            changes: Vec::new(),
        }
    }

    /// Keeps that many processes that ended, for that long after their end; without this call 4,096
    /// for a minute.
    #[must_use]
    pub fn keep_ended(mut self, number: usize, time: Duration) -> Self {
        self.population.keep_ended(number, time);
        self
    }

    #[cfg(any(test, target_os = "linux"))]
    pub(super) fn with_source(source: Box<dyn Source>) -> io::Result<Self> {
        let mut table = Self { source: Some(source), ..Self::without_proc() };
        table.look()?;
        table.changes.clear();
        Ok(table)
    }
}

/// Asking.
impl ProcessTable {
    /// The process that has this id and lives.
    pub fn get(&self, tgid: u32) -> Option<&Process> {
        self.population.live.get(&tgid)
    }

    /// The process that had this id at a time, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn at(&self, tgid: u32, timestamp_ns: u64) -> Option<&Process> {
        let was_there = |process: &&Process| {
            process.tgid() == tgid
                && process.start_ns().is_none_or(|start| start <= timestamp_ns)
                && process.end_ns().is_none_or(|end| timestamp_ns <= end)
        };
        let live = self.get(tgid).into_iter().find(was_there);
        live.or_else(|| self.ended().rev().find(was_there))
    }

    /// The process with this [serial](Process::serial), alive or ended: one look at each there is.
    pub fn by_serial(&self, serial: u64) -> Option<&Process> {
        self.ended().rev().chain(self.iter()).find(|process| process.serial() == serial)
    }

    /// The processes that live, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.population.live.values()
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.population.live.len()
    }

    /// Whether none lives, of which a machine is never seen.
    pub fn is_empty(&self) -> bool {
        self.population.live.is_empty()
    }

    /// Those that ended and are still kept, the first to end first.
    pub fn ended(&self) -> impl DoubleEndedIterator<Item = &Process> {
        self.population.ended()
    }
}

/// Telling.
impl ProcessTable {
    /// Takes in what was received, and says what that changed.
    ///
    /// At an exec it reads `/proc`, unless the table was made without. After a loss it looks at
    /// all of `/proc` again, once the stream has settled: then processes may appear and vanish.
    /// That happens here, with the first event that is due for it, or in
    /// [`rescan_if_due`](Self::rescan_if_due).
    pub fn apply(&mut self, received: &Received<'_>) -> Changes<'_> {
        self.changes.clear();
        match received {
            Received::Event(event) => self.event(event),
            Received::Lost(_) => self.lost(),
        }
        if self.rescan.is_due() {
            // It is tried again after the next event.
            let _ = self.look();
        }
        self.changes()
    }

    /// How long until the table wants to look at `/proc` because of a loss: how long to wait for
    /// events at most. `None` if it does not want to.
    pub fn rescan_in(&self) -> Option<Duration> {
        Some(self.rescan.due?.saturating_duration_since(Instant::now()))
    }

    /// Looks at `/proc` if a loss made that necessary and the time has come.
    ///
    /// # Errors
    ///
    /// Those of listing `/proc`.
    pub fn rescan_if_due(&mut self) -> io::Result<Changes<'_>> {
        self.changes.clear();
        if self.rescan.is_due() {
            self.look()?;
        }
        Ok(self.changes())
    }

    /// Looks at `/proc` now, at all processes, and says what was otherwise than events had told.
    /// Does nothing in a table that was made without `/proc`.
    ///
    /// # Errors
    ///
    /// Those of listing `/proc`.
    pub fn rescan(&mut self) -> io::Result<Changes<'_>> {
        self.changes.clear();
        self.look()?;
        Ok(self.changes())
    }

    /// What the last call that returned changes has changed, once more: to look at the table and at a
    /// process that has just ended at the same time.
    pub fn changes(&self) -> Changes<'_> {
        Changes::new(&self.changes, &self.population)
    }

    pub(super) fn push(&mut self, kind: ChangeKind, key: Key) {
        self.changes.push((kind, key));
    }

    /// How far the clock of `/proc` was ahead of the one of time stamps at an event that has just
    /// happened.
    pub(super) fn offset_ns(&self, event: &Event<'_>) -> Option<u64> {
        let source = self.source.as_ref()?;
        let noted = event.context().and_then(|context| context.boot_ns());
        let offset = noted.and_then(|boot_ns| boot_ns.checked_sub(event.timestamp_ns()));
        offset.or_else(|| Some(source.offset_ns()))
    }
}
