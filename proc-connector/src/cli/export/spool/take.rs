//! Taking batches, and counting what damage has removed.

use std::io;

use nix::errno::Errno;

use super::batch::Handed;
use super::error::Error;
use super::format::BatchHeader;
use super::segment::{Segment, body, find_header, header_at};
use super::store::Spool;

impl Spool {
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

    pub(super) fn count_damaged(&mut self, records: u64) {
        self.discards.damaged = self.discards.damaged.saturating_add(records);
        self.state.discarded = self.state.discarded.saturating_add(records);
    }

    fn move_past(&mut self, header: &BatchHeader) {
        self.state.offset = header.offset.saturating_add(header.len());
        self.state.total = self.state.total.max(header.total.saturating_add(header.records()));
    }
}

/// Whether reading would fail again: the file is missing, or the disk cannot read it.
fn is_lasting(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::EIO as i32)
}
