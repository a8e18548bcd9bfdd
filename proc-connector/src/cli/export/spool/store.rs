//! The spool, and what its state file contains.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use super::batch::{Discards, Unreported};
use super::directory::Directory;
use super::error::Error;
use super::format::BatchHeader;
use super::segment::Segment;
use super::state::{State, StateFile};

/// A queue of batches in the files of a directory. One process uses it at a time.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(super) directory: Directory,
    pub(super) state_file: StateFile,
    pub(super) state: State,
    /// The discards that the state file contains.
    pub(super) stored: Unreported,
    /// The segments with batches, the oldest first. The state's segment is the first.
    pub(super) segments: VecDeque<Segment>,
    /// Segments to remove as soon as the state file contains that they are not needed.
    pub(super) obsolete: Vec<Segment>,
    /// The last segment. Nothing if the next batch begins another.
    pub(super) active: Option<File>,
    /// The segment that was read last, by its number.
    pub(super) reading: Option<(u64, File)>,
    /// The batch that was handed out last, unless it has been accepted.
    pub(super) handed: Option<BatchHeader>,
    /// The number of the next segment.
    pub(super) next_number: u64,
    /// The records that were ever appended.
    pub(super) total: u64,
    /// What the batches report, up to the last.
    pub(super) reported: Unreported,
    pub(super) discards: Discards,
    pub(super) capacity: u64,
    /// The length at which another segment begins.
    pub(super) segment_bytes: u64,
    pub(super) buffer: Vec<u8>,
}

/// The number of segments of a full spool, and therefore the part of it that is discarded at once.
pub(super) const SEGMENTS: u64 = 16;

/// The part of the capacity that one batch may have.
pub(super) const LARGEST: u64 = 4;

/// The least capacity, in bytes. A smaller spool cannot contain every batch.
pub(crate) const LEAST_CAPACITY: u64 = 32 << 20;

impl Spool {
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

    pub(super) fn used(&self) -> u64 {
        self.segments.iter().chain(&self.obsolete).map(|segment| segment.bytes).sum()
    }

    /// Writes the state file, and removes the segments that are no longer needed.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        let written = self.state_file.write(&mut self.state);
        self.saved(written)
    }

    /// As `save`. Afterwards, the state can be written to a full disk.
    pub(super) fn save_both(&mut self) -> Result<(), Error> {
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
