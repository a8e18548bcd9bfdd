//! pcapng: sections of blocks, in the byte order of each section.
//!
//! The blocks are read with `pcap_file`'s parser over slices, for this and the writer: it knows both
//! byte orders in both directions, says what is wrong with a block, and copies no packet. What it
//! does not know is handled here: time stamps of other units than nanoseconds, the order of a
//! statistics block's time stamp, and how many bytes a block needs.

use std::fmt;
use std::io::Read;

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::{Block, PcapNgParser};

use self::interface::Interface;
use super::error::{Error, Part, Reason};
use super::input::{Input, MAX_LEN};
use super::loss;
use super::packet::Packet;

mod interface;

/// Bytes of any block's type and length, and of the magic number that a section header has next.
const BLOCK_START: usize = 12;
/// Where the data of a packet is in its block.
const ENHANCED_DATA: usize = 28;
const SIMPLE_DATA: usize = 12;
/// More interfaces than any capture has.
const MAX_INTERFACES: usize = 4096;

const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Whether a file that starts so is pcapng.
pub(super) fn is(start: &[u8]) -> bool {
    start.starts_with(&SECTION_HEADER)
}

/// The packets of a pcapng file.
#[derive(Default)]
pub(super) struct PcapNg {
    /// `None` before the first section.
    parser: Option<PcapNgParser>,
    /// Those of the section, by their number.
    interfaces: Vec<Interface>,
}

impl PcapNg {
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        loop {
            let Some(len) = self.block(input)? else { return Ok(None) };
            let offset = input.offset();
            match self.read(&input.bytes()[..len], offset)? {
                Some(packet) => return Ok(Some(packet)),
                None => input.consume(len),
            }
        }
    }

    /// Reads a whole block into the window and says how long it is.
    #[inline]
    fn block<R: Read>(&self, input: &mut Input<R>) -> Result<Option<usize>, Error> {
        if input.fill(BLOCK_START)? == 0 {
            return Ok(None);
        }
        let (part, offset) = (Part::Block, input.offset());
        input.require(part, BLOCK_START)?;
        let start = input.bytes();
        let endianness = if is(start) {
            match start[8..BLOCK_START] {
                [0x1a, 0x2b, 0x3c, 0x4d] => Endianness::Big,
                [0x4d, 0x3c, 0x2b, 0x1a] => Endianness::Little,
                _ => return Err(Error::Damaged { part, offset, reason: Reason::no_section() }),
            }
        } else {
            self.endianness()
        };
        let length = [start[4], start[5], start[6], start[7]];
        let length = match endianness {
            Endianness::Big => u32::from_be_bytes(length),
            Endianness::Little => u32::from_le_bytes(length),
        };
        let len = usize::try_from(length).unwrap_or(usize::MAX);
        if !(BLOCK_START..=MAX_LEN).contains(&len) || len % 4 != 0 {
            let expected = "it has to be a multiple of 4, from 12 bytes to 16 MiB";
            return Err(Error::Length { part, offset, length, expected });
        }
        input.require(part, len)?;
        Ok(Some(len))
    }

    fn endianness(&self) -> Endianness {
        self.parser.as_ref().map_or(Endianness::native(), |parser| parser.section().endianness)
    }

    /// Reads a block; `None` for one that only describes.
    fn read(&mut self, bytes: &[u8], offset: u64) -> Result<Option<Packet>, Error> {
        let damaged = |reason| Error::Damaged { part: Part::Block, offset, reason };
        let Some(parser) = &mut self.parser else {
            let (_, parser) = PcapNgParser::new(bytes).map_err(|error| damaged(error.into()))?;
            self.parser = Some(parser);
            return Ok(None);
        };
        let (_, block) = parser.next_block(bytes).map_err(|error| damaged(error.into()))?;
        let whole = Packet { len: bytes.len(), ..Packet::default() };
        match block {
            Block::SectionHeader(_) => {
                self.interfaces.clear();
                Ok(None)
            }
            Block::InterfaceDescription(block) => {
                if self.interfaces.len() == MAX_INTERFACES {
                    return Err(damaged(Reason::too_many_interfaces()));
                }
                self.interfaces.push(Interface::new(&block));
                Ok(None)
            }
            Block::EnhancedPacket(block) => self
                .interface(block.interface_id, offset)?
                .enhanced(&block, offset, whole)
                .map(Some),
            Block::SimplePacket(block) => {
                let interface = self.interface(0, offset)?;
                let captured = interface.captured(block.original_len).min(block.data.len());
                let data = &block.data[..captured];
                interface.data(data, SIMPLE_DATA, offset, whole).map(Some)
            }
            Block::Packet(block) => {
                let timestamp = self.timestamp(block.timestamp);
                let interface = self.interface(block.interface_id.into(), offset)?;
                let time = interface.time(timestamp);
                let packet = interface.data(&block.data, ENHANCED_DATA, offset, whole)?;
                Ok(Some(Packet { time, ..packet }))
            }
            Block::InterfaceStatistics(block) => {
                let timestamp = self.timestamp(block.timestamp);
                let interface = self.interface(block.interface_id, offset)?;
                Ok(interface.statistics(&block, timestamp, whole))
            }
            _ => Ok(None),
        }
    }

    /// Puts the halves of a time stamp in their order: the format has the upper one first in either
    /// byte order, where the parser reads one number.
    fn timestamp(&self, read: u64) -> u64 {
        match self.endianness() {
            Endianness::Big => read,
            Endianness::Little => read.rotate_left(32),
        }
    }

    #[inline]
    fn interface(&mut self, id: u32, offset: u64) -> Result<&mut Interface, Error> {
        let index = usize::try_from(id).unwrap_or(usize::MAX);
        self.interfaces.get_mut(index).ok_or(Error::Damaged {
            part: Part::Block,
            offset,
            reason: Reason::unknown_interface(id),
        })
    }
}

impl Interface {
    #[inline]
    fn enhanced(
        &mut self,
        block: &EnhancedPacketBlock<'_>,
        offset: u64,
        whole: Packet,
    ) -> Result<Packet, Error> {
        let mut packet = self.data(&block.data, ENHANCED_DATA, offset, whole)?;
        // What the parser takes for nanoseconds is the number in the file.
        let timestamp = u64::try_from(block.timestamp.as_nanos()).unwrap_or(u64::MAX);
        packet.time = self.time(timestamp);
        if self.is_netlink && !block.options.is_empty() {
            let (mut count, mut comment) = (None, None);
            for option in &block.options {
                match option {
                    EnhancedPacketOption::DropCount(number) => count = Some(*number),
                    EnhancedPacketOption::Comment(text) => comment = Some(text.as_ref()),
                    _ => {}
                }
            }
            packet.lost = loss::read(count, comment);
            self.told = self.told.saturating_add(count.unwrap_or_default());
        }
        Ok(packet)
    }

    /// A loss that the statistics know of and no packet before told.
    fn statistics(
        &mut self,
        block: &InterfaceStatisticsBlock<'_>,
        timestamp: u64,
        whole: Packet,
    ) -> Option<Packet> {
        if !self.is_netlink {
            return None;
        }
        let (mut dropped, mut comment) = (0_u64, None);
        for option in &block.options {
            match option {
                InterfaceStatisticsOption::IsbIfDrop(number)
                | InterfaceStatisticsOption::IsbOsDrop(number) => {
                    dropped = dropped.saturating_add(*number);
                }
                InterfaceStatisticsOption::Comment(text) => comment = Some(text.as_ref()),
                _ => {}
            }
        }
        let untold = dropped.saturating_sub(self.told);
        self.told = self.told.max(dropped);
        let lost = loss::read(Some(untold), comment)?;
        Some(Packet { lost: Some(lost), time: self.time(timestamp), ..whole })
    }

    fn data(&self, data: &[u8], start: usize, offset: u64, whole: Packet) -> Result<Packet, Error> {
        let mut packet = Packet { is_other: true, ..whole };
        if self.is_netlink {
            packet.take_netlink(data, start, offset)?;
        }
        Ok(packet)
    }
}

/// The parser has no form for this.
impl fmt::Debug for PcapNg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapNg").field("interfaces", &self.interfaces).finish_non_exhaustive()
    }
}
