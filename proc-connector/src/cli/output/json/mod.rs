//! Events as JSON: one object per line.

mod end;
mod id;
mod process;
mod program;
mod task;
mod text;
mod time;

use std::io::{self, Write};

use proc_connector::Received;
use serde::Serialize;

pub(super) use self::end::{EndKeys, UsageKeys};
pub(super) use self::id::IdText;
pub(super) use self::process::ProcessKeys;
use self::task::TaskKeys;
use self::time::Clock;
use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::shown::json::append;

/// Writes events as JSON lines.
#[derive(Debug)]
pub(crate) struct Json<W> {
    output: W,
    with_task: bool,
    with_process: bool,
    clock: Clock,
    id: IdText,
    /// The buffer of a line, reused for all lines.
    line: Vec<u8>,
}

impl<W: Write> Json<W> {
    /// Writes each event with its `task`, if the kernel has recorded it.
    pub(crate) fn new(output: W) -> Self {
        Self::with_parts(output, true, false)
    }

    /// Writes each event with the requested parts: `task` and `process`.
    pub(crate) fn with_parts(output: W, with_task: bool, with_process: bool) -> Self {
        let (clock, id) = (Clock::default(), IdText::default());
        Self { output, with_task, with_process, clock, id, line: Vec::new() }
    }

    /// Writes out the lines.
    pub(super) fn flush_lines(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Writes the line of an item.
    pub(super) fn line(&mut self, item: &Item<'_>) -> io::Result<()> {
        let Self { output, with_task, with_process, clock, id, line } = self;
        let time = item.time.and_then(|time| clock.text(time));
        line.clear();
        match item.received {
            Received::Event(event) => {
                let context = event.context().filter(|_| *with_task);
                let task = context.as_ref().map(TaskKeys::new);
                let process = item.process.filter(|_| *with_process);
                let process =
                    process.map(|process| ProcessKeys::new(process, item.user.as_deref(), id));
                let (over, process_end) = (item.is_over, item.end.as_ref().map(EndKeys::new));
                append(line, &Line { received: event, time, over, process_end, task, process })?;
            }
            Received::Lost(lost) => append(line, &Line::new(lost, time))?,
        }
        line.push(b'\n');
        output.write_all(line)
    }
}

impl<W: Write> Sink for Json<W> {
    fn shows_users(&self) -> bool {
        self.with_process
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        Ok(self.line(item)?)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.flush_lines()?)
    }
}

/// A line: the keys of the library for an event or a loss, and the keys that this program adds.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(flatten)]
    received: T,
    time: Option<&'a str>,
    /// Whether the process of an exit is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<bool>,
    /// Present in the first exit with which the process is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    process_end: Option<EndKeys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskKeys<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessKeys<'a>>,
}

impl<'a, T> Line<'a, T> {
    fn new(received: T, time: Option<&'a str>) -> Self {
        Self { received, time, over: None, process_end: None, task: None, process: None }
    }
}

#[cfg(test)]
mod tests;
