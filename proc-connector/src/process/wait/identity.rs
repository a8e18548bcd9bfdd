//! Which of the processes with an id is waited for.

use super::super::proc_fs;
use super::super::process::Process;
use super::super::time::{Start, TICK_NS};

#[derive(Clone, Copy, Debug)]
pub(super) enum Identity {
    /// The process that `/proc` showed with this start, and that had the id at `opened_ns` of
    /// `CLOCK_MONOTONIC`.
    Start { start: Start, opened_ns: u64 },
    /// The process that had the id at `opened_ns`. It cannot be read in `/proc`.
    Opened {
        opened_ns: u64,
        /// Whether the process was running at that time.
        was_running: bool,
    },
    /// The process that the table has with this serial.
    Record(u64),
}

/// How long before the descriptor becomes readable the kernel can send the event of the last exit, in
/// nanoseconds.
pub(super) const EARLY_EVENT_NS: u64 = 20_000_000;

impl Identity {
    /// Whether another process with the same id is never accepted, except one that was created in the
    /// same tick.
    pub(super) fn is_certain(self) -> bool {
        matches!(self, Self::Start { .. } | Self::Record(_))
    }

    /// Whether a process with the same id can be this one. A process whose start is unknown can be any
    /// process that had the id, and is not accepted.
    pub(super) fn can_be(self, process: &Process) -> bool {
        let is_opened = |opened_ns| process.start_ns().is_some_and(|start| start <= opened_ns);
        match self {
            Self::Record(serial) => process.serial() == serial,
            Self::Start { start, opened_ns } => match process.start_boottime_ns() {
                Some(recorded) => start.ticks() == proc_fs::ticks(recorded),
                None => is_opened(opened_ns) && is_same_start(process.start, start),
            },
            Self::Opened { opened_ns, was_running } => {
                let earliest_end = opened_ns.saturating_sub(EARLY_EVENT_NS);
                let ended_before = process.end_ns().is_some_and(|end| end < earliest_end);
                is_opened(opened_ns) && !(was_running && ended_before)
            }
        }
    }
}

/// Whether a process that had the id at the same time or before can have the start that `/proc` showed.
fn is_same_start(known: Start, in_proc: Start) -> bool {
    // The time in `/proc` is that of the start or up to a tick earlier.
    let earliest = in_proc.monotonic_ns().map_or(0, |start| start.saturating_sub(TICK_NS));
    in_proc.ticks().is_some_and(|ticks| known.can_be(ticks))
        && known.monotonic_ns().is_some_and(|start| start >= earliest)
}
