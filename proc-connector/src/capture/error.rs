//! What can be wrong with a capture, and where.

use std::fmt;
use std::io;

use pcap_file::PcapError;
use proc_connector_core::ParseError;

/// Why a capture could not be read, or not further.
///
/// Offsets count bytes from the start of the file. What came before was delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read.
    #[error("cannot read the capture beyond byte {offset}: {source}")]
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
        "not a capture of netlink messages: it is no pcapng and no pcap file, and what is at byte \
         0 is no netlink message either"
    )]
    UnknownFormat,
    /// The input ends in the middle of something.
    #[error("{part} at byte {offset} is cut short: it needs {needed} bytes and {actual} are there")]
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
    /// A message of the connector is no event. The reader can go on with the next packet.
    #[error("the netlink messages at byte {offset} are damaged: counted from there, {source}")]
    Message {
        /// Where the messages of the packet start.
        offset: u64,
        /// What is wrong; its own offset counts from this one.
        source: ParseError,
    },
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
    Format(PcapError),
    UnknownInterface(u32),
    TooManyInterfaces,
    NoSection,
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
}

impl From<PcapError> for Reason {
    fn from(error: PcapError) -> Self {
        Self(Cause::Format(error))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            // Blocks are given to the parser whole, so that what is incomplete is inside of one.
            Cause::Format(PcapError::IncompleteBuffer) => f.write_str("an option is too short"),
            Cause::Format(PcapError::InvalidField(field)) => write!(f, "invalid {field}"),
            Cause::Format(PcapError::Utf8Error(_) | PcapError::FromUtf8Error(_)) => {
                f.write_str("a text is not UTF-8")
            }
            Cause::Format(error) => error.fmt(f),
            Cause::UnknownInterface(id) => write!(f, "interface {id} was not described before it"),
            Cause::TooManyInterfaces => f.write_str("it describes one interface too many"),
            Cause::NoSection => f.write_str("its byte-order magic is none"),
        }
    }
}
