//! Opening a spool, in whatever condition an earlier run has left it.

use std::collections::VecDeque;
use std::path::Path;

use super::batch::{Discards, Opened, Unreported};
use super::directory::Directory;
use super::disk;
use super::error::Error;
use super::format::{SegmentHeader, Unreadable};
use super::segment::{Segment, Tail, find_header, read_at_most};
use super::state::{State, StateFile, Stored};
use super::store::{SEGMENTS, Spool};

impl Spool {
    /// Opens the spool in this directory, or creates it. The capacity is in bytes.
    ///
    /// # Errors
    ///
    /// Fails if another exporter uses the directory, a newer version has written a file, or a file
    /// cannot be read or written.
    pub(crate) fn open(directory: &Path, capacity: u64) -> Result<(Self, Opened), Error> {
        let directory = Directory::lock(directory)?;
        let state_file = StateFile::new(directory.open_state()?);
        let stored = match state_file.read() {
            Ok(Ok(stored)) => stored,
            Ok(Err(version)) => {
                return Err(Error::NewerVersion { file: directory.state_path(), version });
            }
            Err(error) => return Err(Error::Read { file: directory.state_path(), error }),
        };
        let numbers = directory.segments()?;
        let found = numbers
            .iter()
            .map(|&number| Found::inspect(&directory, number))
            .collect::<Result<Vec<_>, _>>()?;
        let mut spool = Self {
            directory,
            state_file,
            state: State::default(),
            stored: Unreported::default(),
            segments: VecDeque::new(),
            obsolete: Vec::new(),
            active: None,
            reading: None,
            handed: None,
            next_number: numbers.last().map_or(1, |last| last.saturating_add(1)),
            total: 0,
            reported: Unreported::default(),
            discards: Discards::default(),
            capacity,
            segment_bytes: capacity / SEGMENTS,
            buffer: Vec::new(),
        };
        let opened = spool.recover(stored, found)?;
        Ok((spool, opened))
    }

    /// Restores the counts from the state file and the segments.
    fn recover(&mut self, stored: Stored, found: Vec<Found>) -> Result<Opened, Error> {
        let known = match stored {
            Stored::State(state) | Stored::Damaged(Some(state)) => Some(state),
            Stored::Nothing | Stored::Damaged(None) => None,
        };
        let is_empty = found.is_empty();
        let is_needed =
            |number| known.is_none_or(|state| number == state.segment || number >= state.resume);
        let (needed, obsolete): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| is_needed(found.number));
        self.obsolete = obsolete.iter().map(Found::obsolete).collect();

        let tail = self.find_tail(needed)?;
        let last = tail.last.unwrap_or_default();
        self.reported = Unreported { records: last.reported, damages: last.damages_reported };
        let is_damaged = match (stored, known) {
            (Stored::State(_), Some(state)) => {
                self.state = state;
                // Nothing is left of what the state file describes.
                tail.last.is_none() && state.total > 0
            }
            (Stored::Nothing, _) if is_empty => false,
            (_, older) => {
                self.restart(older)?;
                true
            }
        };
        self.state.discarded = self.state.discarded.max(last.discarded);
        self.state.damages = self.state.damages.max(last.damages_reported);
        self.state.damages += u64::from(is_damaged || tail.is_damaged);
        self.enter_first(&tail);
        self.save_both()?;
        self.open_last(&tail)?;
        Ok(Opened {
            last: tail.content.filter(|_| !tail.is_damaged),
            waiting: self.waiting(),
            damaged: self.discards.damaged,
        })
    }

    /// Collects the segments, and finds the last complete batch. Segments after it are obsolete.
    fn find_tail(&mut self, mut found: Vec<Found>) -> Result<Tail, Error> {
        let mut is_damaged = false;
        let mut total = 0;
        let mut tail = Tail::default();
        while let Some(last) = found.last() {
            tail = last.tail(&self.directory)?;
            is_damaged |= tail.is_damaged;
            let begins = last.segment.map_or(0, |segment| segment.total);
            total = total.max(begins).max(tail.total.unwrap_or(0));
            if tail.last.is_some() {
                break;
            }
            self.obsolete.push(last.obsolete());
            found.pop();
        }
        for found in found {
            match found.segment {
                Some(segment) => self.segments.push_back(segment),
                // The totals of the other segments contain its records.
                None => self.obsolete.push(found.obsolete()),
            }
        }
        if let Some(last) = self.segments.back_mut() {
            last.bytes = tail.end;
        }
        Ok(Tail { is_damaged, total: Some(total), ..tail })
    }

    /// Begins with the first segment, because the state file is damaged: its batches are sent again.
    fn restart(&mut self, older: Option<State>) -> Result<(), Error> {
        let Some(&first) = self.segments.front() else {
            self.state = older.unwrap_or_default();
            return Ok(());
        };
        self.state = State::at(first.number, first.total);
        if let Some(older) = older {
            self.state.discarded = older.discarded;
            self.state.damages = older.damages;
        }
        if let Some(second) = self.segments.get(1).filter(|next| next.number - first.number > 1) {
            // The discarded segments in between are part of the discards that the last batch contains.
            let tail = Tail::read(&self.directory, first)?;
            let end = tail.total.unwrap_or(first.total);
            self.state.resume = second.number;
            self.state.skipped = second.total.saturating_sub(end);
        }
        Ok(())
    }

    /// Makes the state refer to the first segment that exists.
    fn enter_first(&mut self, tail: &Tail) {
        let known = self.state.total.saturating_add(self.state.skipped);
        self.total = known.max(tail.total.unwrap_or(0));
        match self.segments.front() {
            Some(first) if first.number == self.state.segment => {
                self.state.offset = self.state.offset.min(first.bytes);
            }
            Some(&first) => {
                self.count_damaged(first.total.saturating_sub(known));
                self.state.enter(first.number, first.total.max(known));
            }
            None => {
                self.next_number = self.next_number.max(self.state.segment);
                self.state.enter(self.next_number, self.total);
            }
        }
    }

    fn open_last(&mut self, tail: &Tail) -> Result<(), Error> {
        let Some(last) = self.segments.back() else { return Ok(()) };
        let file = self.directory.segment_path(last.number);
        let opened = self.directory.open_segment(last.number).and_then(|file| {
            if file.metadata()?.len() > tail.end {
                disk::truncate(&file, tail.end)?;
            }
            Ok(file)
        });
        self.active = Some(opened.map_err(|error| Error::Write { file, error })?);
        Ok(())
    }
}

/// A file with the name of a segment.
#[derive(Debug, Clone, Copy)]
struct Found {
    number: u64,
    bytes: u64,
    /// Nothing if neither the header nor a batch is readable.
    segment: Option<Segment>,
}

impl Found {
    fn inspect(directory: &Directory, number: u64) -> Result<Self, Error> {
        let path = directory.segment_path(number);
        let read = || {
            let file = directory.open_segment(number)?;
            let bytes = file.metadata()?.len();
            let mut header = [0; SegmentHeader::LEN];
            let len = read_at_most(&file, &mut header, 0)?;
            let total = match SegmentHeader::read(&header[..len]) {
                Ok(header) if header.number == number => Some(header.total),
                Err(Unreadable::Newer(version)) => return Ok(Err(version)),
                Ok(_) | Err(Unreadable::Damaged) => {
                    find_header(&file, number, 0)?.map(|(_, header)| header.total)
                }
            };
            let segment = total.map(|total| Segment { number, bytes, total });
            Ok(Ok(Self { number, bytes, segment }))
        };
        match read() {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(version)) => Err(Error::NewerVersion { file: path, version }),
            Err(error) => Err(Error::Read { file: path, error }),
        }
    }

    fn obsolete(&self) -> Segment {
        Segment { number: self.number, bytes: self.bytes, total: 0 }
    }

    fn tail(&self, directory: &Directory) -> Result<Tail, Error> {
        match self.segment {
            Some(segment) => Tail::read(directory, segment),
            // The program may have ended while it wrote the header.
            None => {
                Ok(Tail { is_damaged: self.bytes >= SegmentHeader::LEN as u64, ..Tail::default() })
            }
        }
    }
}

impl Tail {
    fn read(directory: &Directory, segment: Segment) -> Result<Self, Error> {
        let Segment { number, bytes, .. } = segment;
        directory
            .open_segment(number)
            .and_then(|file| Self::find(&file, number, SegmentHeader::LEN as u64, bytes))
            .map_err(|error| Error::Read { file: directory.segment_path(number), error })
    }
}
