//! Events as JSON: one object per line.

mod end;
mod process;
mod program;
mod task;
mod text;

use std::io::{self, Write};

use jiff::Timestamp;
use proc_connector::Received;
use serde::Serialize;

pub(super) use self::end::EndKeys;
pub(super) use self::process::ProcessKeys;
use self::task::TaskKeys;
use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::shown::json::line;

/// Writes events as JSON lines.
#[derive(Debug)]
pub(crate) struct Json<W> {
    output: W,
    with_task: bool,
    with_process: bool,
}

impl<W: Write> Json<W> {
    /// Writes each event with its `task`, if the kernel has recorded it.
    pub(crate) fn new(output: W) -> Self {
        Self { output, with_task: true, with_process: false }
    }

    /// Writes each event with the requested parts: `task` and `process`.
    pub(crate) fn with_parts(output: W, with_task: bool, with_process: bool) -> Self {
        Self { output, with_task, with_process }
    }

    /// Writes out the lines.
    pub(super) fn flush_lines(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Writes the line of an item.
    pub(super) fn line(&mut self, item: &Item<'_>) -> io::Result<()> {
        let time = item.time.and_then(|time| Timestamp::try_from(time).ok());
        match item.received {
            Received::Event(event) => {
                let context = event.context().filter(|_| self.with_task);
                let task = context.as_ref().map(TaskKeys::new);
                let process = item.process.filter(|_| self.with_process);
                let process =
                    process.map(|process| ProcessKeys::new(process, item.user.as_deref()));
                let (over, process_end) = (item.is_over, item.end.as_ref().map(EndKeys::new));
                let object = Line { received: event, time, over, process_end, task, process };
                line(&mut self.output, &object)
            }
            Received::Lost(lost) => line(&mut self.output, &Line::new(lost, time)),
        }
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
    time: Option<Timestamp>,
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

impl<T> Line<'_, T> {
    fn new(received: T, time: Option<Timestamp>) -> Self {
        Self { received, time, over: None, process_end: None, task: None, process: None }
    }
}

#[cfg(test)]
mod tests;
