//! Collects records into batches, and passes complete batches on.

use std::time::{Duration, Instant, SystemTime};

use proc_connector::process::BootId;
use proc_connector::{LossCause, Lost, Received};

use super::batch::{Batch, Completed};
use super::positions::Positions;
use super::record::{Loss, Records};
use super::resource::Resource;
use super::times::unix_ns;
use super::uid::Uids;
use crate::cli::export::spool::{self, Unreported};
use crate::cli::failure::Failure;
use crate::cli::output::sink::{Item, Sink};

/// The most bytes of uncompressed records in a batch. Receivers accept more: the Collector 20 MiB.
const MAX_SIZE: usize = 4 << 20;

/// Takes complete batches, and delivers them.
pub(crate) trait Store {
    /// The discarded records that no appended batch has reported.
    fn unreported(&self) -> Unreported;

    /// Appends a batch that reports these discarded records. Returns whether the batch was appended.
    /// The store reports the cause of a failure to the user.
    fn append(&mut self, batch: &spool::Batch, report: Unreported) -> bool;
}

/// What a batch may contain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most records.
    pub(crate) records: usize,
    /// The time from the first record until the batch is complete.
    pub(crate) age: Duration,
}

/// The parts of records that depend on the options and the machine.
#[derive(Debug)]
pub(crate) struct Style<'a> {
    pub(crate) boot_id: BootId,
    /// The current time stamp of events.
    pub(crate) start_ns: u64,
    pub(crate) resource: &'a Resource,
    pub(crate) with_arguments: bool,
}

/// Passes events on as log records.
#[derive(Debug)]
pub(crate) struct Otlp<S> {
    store: S,
    limits: Limits,
    records: Records,
    batch: Batch,
    /// When the first record of the batch was added.
    begun: Option<Instant>,
    content: spool::Content,
    positions: Positions,
    /// Records of batches that could not be appended.
    failed: u64,
}

impl<S: Store> Otlp<S> {
    /// `positions` are those of the previous exporter on this machine.
    pub(crate) fn new(style: &Style<'_>, limits: Limits, positions: Positions, store: S) -> Self {
        let boot_id = style.boot_id.to_bytes();
        Self {
            store,
            limits,
            records: Records::new(Uids::new(style.boot_id, style.start_ns), style.with_arguments),
            batch: Batch::new(&style.resource.encode()),
            begun: None,
            content: spool::Content { boot_id, ..spool::Content::default() },
            positions,
            failed: 0,
        }
    }

    /// Notes an event before it is written or left out. `time` is its time of day.
    pub(crate) fn note(&mut self, received: &Received<'_>, time: Option<SystemTime>) {
        let Received::Event(event) = received else { return };
        if let Some(gap) = self.positions.received(event.cpu(), event.seq()) {
            self.write_loss(&gap, time);
        }
    }

    /// Notes whether noted events wait to be written. Otherwise all were written or left out.
    pub(crate) fn set_holding(&mut self, is_holding: bool) {
        self.positions.set_holding(is_holding);
    }

    /// Notes the end of a batch of received events.
    pub(crate) fn after_batch(&mut self) {
        self.positions.after_batch();
    }

    /// Adds the record of a loss.
    fn write_loss(&mut self, loss: &Loss, time: Option<SystemTime>) {
        self.content.lost += loss.count.unwrap_or(0);
        let record = self.records.loss(loss, time.unwrap_or_else(SystemTime::now));
        self.batch.push(record);
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Passes the batch on if it is full.
    fn complete_if_full(&mut self) {
        if self.batch.len() >= self.limits.records || self.batch.size() >= MAX_SIZE {
            self.complete(Completed::Full);
        }
    }

    /// Passes the batch on, with a report of all records that were discarded before.
    fn complete(&mut self, completed: Completed) {
        let discarded = self.store.unreported();
        if discarded.records > 0 {
            self.write_loss(&Loss::of_all(Some(discarded.records), "discarded"), None);
        }
        if discarded.damages > 0 {
            self.write_loss(&Loss::of_all(None, "spool_damaged"), None);
        }
        if self.failed > 0 {
            self.write_loss(&Loss::of_all(Some(self.failed), "spool_failed"), None);
        }
        self.begun = None;
        if self.batch.len() == 0 {
            return;
        }
        self.batch.observed(unix_ns(SystemTime::now()));
        self.content.positions = self.positions.reached();
        self.content.ahead = self.positions.ahead();
        let batch =
            spool::Batch { body: self.batch.take(completed), content: self.content.clone() };
        self.failed = if self.store.append(&batch, discarded) {
            0
        } else {
            // The losses include those of earlier batches that could not be appended. The discarded
            // records remain in the store.
            batch.content.events + batch.content.lost - discarded.records
        };
        (self.content.events, self.content.lost) = (0, 0);
    }

    /// Passes the rest on.
    pub(crate) fn finish(&mut self) {
        self.complete(Completed::ByAge);
    }
}

impl<S: Store> Sink for Otlp<S> {
    fn shows_users(&self) -> bool {
        true
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        match item.received {
            Received::Event(event) => {
                let record = self.records.event(event, item);
                self.batch.push(record);
                self.positions.written(event.cpu(), event.seq());
                self.content.events += 1;
                if self.begun.is_none() {
                    self.begun = Some(Instant::now());
                }
            }
            Received::Lost(lost) => {
                let record = Loss::from(lost);
                self.positions.lost(record.count.unwrap_or(0));
                self.write_loss(&record, item.time);
            }
        }
        self.complete_if_full();
        Ok(())
    }

    fn due_in(&self) -> Option<Duration> {
        Some(self.limits.age.saturating_sub(self.begun?.elapsed()))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.batch.observed(unix_ns(SystemTime::now()));
        self.records.compare_clocks();
        if self.begun.is_some_and(|begun| begun.elapsed() >= self.limits.age) {
            self.complete(Completed::ByAge);
        }
        Ok(())
    }
}

impl Loss {
    /// A loss of events of all CPUs.
    pub(super) fn of_all(count: Option<u64>, reason: &'static str) -> Self {
        Self { count, is_upper_limit: false, reason, cpu: None, since: None }
    }
}

impl From<&Lost> for Loss {
    fn from(lost: &Lost) -> Self {
        let reason = match lost.cause {
            LossCause::Overrun => "overrun",
            LossCause::Oversized => "oversized",
            LossCause::Malformed(_) => "malformed",
            LossCause::ShareExceeded => "share_exceeded",
            // The count is that of processes.
            LossCause::Unfollowed => return Self::of_all(None, "unfollowed"),
            _ => "unknown",
        };
        Self::of_all(lost.count, reason)
    }
}

#[cfg(test)]
mod tests;
