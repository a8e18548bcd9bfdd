//! A block: the fields common to all kinds, and streaming of blocks of any length.

use std::io::Read;

use super::interface::Interface;
use super::options::{self, Header};
use crate::capture::byte_order::Order;
use crate::capture::error::{Damage, Error, Part, Reason};
use crate::capture::input::{Input, MAX_LEN};
use crate::capture::loss::{self, CommentedLoss};
use crate::capture::origin;

/// The length of the type, of the block length, and of the magic number in a section header.
pub(super) const START_LEN: usize = 12;
/// The length of the block length that is repeated at the end.
pub(super) const TRAILER_LEN: usize = 4;

pub(super) const SECTION: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE: u32 = 1;
pub(super) const OBSOLETE_PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;

const MAGIC: u32 = 0x1a2b_3c4d;

/// The first fields of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) kind: u32,
    /// The byte order of the section.
    pub(super) order: Order,
    /// The position of the block in the input.
    pub(super) offset: u64,
    /// The declared length.
    claimed: u32,
}

impl Block {
    /// Reads the start of the next block, in the byte order of the current section; `None` at the
    /// end of the input. Nothing is consumed.
    #[inline]
    pub(super) fn read<R: Read>(
        input: &mut Input<R>,
        section: Order,
    ) -> Result<Option<Self>, Error> {
        if input.fill(START_LEN)? == 0 {
            return Ok(None);
        }
        let (part, offset) = (Part::Block, input.offset());
        input.require(part, START_LEN)?;
        let start = input.bytes();
        let mut order = section;
        // The number of a section header is the same in both byte orders.
        if order.u32_at(start, 0) == SECTION {
            let orders = [Order::Native, Order::Foreign];
            let found = orders.into_iter().find(|order| order.u32_at(start, 8) == MAGIC);
            let reason = Reason(Damage::UnknownMagic);
            order = found.ok_or(Error::Damaged { part, offset, reason })?;
        }
        let block =
            Self { kind: order.u32_at(start, 0), order, offset, claimed: order.u32_at(start, 4) };
        if block.claimed < 12 {
            return Err(block.wrong_length(match (block.kind, block.claimed) {
                (0, 0) => "zeros where a block should start: the file was not written to its end",
                _ => "a block is 12 bytes or longer",
            }));
        }
        if block.is_packet() && block.len() > MAX_LEN as u64 {
            return Err(block.wrong_length("the block of a packet is 16 MiB at most"));
        }
        Ok(Some(block))
    }

    fn is_packet(&self) -> bool {
        matches!(self.kind, OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET)
    }

    /// The number of bytes to the next block. Some programs do not count the padding.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        u64::from(self.claimed).next_multiple_of(4)
    }

    /// The same for a packet, whose block has at most `MAX_LEN` bytes.
    #[inline]
    pub(super) fn len_in_memory(&self) -> usize {
        usize::try_from(self.len()).unwrap_or(usize::MAX)
    }

    pub(super) fn damaged(&self, damage: Damage) -> Error {
        Error::Damaged { part: Part::Block, offset: self.offset, reason: Reason(damage) }
    }

    fn wrong_length(&self, expected: &'static str) -> Error {
        Error::Length { part: Part::Block, offset: self.offset, length: self.claimed, expected }
    }

    /// Compares the length at the end of the block with the one at its start.
    #[inline]
    pub(super) fn check_trailer(&self, trailer: &[u8]) -> Result<(), Error> {
        let length = self.order.u32_at(trailer, 0);
        // This length may lack the padding too.
        if u64::from(length).next_multiple_of(4) == self.len() {
            Ok(())
        } else if self.claimed % 4 == 0 {
            Err(self.damaged(Damage::LengthsDiffer { start: self.claimed, end: length }))
        } else {
            Err(self.wrong_length("it must be a multiple of 4"))
        }
    }
}

/// A block that is read in pieces, so that a long block needs no more memory than a short one.
/// After a failed read, reading continues at the next piece.
#[derive(Debug)]
pub(super) struct StreamedBlock {
    block: Block,
    /// The number of consumed bytes.
    consumed: u64,
    contents: Contents,
    /// Whether more options may follow.
    has_options: bool,
}

/// The values collected from a block.
#[derive(Debug)]
pub(super) enum Contents {
    Nothing,
    /// The name of the recording machine, if a comment has it.
    Section(Option<Vec<u8>>),
    Interface(Interface),
    Statistics(Statistics),
}

/// The totals of an interface.
#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) interface: u32,
    pub(super) timestamp: u64,
    pub(super) dropped: u64,
    pub(super) comment: Option<CommentedLoss>,
}

impl Statistics {
    /// The length of the fields before the options, in bytes.
    pub(super) const FIXED_LEN: usize = 20;

    pub(super) fn new(order: Order, block: &[u8]) -> Self {
        let [high, low] = [12, 16].map(|at| u64::from(order.u32_at(block, at)));
        let interface = order.u32_at(block, 8);
        Self { interface, timestamp: high << 32 | low, dropped: 0, comment: None }
    }

    fn apply_option(&mut self, order: Order, code: u16, value: &[u8]) {
        /// `isb_ifdrop`: packets dropped by the interface since the start of the capture.
        const IF_DROP: u16 = 5;
        /// `isb_osdrop`: packets dropped by the operating system, not included in `isb_ifdrop`.
        const OS_DROP: u16 = 7;
        match code {
            IF_DROP | OS_DROP => {
                let dropped = order.u64_from(value).unwrap_or_default();
                self.dropped = self.dropped.saturating_add(dropped);
            }
            options::COMMENT => self.comment = self.comment.or_else(|| loss::parse_comment(value)),
            _ => {}
        }
    }
}

impl StreamedBlock {
    /// Starts a block whose options begin after `fixed` bytes, which are in the window.
    pub(super) fn with_options<R: Read>(
        block: Block,
        fixed: usize,
        contents: Contents,
        input: &mut Input<R>,
    ) -> Self {
        input.consume(fixed);
        Self { block, consumed: fixed as u64, contents, has_options: true }
    }

    /// Starts a block whose contents are ignored.
    pub(super) fn skipped(block: Block) -> Self {
        Self { block, consumed: 0, contents: Contents::Nothing, has_options: false }
    }

    /// Reads to the end of the block.
    pub(super) fn read_to_end<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), Error> {
        while self.has_options {
            self.has_options = self.read_option(input)?;
        }
        let before_trailer = self.block.len() - TRAILER_LEN as u64;
        while self.consumed < before_trailer {
            let left = before_trailer - self.consumed;
            let available = input.fill(1)?;
            if available == 0 {
                return Err(self.cut_short(0));
            }
            self.consume(input, usize::try_from(left).map_or(available, |it| it.min(available)));
        }
        self.require(input, TRAILER_LEN)?;
        self.block.check_trailer(input.bytes())?;
        self.consume(input, TRAILER_LEN);
        Ok(())
    }

    /// Reads one option; returns false at the end of the list.
    fn read_option<R: Read>(&mut self, input: &mut Input<R>) -> Result<bool, Error> {
        let left = self.block.len() - TRAILER_LEN as u64 - self.consumed;
        if left < options::HEADER_LEN as u64 {
            return Ok(false);
        }
        self.require(input, options::HEADER_LEN)?;
        let order = self.block.order;
        let Some(header) = Header::read(order, input.bytes(), left) else { return Ok(false) };
        let end = options::HEADER_LEN + header.len;
        self.require(input, end)?;
        let value = input.bytes().get(options::HEADER_LEN..end).unwrap_or_default();
        match &mut self.contents {
            Contents::Nothing => {}
            Contents::Section(host) => {
                if header.code == options::COMMENT && host.is_none() {
                    *host = origin::host(value).map(<[u8]>::to_vec);
                }
            }
            Contents::Interface(interface) => interface.apply_option(order, header.code, value),
            Contents::Statistics(statistics) => statistics.apply_option(order, header.code, value),
        }
        // The padding may be missing at the end of the block.
        let total = header.total().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.require(input, total)?;
        self.consume(input, total);
        Ok(true)
    }

    fn require<R: Read>(&self, input: &mut Input<R>, needed: usize) -> Result<(), Error> {
        let available = input.fill(needed)?;
        if available < needed { Err(self.cut_short(available)) } else { Ok(()) }
    }

    fn consume<R: Read>(&mut self, input: &mut Input<R>, count: usize) {
        input.consume(count);
        self.consumed += count as u64;
    }

    fn cut_short(&self, available: usize) -> Error {
        let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Error::Truncated {
            part: Part::Block,
            offset: self.block.offset,
            needed: count(self.block.len()),
            actual: count(self.consumed).saturating_add(available),
        }
    }

    pub(super) fn into_contents(self) -> Contents {
        self.contents
    }
}
