//! Errors: bytes that cannot be read as process events, and events that cannot be written.

use core::fmt;

/// A layer of the wire format, to which an error and its offset belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Layer {
    /// `struct nlmsghdr` (`netlink.h`) and the payload that its length announces.
    Netlink,
    /// `struct nlmsgerr` (`netlink.h`), the payload of an `NLMSG_ERROR`.
    NetlinkError,
    /// `struct cn_msg` (`connector.h`) and the payload that its length announces.
    CnMsg,
    /// `struct proc_event` (`cn_proc.h`) up to its union.
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
/// `offset` counts bytes from the start of the input of the function or iterator that failed: the
/// buffer for [`Notifications`](crate::Notifications), the connector message for
/// [`CnMsg::parse`](crate::CnMsg::parse).
///
/// ```
/// use proc_connector_core::{Layer, Notifications};
///
/// let error = Notifications::new(&[0; 5]).next().and_then(Result::err).ok_or("no error")?;
/// assert_eq!((error.layer(), error.offset()), (Layer::Netlink, 0));
/// assert_eq!(
///     error.to_string(),
///     "truncated netlink message at byte 0: 16 bytes needed, 5 available"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the structure does, or before the payload that its length announces.
    #[error("truncated {layer} at byte {offset}: {needed} bytes needed, {actual} available")]
    Truncated {
        /// The layer that could not be read.
        layer: Layer,
        /// Where the layer starts, in bytes.
        offset: usize,
        /// Bytes that the layer needs.
        needed: usize,
        /// Bytes available.
        actual: usize,
    },
    /// A length field contains less than the length of its own header.
    #[error(
        "invalid length of {layer} at byte {offset}: {actual} bytes, shorter than its header of {needed}"
    )]
    InvalidLength {
        /// The layer that could not be read.
        layer: Layer,
        /// Where the layer starts, in bytes.
        offset: usize,
        /// The smallest valid length, in bytes.
        needed: usize,
        /// The value of the length field, in bytes.
        actual: usize,
    },
    /// The message belongs to another connector than the process events (1:1).
    #[error(
        "connector message at byte {offset} belongs to connector {idx}:{val}, not to the process events (1:1)"
    )]
    UnexpectedConnector {
        /// Where the `cn_msg` starts, in bytes.
        offset: usize,
        /// `cn_msg.id.idx`.
        idx: u32,
        /// `cn_msg.id.val`.
        val: u32,
    },
    /// The request has a length that the kernel ignores.
    #[error("invalid length of request at byte {offset}: {actual} bytes, expected 4 or 8")]
    RequestLength {
        /// Where the request's payload starts, in bytes.
        offset: usize,
        /// Bytes of the payload.
        actual: usize,
    },
    /// The operation of the request is neither LISTEN nor IGNORE.
    #[error("unknown operation {op} in request at byte {offset}")]
    UnknownOperation {
        /// Where the request's payload starts, in bytes.
        offset: usize,
        /// The operation.
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

    /// The same error for input that starts at byte `base` of a buffer: the offset counts from the
    /// start of the buffer.
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
    #[error("buffer too small for the datagram: {needed} bytes needed, {actual} available")]
    BufferTooSmall {
        /// Bytes of the datagram.
        needed: usize,
        /// Bytes of the buffer.
        actual: usize,
    },
    /// The data of an unknown kind exceeds the longest payload of a connector message.
    #[error("event data too long for a connector message: {actual} bytes, at most {max} allowed")]
    DataTooLong {
        /// The maximum length, in bytes.
        max: usize,
        /// The length of the data, in bytes.
        actual: usize,
    },
    /// [`EventData::Unknown`](crate::EventData::Unknown) has the `what` of a named kind, or 0, which
    /// stands for an acknowledgement. A parser would read the datagram as that.
    #[error("event kind {what:#x} is known: encode it as its own variant of EventData")]
    KnownKind {
        /// The kind.
        what: u32,
    },
}
