//! The pcap format: a file header, and records of one link type.

use std::io::Read;
use std::time::{Duration, SystemTime};

use super::byte_order::Order;
use super::cooked::Link;
use super::error::{Error, Part};
use super::input::{Input, MAX_LEN};
use super::packet::Packet;

const HEADER_LEN: usize = 24;

/// The magic numbers of the format's variants.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// The variant of a patched `tcpdump`, whose records also contain the interface.
const MODIFIED: u32 = 0xa1b2_cd34;

/// The byte order and the variant of a file that begins with `start`.
fn variant(start: &[u8]) -> Option<(Order, u32)> {
    let orders = [Order::Native, Order::Foreign].map(|order| (order, order.u32_at(start, 0)));
    let known = [MICROSECONDS, NANOSECONDS, MODIFIED];
    orders.into_iter().find(|(_, magic)| known.contains(magic))
}

/// Whether a file that begins with `start` is pcap, in any byte order and variant.
pub(super) fn starts_pcap(start: &[u8]) -> bool {
    variant(start).is_some()
}

/// The records of a pcap file.
#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    /// The unit of time stamps, in nanoseconds.
    unit_ns: u32,
    record_header_len: usize,
    lengths: Lengths,
    /// `None` if the link type never carries netlink datagrams.
    link: Option<Link>,
}

/// Which of a record's two lengths is the captured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    /// The smaller one: version 2.3 used both orders.
    Either,
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, Error> {
        input.require(Part::FileHeader, HEADER_LEN)?;
        let start = input.bytes();
        let (order, magic) = variant(start).ok_or(Error::UnknownFormat)?;
        let [major, minor] = [4, 6].map(|at| order.u16_at(start, at));
        // The upper bits describe frame check sequences.
        let link_type = order.u32_at(start, 20) & 0xffff;
        let pcap = Self {
            order,
            unit_ns: if magic == NANOSECONDS { 1 } else { 1_000 },
            record_header_len: if magic == MODIFIED { 24 } else { 16 },
            lengths: match (major, minor) {
                (2, ..=2) | (543, _) => Lengths::OriginalFirst,
                (2, 3) => Lengths::Either,
                _ => Lengths::CapturedFirst,
            },
            link: Link::from_link_type(link_type),
        };
        input.consume(HEADER_LEN);
        Ok(pcap)
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        if input.fill(self.record_header_len)? == 0 {
            return Ok(None);
        }
        let part = Part::Record;
        input.require(part, self.record_header_len)?;
        let (offset, header) = (input.offset(), input.bytes());
        let [first, second] = [8, 12].map(|at| self.order.u32_at(header, at));
        let is_swapped = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::OriginalFirst => true,
            Lengths::Either => first > second,
        };
        let (length, original) = if is_swapped { (second, first) } else { (first, second) };
        let [seconds, units] = [0, 4].map(|at| self.order.u32_at(header, at));
        let captured = usize::try_from(length).unwrap_or(usize::MAX);
        if captured > MAX_LEN {
            let expected = "a packet has at most 16 MiB";
            return Err(Error::Length { part, offset, length, expected });
        }
        let len = self.record_header_len + captured;
        input.require(part, len)?;
        let mut packet = Packet { len, is_unrelated: true, ..Packet::default() };
        if let Some(link) = self.link {
            packet.is_cut = length < original;
            let data = &input.bytes()[self.record_header_len..len];
            packet.find_messages(link, data, self.record_header_len, offset);
        }
        let fraction = Duration::from_nanos(u64::from(units) * u64::from(self.unit_ns));
        let since = Duration::from_secs(seconds.into()) + fraction;
        packet.time = SystemTime::UNIX_EPOCH.checked_add(since);
        Ok(Some(packet))
    }
}
