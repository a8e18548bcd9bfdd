//! The pcapng format: sections of blocks, each section in its own byte order.
//!
//! This parser follows the format's draft. The parser of `pcap_file`, the crate that `Writer` uses,
//! rejects files with invalid options that no reader needs, and keeps all options in memory.

mod block;
mod interface;
mod options;

use std::io::Read;

use self::block::{Block, Contents, Statistics, StreamedBlock};
use self::interface::Interface;
use super::byte_order::Order;
use super::cooked::Link;
use super::error::{Damage, Error, Part, Reason};
use super::input::Input;
use super::loss;
use super::note::{Kind, Note};
use super::packet::Packet;

/// The offset of the packet data in an enhanced or obsolete packet block.
const ENHANCED_DATA: usize = 28;
/// The same in a simple packet block.
const SIMPLE_DATA: usize = 12;

/// Bounds the memory that interfaces occupy. The obsolete packet block cannot address more.
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
    /// Whether the section has the name of the recording machine.
    is_named: bool,
    /// The block that is being streamed, if any.
    streamed: Option<StreamedBlock>,
}

impl PcapNg {
    pub(super) fn new() -> Self {
        Self { order: Order::Native, interfaces: Vec::new(), is_named: false, streamed: None }
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        loop {
            if let Some(streamed) = &mut self.streamed {
                streamed.read_to_end(input)?;
                if let Some(packet) = self.finish_block() {
                    return Ok(Some(packet));
                }
            }
            let Some(block) = Block::read(input, self.order)? else { return Ok(None) };
            match block.kind {
                block::ENHANCED_PACKET | block::OBSOLETE_PACKET | block::SIMPLE_PACKET => {
                    return self.read_packet(block, input).map(Some);
                }
                block::SECTION => self.start_section(block, input)?,
                block::INTERFACE => {
                    require_fixed(block, Interface::FIXED_LEN, input)?;
                    if self.interfaces.len() == MAX_INTERFACES {
                        return Err(block.damaged(Damage::TooManyInterfaces));
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
    fn start_section<R: Read>(&mut self, block: Block, input: &mut Input<R>) -> Result<(), Error> {
        /// The length of the fields before the options, in bytes.
        const FIXED_LEN: usize = 24;
        require_fixed(block, FIXED_LEN, input)?;
        let [major, minor] = [12, 14].map(|at| block.order.u16_at(input.bytes(), at));
        // Other minor versions have the same blocks.
        if major != 1 {
            return Err(block.damaged(Damage::Version { major, minor }));
        }
        self.order = block.order;
        self.interfaces.clear();
        let contents = Contents::Section(None);
        self.streamed = Some(StreamedBlock::with_options(block, FIXED_LEN, contents, input));
        Ok(())
    }

    /// Completes the streamed block. Returns a packet without messages if the block reported a
    /// loss or has a note.
    fn finish_block(&mut self) -> Option<Packet> {
        match self.streamed.take()?.into_contents() {
            Contents::Nothing => None,
            Contents::Section(host) => {
                // A section without a name ends the scope of the name before it.
                let was_named = std::mem::replace(&mut self.is_named, host.is_some());
                let host = host.or_else(|| was_named.then(Vec::new))?;
                Some(Packet { notes: vec![Note(Kind::Host(host))], ..Packet::default() })
            }
            Contents::Interface(interface) => {
                self.interfaces.push(interface);
                None
            }
            Contents::Statistics(statistics) => {
                self.interface(statistics.interface)?.unreported_loss(&statistics)
            }
        }
    }

    fn interface(&mut self, id: u32) -> Option<&mut Interface> {
        self.interfaces.get_mut(usize::try_from(id).ok()?)
    }

    /// Reads the block of a packet. Only a packet that can belong to netlink is read into the
    /// window.
    #[inline]
    fn read_packet<R: Read>(
        &mut self,
        block: Block,
        input: &mut Input<R>,
    ) -> Result<Packet, Error> {
        let is_simple = block.kind == block::SIMPLE_PACKET;
        let (len, data) =
            (block.len_in_memory(), if is_simple { SIMPLE_DATA } else { ENHANCED_DATA });
        if len < data + block::TRAILER_LEN {
            return Ok(self.skip_packet(block, Some(Damage::NoPacket)));
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
            return Ok(self.skip_packet(block, Some(Damage::UnknownInterface { id })));
        };
        let Some(link) = interface.link else { return Ok(self.skip_packet(block, None)) };
        input.require(Part::Block, len)?;
        let (bytes, trailer) = input.bytes()[..len].split_at(len - block::TRAILER_LEN);
        block.check_trailer(trailer)?;
        Ok(if is_simple {
            interface.simple_packet(link, block, bytes)
        } else {
            interface.enhanced_packet(link, block, bytes)
        })
    }

    /// Skips a packet: it is damaged, or does not belong to netlink.
    fn skip_packet(&mut self, block: Block, damage: Option<Damage>) -> Packet {
        self.streamed = Some(StreamedBlock::skipped(block));
        let fault = damage.map(|damage| Box::new(damaged_packet(block, damage)));
        Packet { is_unrelated: fault.is_none(), fault, ..Packet::default() }
    }
}

impl Interface {
    /// Reads an enhanced packet, or an obsolete one, which differs only in its first field.
    #[inline]
    fn enhanced_packet(&mut self, link: Link, block: Block, bytes: &[u8]) -> Packet {
        let order = block.order;
        let [high, low] = [12, 16].map(|at| u64::from(order.u32_at(bytes, at)));
        let [captured, original] = [20, 24].map(|at| order.u32_at(bytes, at));
        let mut packet = Packet { len: block.len_in_memory(), ..Packet::default() };
        packet.time = self.time(high << 32 | low);
        let (_, rest) = bytes.split_at(ENHANCED_DATA.min(bytes.len()));
        let len = usize::try_from(captured).unwrap_or(usize::MAX);
        let Some(data) = rest.get(..len) else {
            let damage = Damage::CapturedLength(captured);
            packet.fault = Some(Box::new(damaged_packet(block, damage)));
            return packet;
        };
        packet.is_cut = captured < original;
        packet.find_messages(link, data, ENHANCED_DATA, block.offset);
        let options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        let mut dropped = match block.kind {
            block::OBSOLETE_PACKET => known_drop_count(order.u16_at(bytes, 10)),
            _ => None,
        };
        if dropped.is_some() || !options.is_empty() {
            let mut comment = None;
            let start = bytes.len() - options.len();
            for (code, at, value) in options::iter(order, options) {
                match (block.kind, code) {
                    (block::ENHANCED_PACKET, DROP_COUNT) => {
                        dropped = order.u64_from(value).or(dropped);
                    }
                    (_, options::COMMENT) if packet.read_comment(value, start + at) => {}
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
    fn simple_packet(&self, link: Link, block: Block, bytes: &[u8]) -> Packet {
        let original = block.order.u32_at(bytes, 8);
        let data = bytes.get(SIMPLE_DATA..).unwrap_or_default();
        let data = &data[..self.captured(original).min(data.len())];
        let mut packet = Packet { len: block.len_in_memory(), ..Packet::default() };
        packet.is_cut = usize::try_from(original).is_ok_and(|original| data.len() < original);
        packet.find_messages(link, data, SIMPLE_DATA, block.offset);
        packet
    }

    /// The part of the total loss that no packet has reported yet.
    fn unreported_loss(&mut self, statistics: &Statistics) -> Option<Packet> {
        self.link?;
        let unreported = statistics.dropped.saturating_sub(self.reported);
        self.reported = self.reported.max(statistics.dropped);
        let lost = loss::from_count(Some(unreported), statistics.comment)?;
        let time = self.time(statistics.timestamp);
        Some(Packet { lost: Some(lost), time, ..Packet::default() })
    }
}

/// The drop count of an obsolete packet block, in which all ones mean that it is unknown.
fn known_drop_count(count: u16) -> Option<u64> {
    Some(count).filter(|&count| count != u16::MAX).map(u64::from)
}

fn damaged_packet(block: Block, damage: Damage) -> Error {
    Error::Damaged { part: Part::Packet, offset: block.offset, reason: Reason(damage) }
}

/// Reads the fields before the options into the window.
fn require_fixed<R: Read>(block: Block, len: usize, input: &mut Input<R>) -> Result<(), Error> {
    if block.len() < (len + block::TRAILER_LEN) as u64 {
        return Err(block.damaged(Damage::TooShort));
    }
    input.require(Part::Block, len)
}
