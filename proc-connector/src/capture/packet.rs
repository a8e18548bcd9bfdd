//! What the formats have in common: one packet after the other.

use std::io::Read;
use std::ops::Range;
use std::time::SystemTime;

use super::bare::Bare;
use super::error::{Error, Part};
use super::input::Input;
use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::{byte_order, cooked, pcap, pcapng};
use crate::stream::Lost;

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

/// One packet, at the start of the input's window.
#[derive(Debug, Default)]
pub(super) struct Packet {
    /// Bytes to consume when it is done.
    pub(super) len: usize,
    /// Where in the window its netlink messages are: nowhere, for one of another protocol.
    pub(super) messages: Range<usize>,
    pub(super) time: Option<SystemTime>,
    /// A loss before it.
    pub(super) lost: Option<Lost>,
    /// Not a packet of the connector.
    pub(super) is_other: bool,
}

impl Packet {
    /// Takes the netlink messages out of `data`, a packet of the link type `NETLINK` that is at
    /// `start` in the window, if they are the connector's.
    #[inline]
    pub(super) fn take_netlink(
        &mut self,
        data: &[u8],
        start: usize,
        offset: u64,
    ) -> Result<(), Error> {
        if data.len() < cooked::HEADER_LEN {
            return Err(Error::Truncated {
                part: Part::LinkHeader,
                offset: offset + start as u64,
                needed: cooked::HEADER_LEN,
                actual: data.len(),
            });
        }
        if cooked::is_connector(data) {
            self.is_other = false;
            self.messages = start + cooked::HEADER_LEN..start + data.len();
        }
        Ok(())
    }
}

/// Where packets come from.
#[derive(Debug)]
pub(super) enum Packets {
    PcapNg(PcapNg),
    Pcap(Pcap),
    Bare(Bare),
    /// Nobody knows where the next one would start.
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
        if pcapng::is(start) {
            Ok(Self::PcapNg(PcapNg::default()))
        } else if pcap::is(start) {
            Ok(Self::Pcap(Pcap::open(input)?))
        } else {
            let order = byte_order::of_stream(start).ok_or(Error::UnknownFormat)?;
            Ok(Self::Bare(Bare::new(order)))
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
