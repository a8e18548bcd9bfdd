//! Events as a capture file.

use std::io::Write;
use std::time::SystemTime;

use proc_connector::capture::Writer;

use super::sink::{Item, Sink};
use crate::cli::failure::Failure;

/// Writes events to a capture.
#[derive(Debug)]
pub(crate) struct Capture<W: Write>(pub(crate) Writer<W>);

impl<W: Write> Sink for Capture<W> {
    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        let time = item.time.unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(self.0.write(item.received, time)?)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}
