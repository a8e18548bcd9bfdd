//! Adding batches, and discarding the oldest.

use super::batch::{Batch, Content, Unreported};
use super::directory::is_removed;
use super::disk;
use super::error::Error;
use super::format::{BatchHeader, MAX_BODY, SegmentHeader, put_positions};
use super::segment::Segment;
use super::state::StateFile;
use super::store::{LARGEST, Spool};

impl Spool {
    /// Appends a batch that reports these discards. They are part of `batch.content.lost`.
    ///
    /// # Errors
    ///
    /// Fails if the disk is full, or the batch is too large. The spool then remains as it was, except
    /// that older batches may have been discarded.
    pub(crate) fn append_reporting(
        &mut self,
        batch: &Batch,
        report: Unreported,
    ) -> Result<(), Error> {
        let header = self.header(batch, report)?;
        if self.active.as_ref().map_or_else(|| self.directory.is_removed(), is_removed) {
            self.restore()?;
        }
        let begins = self.begins_segment(header.len());
        let needed = header.len() + if begins { SegmentHeader::LEN as u64 } else { 0 };
        while self.used().saturating_add(needed) > self.capacity {
            self.discard_oldest()?;
        }
        if begins {
            self.append_to_new(batch, header)?;
        } else {
            self.append_to_last(batch, header)?;
        }
        self.total = self.total.saturating_add(header.records());
        self.reported.records = header.reported;
        self.reported.damages = header.damages_reported;
        Ok(())
    }

    fn header(&self, batch: &Batch, report: Unreported) -> Result<BatchHeader, Error> {
        let Content { events, lost, boot_id, ref positions, ahead } = batch.content;
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
            ahead,
            boot_id,
            positions: count,
            positions_crc: crc32fast::hash(&positions_bytes),
            body,
            body_crc: crc32fast::hash(&batch.body),
        };
        if header.len() > limit { Err(too_large) } else { Ok(header) }
    }

    /// Continues in new files after the old ones were removed. The batches in them are lost: their records
    /// are missing in the totals of the others.
    fn restore(&mut self) -> Result<(), Error> {
        self.directory.restore()?;
        self.state_file = StateFile::new(self.directory.open_state()?);
        self.save_both()?;
        self.active = None;
        Ok(())
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
        if let Err(error) = disk::write(file, &self.buffer, last.bytes) {
            // A part of a batch must not precede the next.
            if disk::truncate(file, last.bytes).is_err() {
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
            let written = disk::write(&file, &self.buffer, 0);
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
}

fn put_batch(bytes: &mut Vec<u8>, header: &BatchHeader, batch: &Batch) {
    header.put(bytes);
    put_positions(bytes, &batch.content.positions);
    bytes.extend(&batch.body);
}
