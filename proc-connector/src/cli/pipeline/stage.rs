//! The interfaces between the stages.

use std::time::{Duration, Instant, SystemTime};

use proc_connector::Received;
use proc_connector::capture::Note;
use proc_connector::process::{Process, ProcessTable};

use crate::cli::failure::Failure;
use crate::cli::output::sink::{End, Item};

/// Handles the events of a source, live or recorded.
pub(crate) trait Stage {
    /// Called at `now`, before the first event.
    fn start(&mut self, _now: Instant) {}

    /// Handles an event or a loss, with its time of day if that is known. Returns whether the stage
    /// wants more.
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure>;

    /// Handles what the recorder noted before the next event or loss of a recording.
    fn note(&mut self, _: &[Note]) -> Result<(), Failure> {
        Ok(())
    }

    /// How long the source may wait for events before it calls
    /// [`after_batch`](Self::after_batch). `None` stands for an unlimited time.
    fn due_in(&self) -> Option<Duration> {
        None
    }

    /// Does the work that is due at `now`, after a batch or a wait. Returns whether the stage wants
    /// more.
    fn after_batch(&mut self, now: Instant) -> Result<bool, Failure>;

    /// Writes out the rest, after the last event.
    fn finish(&mut self) -> Result<(), Failure>;

    /// The number of events that were shown.
    fn shown(&self) -> u64;
}

/// Chooses among events whose process is identified.
pub(crate) trait Choose {
    /// Follows the last changes in the table of processes, caused by `received` or, if that is `None`,
    /// found in `/proc`.
    fn follow(&mut self, table: &ProcessTable, received: Option<&Received<'_>>);

    /// Whether to show an event of a process, or a loss. Losses are always shown.
    fn chooses(&mut self, item: &Item<'_>) -> bool;

    /// Whether to show an event that was held until the program of its process was known.
    fn chooses_held(&mut self, item: &Item<'_>) -> bool {
        self.chooses(item)
    }

    /// Whether to show the end of a process that has no event of its own.
    fn chooses_end(&mut self, _: &Process, _: &End) -> bool {
        false
    }
}
