//! What the formats have in common: one packet after the other.

use std::io::Read;
use std::ops::Range;
use std::time::SystemTime;

use super::bare::Bare;
use super::cooked::Link;
use super::error::{Error, Part};
use super::input::Input;
use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::{byte_order, other_file, pcap, pcapng};
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
    /// Whether the capture has a part of it only.
    pub(super) is_cut: bool,
    /// Why it cannot be read. The next one can.
    pub(super) fault: Option<Box<Error>>,
}

impl Packet {
    /// Takes the netlink messages out of `data`, a packet of the link type `link` that is at `start`
    /// in the window, if they are the connector's.
    #[inline]
    pub(super) fn take_netlink(&mut self, link: Link, data: &[u8], start: usize, offset: u64) {
        let needed = link.header_len();
        if data.len() < needed {
            // Of other link types than netlink's own, most packets are other protocols'. A packet that
            // was empty is of no protocol: a file with zeros behind the last one has many.
            let is_empty = data.is_empty() && !self.is_cut;
            self.is_other = link != Link::Netlink || is_empty;
            self.fault = (!self.is_other).then(|| {
                let (part, offset) = (Part::LinkHeader, offset + start as u64);
                Box::new(Error::Truncated { part, offset, needed, actual: data.len() })
            });
            return;
        }
        self.is_other = !link.is_connector(data);
        if !self.is_other {
            self.messages = start + needed..start + data.len();
        }
    }
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
        if pcapng::is(start) {
            Ok(Self::PcapNg(PcapNg::new()))
        } else if pcap::is(start) {
            Ok(Self::Pcap(Pcap::open(input)?))
        } else {
            match byte_order::of_stream(start) {
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
