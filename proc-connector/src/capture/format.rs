//! The formats of capture files, and the packets of each.

use std::io::Read;

use super::bare::Bare;
use super::error::Error;
use super::input::Input;
use super::packet::Packet;
use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::{byte_order, other_file, pcap, pcapng};

/// A form of capture that [`Reader`](crate::capture::Reader) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// pcapng: what [`Writer`](crate::capture::Writer) and `dumpcap` write.
    PcapNg,
    /// pcap: what `tcpdump` writes.
    Pcap,
    /// Netlink messages one after the other, with nothing between them.
    Messages,
}

/// Where packets come from.
#[derive(Debug)]
pub(super) enum Packets {
    PcapNg(PcapNg),
    Pcap(Pcap),
    Bare(Bare),
    /// It is unknown where the next one would start.
    End(Format),
}

/// What a capture is recognised by.
const START: usize = 24;

impl Packets {
    /// Recognises the format.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, Error> {
        let available = input.fill(START)?;
        if available == 0 {
            return Err(Error::Empty);
        }
        let start = input.bytes();
        if pcapng::starts_pcapng(start) {
            Ok(Self::PcapNg(PcapNg::new()))
        } else if pcap::starts_pcap(start) {
            Ok(Self::Pcap(Pcap::open(input)?))
        } else {
            match byte_order::detect_stream_order(start) {
                Some(order) => Ok(Self::Bare(Bare::new(order))),
                None => Err(other_file::recognize(start)),
            }
        }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Self::PcapNg(_) => Format::PcapNg,
            Self::Pcap(_) => Format::Pcap,
            Self::Bare(_) => Format::Messages,
            Self::End(format) => *format,
        }
    }

    /// Reads the next packet into the window.
    #[inline]
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        let packet = match self {
            Self::PcapNg(pcapng) => pcapng.next(input),
            Self::Pcap(pcap) => pcap.next(input),
            Self::Bare(bare) => bare.next(input),
            Self::End(_) => return Ok(None),
        };
        // Reading may work the next time. Everything else hides where the next packet starts.
        if let Err(
            Error::Empty | Error::Truncated { .. } | Error::Length { .. } | Error::Damaged { .. },
        ) = packet
        {
            *self = Self::End(self.format());
        }
        packet
    }
}
