//! The events of a recording in order, read by this thread or ahead of it.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::SystemTime;

use indicatif::ProgressBarIter;
use proc_connector::Received;
use proc_connector::capture::{Error, Note, Reader};

use super::read_ahead::ReadAhead;
use super::waiting_input::WaitingInput;
use crate::cli::standard;

/// An event or a loss of a recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) received: Received<'a>,
    pub(crate) time: Option<SystemTime>,
    pub(crate) notes: &'a [Note],
}

/// What was read without an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Unreadable packets that the capturing program truncated.
    pub(crate) cut: u64,
    /// Packets of other protocols.
    pub(crate) skipped: u64,
    pub(crate) unread_comments: u64,
}

/// The events and losses of a recording.
pub(crate) trait Records {
    /// The next event or loss; `None` at the end. Continues after an error as a [`Reader`] does.
    fn next(&mut self) -> Result<Option<Record<'_>>, Error>;

    /// The counts up to the last item.
    fn counts(&self) -> Counts;
}

/// An input of recordings.
pub(crate) trait Input: Read + Sized {
    /// Whether reading never waits for a writer. A request to end then ends the replay at the next event.
    const IS_FILE: bool;

    /// The records in the input.
    fn records(reader: Reader<Self>) -> impl Records;
}

impl<R: Read> Records for Reader<R> {
    #[inline]
    fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        let recorded = Self::next(self)?;
        Ok(recorded.map(|it| Record { received: it.received, time: it.time, notes: it.notes }))
    }

    #[inline]
    fn counts(&self) -> Counts {
        Counts { cut: self.cut(), skipped: self.skipped(), unread_comments: self.unread_comments() }
    }
}

impl Input for &[u8] {
    const IS_FILE: bool = false;

    fn records(reader: Reader<Self>) -> impl Records {
        reader
    }
}

/// This thread reads the input: before it waits, it shows all events that were read.
impl<R: Read + AsFd> Input for WaitingInput<'_, R> {
    const IS_FILE: bool = false;

    fn records(reader: Reader<Self>) -> impl Records {
        reader
    }
}

impl Input for File {
    const IS_FILE: bool = true;

    fn records(reader: Reader<Self>) -> impl Records {
        FileRecords::new(reader)
    }
}

impl Input for standard::Input {
    const IS_FILE: bool = true;

    fn records(reader: Reader<Self>) -> impl Records {
        FileRecords::new(reader)
    }
}

impl Input for ProgressBarIter<File> {
    const IS_FILE: bool = true;

    fn records(reader: Reader<Self>) -> impl Records {
        FileRecords::new(reader)
    }
}

/// The records of a file, which another thread reads if the system permits one more.
enum FileRecords<R> {
    Ahead(ReadAhead),
    Direct(Reader<R>),
}

impl<R: Read + Send + 'static> FileRecords<R> {
    fn new(reader: Reader<R>) -> Self {
        ReadAhead::new(reader).map_or_else(Self::Direct, Self::Ahead)
    }
}

impl<R: Read> Records for FileRecords<R> {
    #[inline]
    fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        match self {
            Self::Ahead(records) => records.next(),
            Self::Direct(reader) => Records::next(reader),
        }
    }

    #[inline]
    fn counts(&self) -> Counts {
        match self {
            Self::Ahead(records) => records.counts(),
            Self::Direct(reader) => reader.counts(),
        }
    }
}
