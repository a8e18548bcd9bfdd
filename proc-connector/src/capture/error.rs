//! Errors of reading a capture, with their location.

use std::fmt;
use std::io;

use proc_connector_core::ParseError;

/// Why a capture cannot be read to its end.
///
/// Offsets count bytes from the start of the capture. Everything before the error was delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read.
    #[error("cannot read the capture beyond byte {offset}")]
    Io {
        /// The number of bytes read before the error.
        offset: u64,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The input is empty.
    #[error("the capture is empty")]
    Empty,
    /// The input has no format that [`Reader`](crate::capture::Reader) supports.
    #[error(
        "not a capture of process events: the input is neither a pcapng nor a pcap file, and no \
         netlink message starts at byte 0"
    )]
    UnknownFormat,
    /// The input is compressed. It may contain a capture.
    #[error(
        "the capture is compressed with {format}: decompress it first, for example with \
         `{unpack} FILE | proc-connector replay -`"
    )]
    Compressed {
        /// The name of the compression format.
        format: &'static str,
        /// The command that decompresses a file to standard output.
        unpack: &'static str,
    },
    /// The input is a file of another kind.
    #[error(
        "not a capture: the input is {kind}; use a pcapng or pcap file, such as \
         `proc-connector record` writes"
    )]
    OtherFile {
        /// The kind of file, with an article.
        kind: &'static str,
    },
    /// The input ends in the middle of a part.
    #[error("truncated {part} at byte {offset}: {needed} bytes needed, {actual} available")]
    Truncated {
        /// The incomplete part.
        part: Part,
        /// The offset of its first byte.
        offset: u64,
        /// The length of the part, in bytes.
        needed: usize,
        /// The number of bytes available.
        actual: usize,
    },
    /// A part declares an impossible length.
    #[error("invalid length of {part} at byte {offset}: {length} bytes; {expected}")]
    Length {
        /// The part.
        part: Part,
        /// The offset of its first byte.
        offset: u64,
        /// The declared length, in bytes.
        length: u32,
        /// The permitted lengths.
        expected: &'static str,
    },
    /// A part violates the file format.
    #[error("damaged {part} at byte {offset}: {reason}")]
    Damaged {
        /// The damaged part.
        part: Part,
        /// The offset of its first byte.
        offset: u64,
        /// The kind of damage.
        reason: Reason,
    },
    /// A message of the connector is not a valid event, or was captured only in part. Reading can
    /// continue with the next packet.
    #[error(
        "the netlink messages at byte {offset} are damaged (the next offset is relative to that byte)"
    )]
    Message {
        /// The offset of the packet's first message.
        offset: u64,
        /// The parse error. Its offset is relative to this one.
        source: ParseError,
    },
}

impl Error {
    /// Whether the error concerns a single packet, so that reading can continue with the next one.
    pub fn is_of_one_packet(&self) -> bool {
        match self {
            Self::Message { .. } => true,
            Self::Truncated { part, .. } => *part == Part::LinkHeader,
            Self::Damaged { part, .. } => *part == Part::Packet,
            _ => false,
        }
    }
}

/// A part of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The header of a pcap file.
    FileHeader,
    /// A packet of a pcap file, with its header.
    Record,
    /// A block of a pcapng file.
    Block,
    /// A packet of a pcapng file, in a block that can be skipped.
    Packet,
    /// The header that the link type prescribes.
    LinkHeader,
    /// A netlink message.
    Message,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileHeader => "pcap header",
            Self::Record => "pcap record",
            Self::Block => "pcapng block",
            Self::Packet => "packet of the pcapng block",
            Self::LinkHeader => "netlink link header",
            Self::Message => "netlink message",
        })
    }
}

/// A description of the damage.
#[derive(Debug)]
pub struct Reason(pub(super) Damage);

#[derive(Debug)]
pub(super) enum Damage {
    UnknownInterface { id: u32 },
    TooManyInterfaces,
    UnknownMagic,
    Version { major: u16, minor: u16 },
    LengthsDiffer { start: u32, end: u32 },
    TooShort,
    NoPacket,
    CapturedLength(u32),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Damage::UnknownInterface { id } => {
                write!(f, "no earlier block describes interface {id}")
            }
            Damage::TooManyInterfaces => f.write_str("a section can have at most 65536 interfaces"),
            Damage::UnknownMagic => f.write_str("its byte-order magic is unknown"),
            Damage::Version { major, minor } => {
                write!(
                    f,
                    "its section has version {major}.{minor}, and only version 1 is supported"
                )
            }
            Damage::LengthsDiffer { start, end } => {
                write!(f, "its length is {start} bytes at its start and {end} at its end")
            }
            Damage::TooShort => f.write_str("it is too short for a block of its kind"),
            Damage::NoPacket => f.write_str("the block is too short for a packet"),
            Damage::CapturedLength(captured) => {
                write!(f, "its captured length of {captured} bytes exceeds the block")
            }
        }
    }
}
