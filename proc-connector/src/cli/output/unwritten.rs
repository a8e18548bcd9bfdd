//! Counts the events that a recording lacks after a failure to write.

use std::io;
use std::time::Duration;

use proc_connector::Received;

use super::sink::{Item, Sink};
use crate::cli::blocks::Unwritten;
use crate::cli::failure::Failure;

/// A sink that writes to a file. After a failure it counts the events that it receives, and every
/// [`flush`](Sink::flush) fails.
#[derive(Debug)]
pub(crate) struct CountUnwritten<S> {
    sink: S,
    failure: Option<io::Error>,
}

impl<S> CountUnwritten<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self { sink, failure: None }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The sink, or the failure with the number of events that were not written.
    pub(crate) fn finish(self) -> Result<S, Failure> {
        self.failure.map_or(Ok(self.sink), |error| Err(error.into()))
    }
}

impl<S: Sink> Sink for CountUnwritten<S> {
    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        let Some(error) = &mut self.failure else {
            return match self.sink.write(item) {
                Err(Failure::Output(error)) => {
                    self.failure = Some(error);
                    Ok(())
                }
                written => written,
            };
        };
        let inner = error.get_mut();
        if let Some(unwritten) = inner.and_then(|inner| inner.downcast_mut::<Unwritten>()) {
            unwritten.events += u64::from(matches!(item.received, Received::Event(_)));
        }
        Ok(())
    }

    fn due_in(&self) -> Option<Duration> {
        self.sink.due_in()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if let Some(error) = &self.failure {
            return Err(Failure::Output(error.kind().into()));
        }
        match self.sink.flush() {
            Err(Failure::Output(error)) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(Failure::Output(kind.into()))
            }
            flushed => flushed,
        }
    }
}
