//! The items of a stream: events and losses, in order.

use std::fmt;

use proc_connector_core::{Event, ParseError};

/// An item of the stream.
///
/// ```
/// use proc_connector::Received;
///
/// /// Counts events, and the events that are known to be lost.
/// fn count<'a>(items: impl IntoIterator<Item = Received<'a>>) -> (u64, u64) {
///     let (mut events, mut lost) = (0, 0);
///     for item in items {
///         match item {
///             Received::Event(_) => events += 1,
///             Received::Lost(loss) => lost += loss.count.unwrap_or(1),
///         }
///     }
///     (events, lost)
/// }
///
/// # use proc_connector::{LossCause, Lost};
/// let loss = Lost::new(Some(17), LossCause::Overrun);
/// assert_eq!(count([Received::Lost(loss)]), (0, 17));
/// ```
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Received<'a> {
    /// An event.
    Event(Event<'a>),
    /// Events were lost between the previous and the next event.
    Lost(Lost),
}

/// Events that were not delivered.
///
/// With the feature `serde`, this is a map like that of [`ProcEvent`](crate::ProcEvent): `event` is
/// `lost`, and `count` and `cause` are the fields.
///
/// ```
/// use proc_connector::{LossCause, Lost};
///
/// let lost = Lost::new(Some(17), LossCause::Overrun);
/// assert_eq!(lost.to_string(), "17 events: the receive buffer was full");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "LostForm", into = "LostForm"))]
#[non_exhaustive]
pub struct Lost {
    /// The number of lost datagrams; `None` if the kernel does not report it (before Linux 4.12).
    ///
    /// Besides events, the kernel counts acknowledgements of other listeners' requests, and
    /// datagrams that a process forged.
    pub count: Option<u64>,
    /// The cause of the loss.
    pub cause: LossCause,
}

/// The cause of a loss.
///
/// ```
/// use proc_connector::LossCause;
///
/// /// Whether a larger receive buffer or a filter would help.
/// fn depends_on_the_buffer(cause: &LossCause) -> bool {
///     matches!(cause, LossCause::Overrun)
/// }
/// # assert!(depends_on_the_buffer(&LossCause::Overrun) && !depends_on_the_buffer(&LossCause::Oversized));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LossCause {
    /// The receive buffer was full: read faster, filter, or use a larger buffer.
    Overrun,
    /// A datagram was larger than any known event, and was received only in part.
    Oversized,
    /// The kernel sent a datagram that could not be parsed.
    Malformed(ParseError),
    /// Unknown: the loss was read from a capture that does not contain its cause.
    Recorded,
    /// A `process::ProcessStream` dropped changes of processes, because more
    /// of them were unread than it holds during a wait for an exit. The count is that of changes.
    QueueFull,
    /// The cgroup of the acting task caused more events than [`Builder::share`] permits.
    ///
    /// [`Builder::share`]: https://docs.rs/proc-connector/latest/proc_connector/struct.Builder.html
    ShareExceeded,
    /// The table of followed processes was full. The count is that of processes: no event of them or
    /// of their descendants passes a filter that selects descendants.
    Unfollowed,
}

/// Formats a loss as `17 events: the receive buffer was full`.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, several) = match self.cause {
            LossCause::QueueFull => ("change", "changes"),
            LossCause::Unfollowed => ("process", "processes"),
            _ => ("event", "events"),
        };
        match self.count {
            Some(1) => write!(f, "1 {one}: {}", self.cause),
            Some(count) => write!(f, "{count} {several}: {}", self.cause),
            None => write!(f, "an unknown number of {several}: {}", self.cause),
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overrun => f.write_str("the receive buffer was full"),
            Self::Oversized => f.write_str("a datagram was larger than any known event"),
            Self::Malformed(error) => error.fmt(f),
            Self::Recorded => f.write_str("the capture does not contain the cause"),
            Self::QueueFull => f.write_str("the queue of changes was full during a wait"),
            Self::ShareExceeded => f.write_str("a cgroup exceeded its share"),
            Self::Unfollowed => f.write_str("the table of followed processes was full"),
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

/// A loss with the same tag as events, so that a stream of values can contain both.
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
