//! The inputs of recordings: files are read ahead, and everything else by this thread.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use indicatif::ProgressBarIter;
use proc_connector::capture::{Error, Reader};

use super::read_ahead::ReadAhead;
use super::records::{Counts, Record, Records};
use super::waiting_input::WaitingInput;
use crate::cli::standard;

/// An input of recordings.
pub(crate) trait Input: Read + Sized {
    /// Whether reading never waits for a writer. A request to end then ends the replay at the next event.
    const IS_FILE: bool;

    /// The records in the input.
    fn records(reader: Reader<Self>) -> impl Records;
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
    Direct(Box<Reader<R>>),
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
            Self::Direct(reader) => Records::next(&mut **reader),
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
