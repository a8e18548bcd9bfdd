//! The supported formats, and reading packets from each.

use std::io::Read;

use super::bare::Bare;
use super::error::Error;
use super::input::Input;
use super::packet::Packet;
use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::{byte_order, other_file, pcap, pcapng};

/// A format that [`Reader`](crate::capture::Reader) supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// pcapng, as written by [`Writer`](crate::capture::Writer) and `dumpcap`.
    PcapNg,
    /// pcap, as written by `tcpdump`.
    Pcap,
    /// Consecutive netlink messages, without a file header.
    Messages,
}

/// The packets of a capture.
#[derive(Debug)]
pub(super) enum Packets {
    PcapNg(PcapNg),
    Pcap(Pcap),
    Bare(Bare),
    /// After an error that hides the start of the next packet.
    End(Format),
}

/// The number of bytes that identify a format.
const START_LEN: usize = 24;

impl Packets {
    /// Detects the format.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, Error> {
        let available = input.fill(START_LEN)?;
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
        // A failed read may succeed later. After any other error, the start of the next packet is
        // unknown.
        if let Err(Error::Truncated { .. } | Error::Length { .. } | Error::Damaged { .. }) = packet
        {
            *self = Self::End(self.format());
        }
        packet
    }
}
