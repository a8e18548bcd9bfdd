//! Errors: bytes that cannot be read as process events, and events that cannot be written.

use core::fmt;

/// The layer of the wire format that an error or an offset belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Layer {
    /// `struct nlmsghdr` (`netlink.h`) and the payload its length announces.
    Netlink,
    /// `struct nlmsgerr` (`netlink.h`), the payload of an `NLMSG_ERROR`.
    NetlinkError,
    /// `struct cn_msg` (`connector.h`) and the payload its length announces.
    CnMsg,
    /// The head of `struct proc_event` (`cn_proc.h`), before the union.
    ProcEvent,
    /// One of the structs in `proc_event.event_data`.
    EventData,
    /// A request to the kernel: `proc_cn_mcast_op` or `struct proc_input`.
    Request,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netlink => "netlink message",
            Self::NetlinkError => "netlink error message",
            Self::CnMsg => "connector message",
            Self::ProcEvent => "proc_event",
            Self::EventData => "event data",
            Self::Request => "request",
        })
    }
}

/// Why bytes could not be read as a process event.
///
/// `offset` counts bytes from the start of what was given to the function or iterator that failed:
/// for [`Notifications`](crate::Notifications) the buffer, for [`CnMsg::parse`](crate::CnMsg::parse)
/// the connector message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the structure, or the payload its length field announces, does.
    #[error("{layer} at byte {offset} is cut short: it needs {needed} bytes and has {actual}")]
    Truncated {
        /// What could not be read.
        layer: Layer,
        /// Where it starts, in bytes.
        offset: usize,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// A length field announces less than the structure that contains it.
    #[error(
        "{layer} at byte {offset} claims a length of {actual} bytes, less than the {needed} of its own header"
    )]
    InvalidLength {
        /// What could not be read.
        layer: Layer,
        /// Where it starts, in bytes.
        offset: usize,
        /// The least length that would make sense, in bytes.
        needed: usize,
        /// The length claimed, in bytes.
        actual: usize,
    },
    /// A connector message, but of another connector than the process events' (1, 1).
    #[error(
        "connector message at byte {offset} is of connector {idx}:{val}, not of the process events (1:1)"
    )]
    UnexpectedConnector {
        /// Where the `cn_msg` starts, in bytes.
        offset: usize,
        /// `cn_msg.id.idx`.
        idx: u32,
        /// `cn_msg.id.val`.
        val: u32,
    },
    /// A request of a length that the kernel ignores.
    #[error("request at byte {offset} has {actual} bytes, and the kernel accepts 4 or 8")]
    RequestLength {
        /// Where the request's payload starts, in bytes.
        offset: usize,
        /// Bytes it has.
        actual: usize,
    },
    /// A request with an operation that is neither LISTEN nor IGNORE.
    #[error("request at byte {offset} has the unknown operation {op}")]
    UnknownOperation {
        /// Where the request's payload starts, in bytes.
        offset: usize,
        /// The operation found.
        op: u32,
    },
}

impl ParseError {
    /// The layer that could not be read.
    pub const fn layer(&self) -> Layer {
        match *self {
            Self::Truncated { layer, .. } | Self::InvalidLength { layer, .. } => layer,
            Self::UnexpectedConnector { .. } => Layer::CnMsg,
            Self::RequestLength { .. } | Self::UnknownOperation { .. } => Layer::Request,
        }
    }

    /// Where that layer starts, in bytes from the start of the input.
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Truncated { offset, .. }
            | Self::InvalidLength { offset, .. }
            | Self::UnexpectedConnector { offset, .. }
            | Self::RequestLength { offset, .. }
            | Self::UnknownOperation { offset, .. } => offset,
        }
    }

    /// The same error seen from a buffer in which the input starts at byte `base`.
    #[must_use]
    pub(crate) const fn shifted(mut self, base: usize) -> Self {
        match &mut self {
            Self::Truncated { offset, .. }
            | Self::InvalidLength { offset, .. }
            | Self::UnexpectedConnector { offset, .. }
            | Self::RequestLength { offset, .. }
            | Self::UnknownOperation { offset, .. } => *offset += base,
        }
        self
    }
}

/// Why an event could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer cannot hold the datagram.
    #[error("the datagram needs a buffer of {needed} bytes, and this one has {actual}")]
    BufferTooSmall {
        /// Bytes the datagram has.
        needed: usize,
        /// Bytes the buffer has.
        actual: usize,
    },
    /// The data of an unknown kind is longer than a connector message can say.
    #[error("event data of {actual} bytes is more than the {max} that fit a connector message")]
    DataTooLong {
        /// The most there can be, in bytes.
        max: usize,
        /// Bytes given.
        actual: usize,
    },
    /// An unknown kind whose `what` has a name (or is 0, an acknowledgement), so that it would be
    /// read back as something else.
    #[error("kind {what:#x} is a known one")]
    KnownKind {
        /// The kind given.
        what: u32,
    },
}
