//! The pcapng format: sections of blocks, each section in its own byte order.
//!
//! Blocks are read by the rules of the format's draft. The parser of `pcap_file`, whose writer is
//! in use, rejects a file because of an invalid option that is not needed, and stores all options
//! in memory.

use std::io::Read;

use self::block::{Block, Contents, Statistics, StreamedBlock};
use self::interface::Interface;
use super::byte_order::Order;
use super::cooked::Link;
use super::error::{Error, Part, Reason};
use super::input::Input;
use super::loss;
use super::packet::Packet;

mod block;
mod interface;
mod options;

/// The offset of the packet data in a block.
const ENHANCED_DATA: usize = 28;
const SIMPLE_DATA: usize = 12;
/// The number that the obsolete packet block can address. Each interface occupies memory.
const MAX_INTERFACES: usize = 1 << 16;

/// `epb_dropcount`: the number of packets lost since the previous packet.
const DROP_COUNT: u16 = 4;

const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Whether a file that begins with `start` is pcapng.
pub(super) fn starts_pcapng(start: &[u8]) -> bool {
    start.starts_with(&SECTION_HEADER)
}

/// The packets of a pcapng file.
#[derive(Debug)]
pub(super) struct PcapNg {
    /// The byte order of the section.
    order: Order,
    /// The interfaces of the section, by number.
    interfaces: Vec<Interface>,
    /// The block that is being streamed, if any.
    streamed: Option<StreamedBlock>,
}

impl PcapNg {
    pub(super) fn new() -> Self {
        Self { order: Order::Native, interfaces: Vec::new(), streamed: None }
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        loop {
            if let Some(streamed) = &mut self.streamed {
                streamed.read_to_end(input)?;
                if let Some(packet) = self.finish_streamed() {
                    return Ok(Some(packet));
                }
            }
            let Some(block) = Block::read(input, self.order)? else { return Ok(None) };
            match block.kind {
                block::ENHANCED_PACKET | block::OBSOLETE_PACKET | block::SIMPLE_PACKET => {
                    return self.packet(block, input).map(Some);
                }
                block::SECTION => self.section(block, input)?,
                block::INTERFACE => {
                    require_fixed(block, Interface::FIXED_LEN, input)?;
                    if self.interfaces.len() == MAX_INTERFACES {
                        return Err(block.damaged(Reason::too_many_interfaces()));
                    }
                    let interface = Interface::new(block.order, input.bytes());
                    let contents = Contents::Interface(interface);
                    let streamed =
                        StreamedBlock::with_options(block, Interface::FIXED_LEN, contents, input);
                    self.streamed = Some(streamed);
                }
                block::STATISTICS if block.len() > Statistics::FIXED_LEN as u64 => {
                    input.require(Part::Block, Statistics::FIXED_LEN)?;
                    let statistics = Statistics::new(block.order, input.bytes());
                    let contents = Contents::Statistics(statistics);
                    let streamed =
                        StreamedBlock::with_options(block, Statistics::FIXED_LEN, contents, input);
                    self.streamed = Some(streamed);
                }
                _ => self.streamed = Some(StreamedBlock::skipped(block)),
            }
        }
    }

    /// Starts a section, which ends the scope of the previous interfaces. The section length is not
    /// needed: the next section starts with its own block.
    fn section<R: Read>(&mut self, block: Block, input: &mut Input<R>) -> Result<(), Error> {
        /// The length of the fields before the options, in bytes.
        const FIXED_LEN: usize = 24;
        require_fixed(block, FIXED_LEN, input)?;
        let [major, minor] = [12, 14].map(|at| block.order.u16_at(input.bytes(), at));
        // Other minor versions have the same blocks.
        if major != 1 {
            return Err(block.damaged(Reason::version(major, minor)));
        }
        self.order = block.order;
        self.interfaces.clear();
        self.streamed = Some(StreamedBlock::skipped(block));
        Ok(())
    }

    /// Completes a streamed block; returns a packet if the block reported a loss.
    fn finish_streamed(&mut self) -> Option<Packet> {
        match self.streamed.take()?.into_contents() {
            Contents::Nothing => None,
            Contents::Interface(interface) => {
                self.interfaces.push(interface);
                None
            }
            Contents::Statistics(statistics) => {
                self.interface(statistics.interface)?.statistics(&statistics)
            }
        }
    }

    fn interface(&mut self, id: u32) -> Option<&mut Interface> {
        self.interfaces.get_mut(usize::try_from(id).ok()?)
    }

    /// Reads the block of a packet, into the window if it can be a netlink packet.
    #[inline]
    fn packet<R: Read>(&mut self, block: Block, input: &mut Input<R>) -> Result<Packet, Error> {
        let is_simple = block.kind == block::SIMPLE_PACKET;
        let (len, data) =
            (block.len_in_memory(), if is_simple { SIMPLE_DATA } else { ENHANCED_DATA });
        if len < data + block::TRAILER_LEN {
            return Ok(self.skip_packet(block, Some(Reason::no_packet())));
        }
        if input.fill(data)? < data {
            input.require(Part::Block, len)?;
        }
        let id = match block.kind {
            block::ENHANCED_PACKET => block.order.u32_at(input.bytes(), 8),
            block::OBSOLETE_PACKET => block.order.u16_at(input.bytes(), 8).into(),
            _ => 0,
        };
        let Some(interface) = self.interface(id) else {
            return Ok(self.skip_packet(block, Some(Reason::unknown_interface(id))));
        };
        let Some(link) = interface.link else { return Ok(self.skip_packet(block, None)) };
        input.require(Part::Block, len)?;
        let (bytes, trailer) = input.bytes()[..len].split_at(len - block::TRAILER_LEN);
        block.check_trailer(trailer)?;
        Ok(if is_simple {
            interface.simple(link, block, bytes)
        } else {
            interface.enhanced(link, block, bytes)
        })
    }

    /// Skips a packet that is not a netlink packet, or that cannot be read for a reason.
    fn skip_packet(&mut self, block: Block, reason: Option<Reason>) -> Packet {
        self.streamed = Some(StreamedBlock::skipped(block));
        let fault = reason.map(|reason| Box::new(damaged_packet(block, reason)));
        Packet { is_unrelated: fault.is_none(), fault, ..Packet::default() }
    }
}

impl Interface {
    /// Reads an enhanced packet, or an obsolete one, which differs only in its first field.
    #[inline]
    fn enhanced(&mut self, link: Link, block: Block, bytes: &[u8]) -> Packet {
        let order = block.order;
        let [high, low] = [12, 16].map(|at| u64::from(order.u32_at(bytes, at)));
        let [captured, original] = [20, 24].map(|at| order.u32_at(bytes, at));
        let mut packet = Packet { len: block.len_in_memory(), ..Packet::default() };
        packet.time = self.time(high << 32 | low);
        let (_, rest) = bytes.split_at(ENHANCED_DATA.min(bytes.len()));
        let len = usize::try_from(captured).unwrap_or(usize::MAX);
        let Some(data) = rest.get(..len) else {
            let reason = Reason::too_much_captured(captured);
            packet.fault = Some(Box::new(damaged_packet(block, reason)));
            return packet;
        };
        packet.is_cut = captured < original;
        packet.take_netlink(link, data, ENHANCED_DATA, block.offset);
        let options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        let mut dropped = match block.kind {
            block::OBSOLETE_PACKET => known_drop_count(order.u16_at(bytes, 10)),
            _ => None,
        };
        if dropped.is_some() || !options.is_empty() {
            let mut comment = None;
            for (code, value) in options::iter(order, options) {
                match (block.kind, code) {
                    (block::ENHANCED_PACKET, DROP_COUNT) => {
                        dropped = order.u64_from(value).or(dropped);
                    }
                    (_, options::COMMENT) => {
                        comment = comment.or_else(|| loss::parse_comment(value));
                    }
                    _ => {}
                }
            }
            packet.lost = loss::from_count(dropped, comment);
            self.reported = self.reported.saturating_add(dropped.unwrap_or_default());
        }
        packet
    }

    /// Reads a simple packet, which has no time and belongs to the first interface.
    fn simple(&self, link: Link, block: Block, bytes: &[u8]) -> Packet {
        let original = block.order.u32_at(bytes, 8);
        let data = bytes.get(SIMPLE_DATA..).unwrap_or_default();
        let data = &data[..self.captured(original).min(data.len())];
        let mut packet = Packet { len: block.len_in_memory(), ..Packet::default() };
        packet.is_cut = usize::try_from(original).is_ok_and(|original| data.len() < original);
        packet.take_netlink(link, data, SIMPLE_DATA, block.offset);
        packet
    }

    /// Returns the loss in the totals that no packet reported before.
    fn statistics(&mut self, statistics: &Statistics) -> Option<Packet> {
        self.link?;
        let unreported = statistics.dropped.saturating_sub(self.reported);
        self.reported = self.reported.max(statistics.dropped);
        let lost = loss::from_count(Some(unreported), statistics.comment)?;
        let time = self.time(statistics.timestamp);
        Some(Packet { lost: Some(lost), time, ..Packet::default() })
    }
}

/// The drop count of an obsolete packet block; all ones if unknown.
fn known_drop_count(count: u16) -> Option<u64> {
    Some(count).filter(|&count| count != u16::MAX).map(u64::from)
}

fn damaged_packet(block: Block, reason: Reason) -> Error {
    Error::Damaged { part: Part::Packet, offset: block.offset, reason }
}

/// Ensures that the fields before the options are available.
fn require_fixed<R: Read>(block: Block, len: usize, input: &mut Input<R>) -> Result<(), Error> {
    if block.len() < (len + block::TRAILER_LEN) as u64 {
        return Err(block.damaged(Reason::too_short()));
    }
    input.require(Part::Block, len)
}
