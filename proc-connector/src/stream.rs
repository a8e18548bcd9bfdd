//! What a stream consists of: events, and losses where they happened.

use std::fmt;

use proc_connector_core::{Event, ParseError};

/// One thing that came out of the stream.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Received<'a> {
    /// An event.
    Event(Event<'a>),
    /// Here, between the events before and after, others were lost.
    Lost(Lost),
}

/// Events that happened and could not be delivered.
///
/// With the feature `serde` it is a map as a [`ProcEvent`](crate::ProcEvent) is: `event` is `lost`,
/// and `count` and `cause` are the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "LostForm", into = "LostForm"))]
#[non_exhaustive]
pub struct Lost {
    /// How many; `None` where the kernel does not say (before Linux 4.12).
    ///
    /// The kernel counts datagrams: the acknowledgement to another listener that was opened while
    /// the buffer was full, and datagrams that a process forged, are among them.
    pub count: Option<u64>,
    /// Why.
    pub cause: LossCause,
}

/// Why events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LossCause {
    /// The receive buffer was full: read faster, filter, or use a larger buffer.
    Overrun,
    /// A datagram larger than any known event, of which only a part was received.
    Oversized,
    /// The kernel sent what could not be parsed.
    Malformed(ParseError),
    /// A capture file has the loss, and no cause of this list.
    Recorded,
}

/// `17 events: the receive buffer was full`, for messages.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            Some(1) => write!(f, "1 event: {}", self.cause),
            Some(count) => write!(f, "{count} events: {}", self.cause),
            None => write!(f, "an unknown number of events: {}", self.cause),
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overrun => f.write_str("the receive buffer was full"),
            Self::Oversized => f.write_str("a datagram was larger than any known event"),
            Self::Malformed(error) => error.fmt(f),
            Self::Recorded => f.write_str("the capture does not say why"),
        }
    }
}

impl Lost {
    /// A loss of `count` events, or of an unknown number.
    pub const fn new(count: Option<u64>, cause: LossCause) -> Self {
        Self { count, cause }
    }

    pub(crate) fn single(cause: LossCause) -> Self {
        Self { count: Some(1), cause }
    }
}

/// A loss under the key that tells events apart, so that one stream of data can hold both.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum LostForm {
    Lost { count: Option<u64>, cause: LossCause },
}

#[cfg(feature = "serde")]
impl From<Lost> for LostForm {
    fn from(Lost { count, cause }: Lost) -> Self {
        Self::Lost { count, cause }
    }
}

#[cfg(feature = "serde")]
impl From<LostForm> for Lost {
    fn from(LostForm::Lost { count, cause }: LostForm) -> Self {
        Self { count, cause }
    }
}
