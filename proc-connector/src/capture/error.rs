//! What can be wrong with a capture, and where.

use std::fmt;
use std::io;

use proc_connector_core::ParseError;

/// Why a capture could not be read, or not further.
///
/// Offsets count bytes from the start of the file. What came before was delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read.
    #[error("cannot read the capture beyond byte {offset}")]
    Io {
        /// How far reading came.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The input ends before anything was in it.
    #[error("the capture is empty")]
    Empty,
    /// The input is nothing that a [`Reader`](crate::capture::Reader) reads.
    #[error(
        "not a capture of process events: the input is neither a pcapng nor a pcap file, and no \
         netlink message starts at byte 0"
    )]
    UnknownFormat,
    /// The input is compressed. What is in it may be a capture.
    #[error(
        "the capture is compressed with {format}: decompress it first, for example with \
         `{unpack} FILE | proc-connector replay -`"
    )]
    Compressed {
        /// The name of the format.
        format: &'static str,
        /// The command that writes the contents of a file to its standard output.
        unpack: &'static str,
    },
    /// The input is a file of another kind.
    #[error(
        "not a capture: the input is {kind}; use a pcapng or pcap file, such as \
         `proc-connector record` writes"
    )]
    OtherFile {
        /// What it is, with an article.
        kind: &'static str,
    },
    /// The input ends in the middle of something.
    #[error("{part} at byte {offset} is cut short: it needs {needed} bytes and has {actual}")]
    Truncated {
        /// What is cut short.
        part: Part,
        /// Where it starts.
        offset: u64,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// Something claims a length that it cannot have.
    #[error("{part} at byte {offset} claims a length of {length} bytes: {expected}")]
    Length {
        /// What claims it.
        part: Part,
        /// Where that starts.
        offset: u64,
        /// The length claimed, in bytes.
        length: u32,
        /// What it could be.
        expected: &'static str,
    },
    /// Something does not have the form that the file's format prescribes.
    #[error("{part} at byte {offset} is damaged: {reason}")]
    Damaged {
        /// What is damaged.
        part: Part,
        /// Where it starts.
        offset: u64,
        /// How.
        reason: Reason,
    },
    /// A message of the connector is no event, or the capture has a part of it only. The reader can
    /// go on with the next packet.
    #[error("the netlink messages at byte {offset} are damaged (offsets count from there)")]
    Message {
        /// Where the messages of the packet start.
        offset: u64,
        /// What is wrong; its own offset counts from this one.
        source: ParseError,
    },
}

impl Error {
    /// Whether only one packet cannot be read, so that the reader goes on with the next.
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
    /// What a packet has of its link type's header.
    LinkHeader,
    /// A netlink message.
    Message,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileHeader => "the pcap header",
            Self::Record => "the pcap record",
            Self::Block => "the pcapng block",
            Self::Packet => "the packet of the pcapng block",
            Self::LinkHeader => "the netlink link header",
            Self::Message => "the netlink message",
        })
    }
}

/// How something is damaged, in words.
#[derive(Debug)]
pub struct Reason(Cause);

#[derive(Debug)]
enum Cause {
    UnknownInterface(u32),
    TooManyInterfaces,
    NoSection,
    Version(u16, u16),
    TwoLengths(u32, u32),
    TooShort,
    NoPacket,
    TooMuchCaptured(u32),
}

impl Reason {
    pub(super) fn unknown_interface(id: u32) -> Self {
        Self(Cause::UnknownInterface(id))
    }

    pub(super) fn too_many_interfaces() -> Self {
        Self(Cause::TooManyInterfaces)
    }

    pub(super) fn no_section() -> Self {
        Self(Cause::NoSection)
    }

    pub(super) fn version(major: u16, minor: u16) -> Self {
        Self(Cause::Version(major, minor))
    }

    pub(super) fn two_lengths(first: u32, second: u32) -> Self {
        Self(Cause::TwoLengths(first, second))
    }

    pub(super) fn too_short() -> Self {
        Self(Cause::TooShort)
    }

    pub(super) fn no_packet() -> Self {
        Self(Cause::NoPacket)
    }

    pub(super) fn too_much_captured(captured: u32) -> Self {
        Self(Cause::TooMuchCaptured(captured))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::UnknownInterface(id) => write!(f, "no block before it describes interface {id}"),
            Cause::TooManyInterfaces => f.write_str("a section can have at most 65536 interfaces"),
            Cause::NoSection => f.write_str("its byte-order magic is unknown"),
            Cause::Version(major, minor) => {
                write!(
                    f,
                    "its section has version {major}.{minor}, and only version 1 is supported"
                )
            }
            Cause::TwoLengths(first, second) => {
                write!(f, "its length is {first} bytes at its start and {second} at its end")
            }
            Cause::TooShort => f.write_str("it is too short for a block of its kind"),
            Cause::NoPacket => f.write_str("the block is too short for a packet"),
            Cause::TooMuchCaptured(captured) => {
                write!(f, "its {captured} bytes do not fit into the block")
            }
        }
    }
}
