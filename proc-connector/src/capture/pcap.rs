//! pcap: a header, and records of one link type.

use std::io::Read;
use std::time::{Duration, SystemTime};

use pcap_file::pcap::PcapParser;
use pcap_file::{Endianness, TsResolution};

use super::cooked;
use super::error::{Error, Part};
use super::input::{Input, MAX_LEN};
use super::packet::Packet;

const HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;

/// Whether a file that starts so is pcap, of either byte order and either unit of time.
pub(super) fn is(start: &[u8]) -> bool {
    matches!(
        start,
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
    )
}

/// The records of a pcap file.
#[derive(Debug)]
pub(super) struct Pcap {
    parser: PcapParser,
    is_netlink: bool,
}

impl Pcap {
    /// Reads the file's header.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, Error> {
        let part = Part::FileHeader;
        input.require(part, HEADER_LEN)?;
        let (_, parser) = PcapParser::new(input.bytes()).map_err(|error| Error::Damaged {
            part,
            offset: 0,
            reason: error.into(),
        })?;
        input.consume(HEADER_LEN);
        // The upper bits speak of frame check sequences.
        let link_type = u32::from(parser.header().datalink) & 0xffff;
        Ok(Self { parser, is_netlink: link_type == cooked::LINK_TYPE })
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        if input.fill(RECORD_HEADER_LEN)? == 0 {
            return Ok(None);
        }
        let part = Part::Record;
        input.require(part, RECORD_HEADER_LEN)?;
        let offset = input.offset();
        let header = self.parser.header();
        let length = match (header.endianness, input.bytes().get(8..12)) {
            (Endianness::Big, Some(&[a, b, c, d])) => u32::from_be_bytes([a, b, c, d]),
            (Endianness::Little, Some(&[a, b, c, d])) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        };
        let captured = usize::try_from(length).unwrap_or(usize::MAX);
        if captured > MAX_LEN {
            let expected = "there are no packets of more than 16 MiB";
            return Err(Error::Length { part, offset, length, expected });
        }
        let len = RECORD_HEADER_LEN + captured;
        input.require(part, len)?;
        // Not the checked form of the parser: it refuses packets that were captured in part.
        let (_, record) = self
            .parser
            .next_raw_packet(input.bytes())
            .map_err(|error| Error::Damaged { part, offset, reason: error.into() })?;
        let mut packet = Packet { len, is_other: true, ..Packet::default() };
        if self.is_netlink {
            packet.take_netlink(&record.data, RECORD_HEADER_LEN, offset)?;
        }
        let fraction = u64::from(record.ts_frac);
        let fraction = match header.ts_resolution {
            TsResolution::MicroSecond => Duration::from_micros(fraction),
            TsResolution::NanoSecond => Duration::from_nanos(fraction),
        };
        let since = Duration::from_secs(record.ts_sec.into()) + fraction;
        packet.time = SystemTime::UNIX_EPOCH.checked_add(since);
        Ok(Some(packet))
    }
}
