//! Batches on disk, until a receiver has accepted them.

mod directory;
mod error;
mod format;
mod queue;
mod recovery;
mod segment;
mod state;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use self::directory::Directory;
pub(crate) use self::error::Error;
use self::format::{BatchHeader, MAX_BODY, SegmentHeader, put_positions};
pub(crate) use self::queue::{Next, Queue};
use self::segment::{Segment, body, find_header, header_at};
use self::state::{State, StateFile};

/// An encoded and compressed request, and what it contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) body: Vec<u8>,
    pub(crate) content: Content,
}

/// What a batch contains. It is stored beside the batch, so that a discarded batch can be counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The records of events.
    pub(crate) events: u64,
    /// The sum of the losses that the batch reports.
    pub(crate) lost: u64,
    /// The boot of the machine that the events are from.
    pub(crate) boot_id: [u8; 16],
    /// The last sequence number of each CPU, of this batch and all before it.
    pub(crate) positions: Vec<(u32, u32)>,
}

/// Discarded records that no batch has reported yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unreported {
    /// The number of records: events, and losses that a discarded batch has reported.
    pub(crate) records: u64,
    /// The damaged places of the spool that contained an unknown number of records in addition.
    pub(crate) damages: u64,
}

impl Unreported {
    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The records that were discarded since the spool was opened, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Discards {
    /// The oldest records, for lack of space.
    pub(crate) full: u64,
    /// The receiver refused them.
    pub(crate) refused: u64,
    /// Files were damaged or missing.
    pub(crate) damaged: u64,
}

/// What an opened spool contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The content of the last batch, with the positions after which events are missing.
    pub(crate) last: Option<Content>,
    /// The records that wait for a receiver.
    pub(crate) waiting: u64,
    /// The records that were lost by damage, where the number is known. They are part of
    /// [`Spool::unreported`].
    pub(crate) damaged: u64,
}

/// A batch for the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) body: Vec<u8>,
    pub(crate) events: u64,
    pub(crate) lost: u64,
}

/// A queue of batches in the files of a directory. One process uses it at a time.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: Directory,
    state_file: StateFile,
    state: State,
    /// The discards that the state file contains.
    stored: Unreported,
    /// The segments with batches, the oldest first. The state's segment is the first.
    segments: VecDeque<Segment>,
    /// Segments to remove as soon as the state file contains that they are not needed.
    obsolete: Vec<Segment>,
    /// The last segment. Nothing if the next batch begins another.
    active: Option<File>,
    /// The segment that was read last, by its number.
    reading: Option<(u64, File)>,
    /// The batch that was handed out last, unless it has been accepted.
    handed: Option<BatchHeader>,
    /// The number of the next segment.
    next_number: u64,
    /// The records that were ever appended.
    total: u64,
    /// What the batches report, up to the last.
    reported: Unreported,
    discards: Discards,
    capacity: u64,
    /// The length at which another segment begins.
    segment_bytes: u64,
    buffer: Vec<u8>,
}

/// The number of segments of a full spool, and therefore the part of it that is discarded at once.
const SEGMENTS: u64 = 16;

/// The part of the capacity that one batch may have.
const LARGEST: u64 = 4;

impl Spool {
    /// Appends a batch.
    ///
    /// # Errors
    ///
    /// Fails if the disk is full, or the batch is too large. The spool then remains as it was, except
    /// that older batches may have been discarded.
    pub(crate) fn append(&mut self, batch: &Batch) -> Result<(), Error> {
        self.append_reporting(batch, Unreported::default())
    }

    /// Appends a batch that reports these discards. They are part of `batch.content.lost`.
    ///
    /// # Errors
    ///
    /// As [`Spool::append`].
    pub(crate) fn append_reporting(
        &mut self,
        batch: &Batch,
        report: Unreported,
    ) -> Result<(), Error> {
        let header = self.header(batch, report)?;
        let begins = self.begins_segment(header.len());
        let needed = header.len() + if begins { SegmentHeader::LEN as u64 } else { 0 };
        while self.used().saturating_add(needed) > self.capacity {
            self.discard_oldest()?;
        }
        if begins {
            self.append_to_new(batch, header)?
        } else {
            self.append_to_last(batch, header)?
        }
        self.total = self.total.saturating_add(header.records());
        self.reported.records = header.reported;
        self.reported.damages = header.damages_reported;
        Ok(())
    }

    /// What the next batch has to report.
    pub(crate) fn unreported(&self) -> Unreported {
        Unreported {
            records: self.stored.records.saturating_sub(self.reported.records),
            damages: self.stored.damages.saturating_sub(self.reported.damages),
        }
    }

    pub(crate) fn discards(&self) -> Discards {
        self.discards
    }

    /// The number of records that wait for a receiver.
    pub(crate) fn waiting(&self) -> u64 {
        self.total.saturating_sub(self.state.total).saturating_sub(self.state.skipped)
    }

    /// Returns the oldest batch. The batch remains the oldest until [`Spool::accepted`] is called.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or the loss of damaged batches cannot be stored. The next call
    /// tries it again.
    pub(crate) fn next(&mut self) -> Result<Option<Handed>, Error> {
        while let Some(segment) = self.segments.front().copied() {
            if self.state.offset >= segment.bytes {
                if !self.leave_segment()? {
                    return Ok(None);
                }
                continue;
            }
            match self.read(segment) {
                Ok(Some((header, Some(body)))) => {
                    self.handed = Some(header);
                    let BatchHeader { events, lost, .. } = header;
                    return Ok(Some(Handed { body, events, lost }));
                }
                Ok(Some((header, None))) => {
                    self.count_damaged(header.records());
                    self.move_past(&header);
                    self.save()?;
                }
                Ok(None) => {}
                Err(error) if is_lasting(&error) => {
                    self.reading = None;
                    self.state.offset = segment.bytes;
                }
                Err(error) => {
                    let file = self.directory.segment_path(segment.number);
                    return Err(Error::Read { file, error });
                }
            }
        }
        Ok(None)
    }

    /// Removes the batch that [`Spool::next`] has returned. Counts the records that the receiver
    /// refused, or the whole batch, as discarded.
    ///
    /// # Errors
    ///
    /// Fails if the state file cannot be written. The batch is removed nevertheless, but after a restart
    /// it is sent again.
    pub(crate) fn accepted(&mut self, refused: u64) -> Result<(), Error> {
        let Some(header) = self.handed.take() else { return Ok(()) };
        self.move_past(&header);
        let refused = refused.min(header.records());
        self.discards.refused = self.discards.refused.saturating_add(refused);
        self.state.discarded = self.state.discarded.saturating_add(refused);
        let is_at_end =
            self.segments.front().is_some_and(|segment| self.state.offset >= segment.bytes);
        if is_at_end && self.segments.len() > 1 {
            self.leave_segment().map(drop)
        } else {
            self.save()
        }
    }

    fn used(&self) -> u64 {
        self.segments.iter().chain(&self.obsolete).map(|segment| segment.bytes).sum()
    }

    fn header(&self, batch: &Batch, report: Unreported) -> Result<BatchHeader, Error> {
        let Content { events, lost, boot_id, ref positions } = batch.content;
        let limit = (self.capacity / LARGEST).min(u64::from(MAX_BODY));
        let bytes = batch.body.len() as u64 + positions.len() as u64 * 8;
        let too_large = Error::TooLarge { bytes, limit };
        let (Ok(body), Ok(count)) =
            (u32::try_from(batch.body.len()), u32::try_from(positions.len()))
        else {
            return Err(too_large);
        };
        let mut positions_bytes = Vec::with_capacity(positions.len() * 8);
        put_positions(&mut positions_bytes, positions);
        let header = BatchHeader {
            segment: 0,
            offset: 0,
            total: self.total,
            events,
            lost,
            reported: self.reported.records.saturating_add(report.records),
            damages_reported: self.reported.damages.saturating_add(report.damages),
            discarded: self.stored.records,
            boot_id,
            positions: count,
            positions_crc: crc32fast::hash(&positions_bytes),
            body,
            body_crc: crc32fast::hash(&batch.body),
        };
        if header.len() > limit { Err(too_large) } else { Ok(header) }
    }

    fn begins_segment(&self, len: u64) -> bool {
        match (self.segments.back(), &self.active) {
            (Some(last), Some(_)) => last.bytes.saturating_add(len) > self.segment_bytes,
            _ => true,
        }
    }

    /// Writes a batch to the last segment.
    fn append_to_last(&mut self, batch: &Batch, header: BatchHeader) -> Result<(), Error> {
        let (Some(last), Some(file)) = (self.segments.back_mut(), &self.active) else {
            return Ok(());
        };
        let header = BatchHeader { segment: last.number, offset: last.bytes, ..header };
        self.buffer.clear();
        put_batch(&mut self.buffer, &header, batch);
        if let Err(error) = file.write_all_at(&self.buffer, last.bytes) {
            // A part of a batch must not precede the next.
            if file.set_len(last.bytes).is_err() {
                self.active = None;
            }
            let file = self.directory.segment_path(last.number);
            return Err(Error::Write { file, error });
        }
        last.bytes += header.len();
        Ok(())
    }

    /// Begins a segment with a batch.
    fn append_to_new(&mut self, batch: &Batch, header: BatchHeader) -> Result<(), Error> {
        let number = self.next_number;
        let offset = SegmentHeader::LEN as u64;
        self.buffer.clear();
        SegmentHeader { number, total: self.total }.put(&mut self.buffer);
        put_batch(&mut self.buffer, &BatchHeader { segment: number, offset, ..header }, batch);
        let created = self.directory.create_segment(number).and_then(|file| {
            let written = file.write_all_at(&self.buffer, 0);
            if written.is_err() {
                let _ = self.directory.remove_segment(number);
            }
            written.map(|()| file)
        });
        let file = created.map_err(|error| {
            let file = self.directory.segment_path(number);
            Error::Write { file, error }
        })?;
        self.active = Some(file);
        self.next_number = number.saturating_add(1);
        let bytes = self.buffer.len() as u64;
        self.segments.push_back(Segment { number, bytes, total: self.total });
        if self.segments.len() == 1 {
            self.state.enter(number, self.total);
        }
        Ok(())
    }

    /// Discards the oldest segment. The first remains, since the outcome of the batch that was handed
    /// out last is unknown, and so does the last, which has the positions.
    fn discard_oldest(&mut self) -> Result<(), Error> {
        let (3.., Some(&oldest), Some(&following)) =
            (self.segments.len(), self.segments.get(1), self.segments.get(2))
        else {
            return Err(Error::Full { capacity: self.capacity });
        };
        let before = self.state;
        let records = following.total.saturating_sub(oldest.total);
        self.state.resume = following.number;
        self.state.skipped = before.skipped.saturating_add(records);
        self.state.discarded = before.discarded.saturating_add(records);
        self.obsolete.push(oldest);
        if let Err(error) = self.save() {
            self.obsolete.pop();
            self.state = before;
            return Err(error);
        }
        self.segments.remove(1);
        self.discards.full = self.discards.full.saturating_add(records);
        Ok(())
    }

    /// Goes to the next segment, if there is another. Counts the records that are missing in between.
    fn leave_segment(&mut self) -> Result<bool, Error> {
        let Some(&next) = self.segments.get(1) else {
            let missing = self.waiting();
            if missing > 0 {
                self.count_damaged(missing);
                self.state.total = self.total;
                self.save()?;
            }
            return Ok(false);
        };
        let known = self.state.total.saturating_add(self.state.skipped);
        self.count_damaged(next.total.saturating_sub(known));
        self.state.enter(next.number, next.total.max(known));
        self.obsolete.extend(self.segments.pop_front());
        self.save()?;
        Ok(true)
    }

    /// Reads the next batch of a segment, without the body if that is damaged. Returns nothing if the
    /// header is damaged, and goes to the next valid one.
    fn read(&mut self, segment: Segment) -> io::Result<Option<(BatchHeader, Option<Vec<u8>>)>> {
        if self.reading.as_ref().is_none_or(|(number, _)| *number != segment.number) {
            self.reading = None;
            let file = self.directory.open_segment(segment.number)?;
            self.reading = Some((segment.number, file));
        }
        let Some((number, file)) = &self.reading else { return Ok(None) };
        let offset = self.state.offset;
        let Some(header) = header_at(file, *number, offset)? else {
            let found = find_header(file, *number, offset.saturating_add(1))?;
            self.state.offset = found.map_or(segment.bytes, |(offset, _)| offset);
            return Ok(None);
        };
        let body = body(file, &header, segment.bytes)?;
        let missing = header.total.saturating_sub(self.state.total);
        if missing > 0 {
            self.count_damaged(missing);
            self.state.total = header.total;
        }
        Ok(Some((header, body)))
    }

    fn count_damaged(&mut self, records: u64) {
        self.discards.damaged = self.discards.damaged.saturating_add(records);
        self.state.discarded = self.state.discarded.saturating_add(records);
    }

    fn move_past(&mut self, header: &BatchHeader) {
        self.state.offset = header.offset.saturating_add(header.len());
        self.state.total = self.state.total.max(header.total.saturating_add(header.records()));
    }

    /// Writes the state file, and removes the segments that are no longer needed.
    fn save(&mut self) -> Result<(), Error> {
        let written = self.state_file.write(&mut self.state);
        self.saved(written)
    }

    /// As `save`. Afterwards, the state can be written to a full disk.
    fn save_both(&mut self) -> Result<(), Error> {
        let written = self.state_file.write_both(&mut self.state);
        self.saved(written)
    }

    fn saved(&mut self, written: io::Result<()>) -> Result<(), Error> {
        written.map_err(|error| Error::Write { file: self.directory.state_path(), error })?;
        self.stored = Unreported { records: self.state.discarded, damages: self.state.damages };
        for segment in self.obsolete.drain(..) {
            // A segment that cannot be removed is removed when the spool is opened again.
            let _ = self.directory.remove_segment(segment.number);
        }
        Ok(())
    }
}

fn put_batch(bytes: &mut Vec<u8>, header: &BatchHeader, batch: &Batch) {
    header.put(bytes);
    put_positions(bytes, &batch.content.positions);
    bytes.extend(&batch.body);
}

/// Whether reading would fail again: the file is missing, or the disk cannot read it.
fn is_lasting(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::EIO as i32)
}

#[cfg(test)]
mod tests;
