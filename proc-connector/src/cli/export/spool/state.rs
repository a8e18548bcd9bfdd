//! The file that says which batches are still to be sent.

use std::fs::File;
use std::io;

use super::disk;
use super::format::{Fields, PREAMBLE, SegmentHeader, Unreadable, check_preamble, put_preamble};
use super::segment::read_at_most;

/// What is known about the batches, except what their headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Grows with every write.
    generation: u64,
    /// The first batch that is not yet accepted.
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The records that were appended before that batch.
    pub(super) total: u64,
    /// The segment after `segment`. Those in between are discarded.
    pub(super) resume: u64,
    /// The records of the segments in between.
    pub(super) skipped: u64,
    /// All records that were ever discarded.
    pub(super) discarded: u64,
    /// The damaged places, ever, with an unknown number of records.
    pub(super) damages: u64,
}

impl Default for State {
    fn default() -> Self {
        Self::at(1, 0)
    }
}

impl State {
    const MAGIC: [u8; 8] = *b"pc-state";
    const LEN: usize = PREAMBLE + 8 * 8 + 4;

    /// The state at the start of a segment.
    pub(super) fn at(segment: u64, total: u64) -> Self {
        Self {
            generation: 0,
            segment,
            offset: SegmentHeader::LEN as u64,
            total,
            resume: segment.saturating_add(1),
            skipped: 0,
            discarded: 0,
            damages: 0,
        }
    }

    /// Moves to the start of a segment.
    pub(super) fn enter(&mut self, segment: u64, total: u64) {
        let Self { generation, discarded, damages, .. } = *self;
        *self = Self { generation, discarded, damages, ..Self::at(segment, total) };
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        put_preamble(&mut bytes, Self::MAGIC);
        for number in [
            self.generation,
            self.segment,
            self.offset,
            self.total,
            self.resume,
            self.skipped,
            self.discarded,
            self.damages,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes[PREAMBLE..]).to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut fields = Fields(bytes);
        check_preamble(&mut fields, Self::MAGIC)?;
        let start = fields.0;
        let mut read = || {
            let state = Self {
                generation: fields.u64()?,
                segment: fields.u64()?,
                offset: fields.u64()?,
                total: fields.u64()?,
                resume: fields.u64()?,
                skipped: fields.u64()?,
                discarded: fields.u64()?,
                damages: fields.u64()?,
            };
            (fields.u32()? == crc32fast::hash(&start[..64])).then_some(state)
        };
        read().ok_or(Unreadable::Damaged)
    }
}

/// What the file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// The file is new or empty.
    Nothing,
    State(State),
    /// The newest state is damaged. An older one may remain.
    Damaged(Option<State>),
}

/// The file has two slots, which are written by turns, so that one is valid at any time. Since a state
/// replaces an older one in place, it can be written to a full disk.
#[derive(Debug)]
pub(super) struct StateFile(File);

impl StateFile {
    const SLOTS: [u64; 2] = [0, 512];

    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    /// # Errors
    ///
    /// Fails if the file cannot be read. The version of a newer file is returned.
    pub(super) fn read(&self) -> io::Result<Result<Stored, u32>> {
        let mut newest: Option<State> = None;
        let mut damaged = false;
        let mut missing = 0;
        for slot in Self::SLOTS {
            let mut bytes = [0; State::LEN];
            let len = read_at_most(&self.0, &mut bytes, slot)?;
            if len == 0 {
                missing += 1;
                continue;
            }
            match State::read(&bytes[..len]) {
                Ok(state) if newest.is_some_and(|newest| newest.generation > state.generation) => {}
                Ok(state) => newest = Some(state),
                Err(Unreadable::Newer(version)) => return Ok(Err(version)),
                Err(Unreadable::Damaged) => damaged = true,
            }
        }
        Ok(Ok(match (newest, damaged) {
            (Some(state), false) if missing == 0 || state.generation == 1 => Stored::State(state),
            (None, false) => Stored::Nothing,
            (newest, _) => Stored::Damaged(newest),
        }))
    }

    /// Writes both slots, so that the disk has space for them from then on.
    pub(super) fn write_both(&self, state: &mut State) -> io::Result<()> {
        self.write(state)?;
        self.write(state)
    }

    pub(super) fn write(&self, state: &mut State) -> io::Result<()> {
        let next = State { generation: state.generation.wrapping_add(1), ..*state };
        let slot = Self::SLOTS[usize::from(next.generation % 2 == 0)];
        disk::write_in_page(&self.0, &next.bytes(), slot)?;
        *state = next;
        Ok(())
    }
}
