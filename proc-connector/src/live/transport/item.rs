//! The items that a queue delivers.

use proc_connector_core::{Notification, ParseError};

use crate::stream::Lost;

/// One thing off a queue.
pub(crate) enum Item<'a> {
    Message(std::result::Result<Notification<'a>, ParseError>),
    Lost(Lost),
    /// A datagram that a process sent.
    Refused,
}
