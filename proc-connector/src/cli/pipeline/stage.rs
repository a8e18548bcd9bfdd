//! The interfaces between the stages.

use std::time::{Duration, Instant, SystemTime};

use proc_connector::Received;
use proc_connector::process::{Changes, Process};

use crate::cli::failure::Failure;

/// Takes events from a source, live or recorded.
pub(crate) trait Stage {
    /// Begins at `now`, before the first event.
    fn start(&mut self, _now: Instant) {}

    /// Takes an event or a loss, with its time of day if that is known. Returns whether it wants more.
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure>;

    /// How long the source may wait for events before it calls
    /// [`after_batch`](Self::after_batch); `None` for any time.
    fn due_in(&self) -> Option<Duration> {
        None
    }

    /// Does the work that is due at `now`, after a batch or a wait. Returns whether it wants more.
    fn after_batch(&mut self, now: Instant) -> Result<bool, Failure>;

    /// Writes out the rest, after the last event.
    fn finish(&mut self) -> Result<(), Failure>;

    /// The number of events that were shown.
    fn shown(&self) -> u64;
}

/// Chooses among events whose process is identified.
pub(crate) trait Choose {
    /// Takes note of changes in the table of processes. `received` has caused them, unless a look at
    /// `/proc` has.
    fn follow(&mut self, changes: Changes<'_>, received: Option<&Received<'_>>);

    /// Whether to show what was received last, which is about this process. Losses are always shown.
    fn chooses(&mut self, received: &Received<'_>, process: Option<&Process>) -> bool;
}
