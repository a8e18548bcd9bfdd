//! The bytes of a segment: its header, and the header of each batch.

use super::batch::Content;

/// The version of the format that this program reads and writes.
pub(super) const VERSION: u32 = 1;

/// The largest body of a batch.
pub(super) const MAX_BODY: u32 = 64 << 20;

/// Why a header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged,
    /// A newer program has written it, with this version of the format.
    Newer(u32),
}

/// The bytes that all versions have in common: the magic number, the version, and their CRC.
pub(super) const PREAMBLE: usize = 16;

pub(super) fn put_preamble(bytes: &mut Vec<u8>, magic: [u8; 8]) {
    let start = bytes.len();
    bytes.extend(magic);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes[start..]).to_le_bytes());
}

pub(super) fn check_preamble(bytes: &mut Fields<'_>, magic: [u8; 8]) -> Result<(), Unreadable> {
    let start = bytes.0;
    let damaged = Unreadable::Damaged;
    if bytes.array() != Some(magic) {
        return Err(damaged);
    }
    let version = bytes.u32().ok_or(damaged)?;
    if bytes.u32().ok_or(damaged)? != crc32fast::hash(&start[..PREAMBLE - 4]) {
        return Err(damaged);
    }
    if version > VERSION { Err(Unreadable::Newer(version)) } else { Ok(()) }
}

/// The fields of a header, in order. All numbers are little-endian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    /// The records that were appended to the spool before this segment.
    pub(super) total: u64,
}

impl SegmentHeader {
    pub(super) const LEN: usize = PREAMBLE + 20;
    const MAGIC: [u8; 8] = *b"pc-spool";

    pub(super) fn put(self, bytes: &mut Vec<u8>) {
        put_preamble(bytes, Self::MAGIC);
        let start = bytes.len();
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.total.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes[start..]).to_le_bytes());
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut fields = Fields(bytes);
        check_preamble(&mut fields, Self::MAGIC)?;
        let start = fields.0;
        let mut read = || {
            let header = Self { number: fields.u64()?, total: fields.u64()? };
            (fields.u32()? == crc32fast::hash(&start[..16])).then_some(header)
        };
        read().ok_or(Unreadable::Damaged)
    }
}

/// What precedes the body of each batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BatchHeader {
    /// Where the batch is. Data that looks like a header is at another place.
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The records that were appended to the spool before this batch.
    pub(super) total: u64,
    pub(super) events: u64,
    pub(super) lost: u64,
    /// The discarded records that this batch and all before it report.
    pub(super) reported: u64,
    /// The same for damage of which the size is unknown.
    pub(super) damages_reported: u64,
    /// The records that were discarded before this batch was appended.
    pub(super) discarded: u64,
    /// The events after the positions that are part of losses that were reported already.
    pub(super) ahead: u64,
    pub(super) boot_id: [u8; 16],
    pub(super) positions: u32,
    pub(super) positions_crc: u32,
    pub(super) body: u32,
    pub(super) body_crc: u32,
}

impl BatchHeader {
    pub(super) const LEN: usize = 8 + 9 * 8 + 16 + 4 * 4;
    pub(super) const MAGIC: [u8; 4] = *b"\xd1Bt\xe7";

    /// The records of the batch.
    pub(super) fn records(&self) -> u64 {
        self.events.saturating_add(self.lost)
    }

    /// The offset of the body from the start of the header.
    pub(super) fn body_start(&self) -> u64 {
        Self::LEN as u64 + u64::from(self.positions) * 8
    }

    /// The length of the batch with its header.
    pub(super) fn len(&self) -> u64 {
        self.body_start() + u64::from(self.body)
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend(Self::MAGIC);
        bytes.extend([0; 4]);
        for number in [
            self.segment,
            self.offset,
            self.total,
            self.events,
            self.lost,
            self.reported,
            self.damages_reported,
            self.discarded,
            self.ahead,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.boot_id);
        for number in [self.positions, self.positions_crc, self.body, self.body_crc] {
            bytes.extend(number.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[start + 8..]);
        bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the header of the batch at this place. Returns nothing if it is damaged or incomplete.
    pub(super) fn read(bytes: &[u8], segment: u64, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..Self::LEN)?;
        let mut fields = Fields(bytes);
        if fields.array()? != Self::MAGIC || fields.u32()? != crc32fast::hash(&bytes[8..]) {
            return None;
        }
        let header = Self {
            segment: fields.u64()?,
            offset: fields.u64()?,
            total: fields.u64()?,
            events: fields.u64()?,
            lost: fields.u64()?,
            reported: fields.u64()?,
            damages_reported: fields.u64()?,
            discarded: fields.u64()?,
            ahead: fields.u64()?,
            boot_id: fields.array()?,
            positions: fields.u32()?,
            positions_crc: fields.u32()?,
            body: fields.u32()?,
            body_crc: fields.u32()?,
        };
        (header.segment == segment && header.offset == offset).then_some(header)
    }
}

pub(super) fn put_positions(bytes: &mut Vec<u8>, positions: &[(u32, u32)]) {
    for (cpu, sequence) in positions {
        bytes.extend(cpu.to_le_bytes());
        bytes.extend(sequence.to_le_bytes());
    }
}

/// The content of a batch, unless its positions are damaged.
pub(super) fn content(header: &BatchHeader, positions: &[u8]) -> Option<Content> {
    if crc32fast::hash(positions) != header.positions_crc {
        return None;
    }
    let mut fields = Fields(positions);
    let positions = std::iter::from_fn(|| Some((fields.u32()?, fields.u32()?))).collect();
    let BatchHeader { events, lost, boot_id, ahead, .. } = *header;
    Some(Content { events, lost, boot_id, positions, ahead })
}
