//! The items that a queue delivers.

use proc_connector_core::{Notification, ParseError};

use crate::stream::Lost;

/// An item of a batch.
pub(crate) enum Item<'a> {
    Message(std::result::Result<Notification<'a>, ParseError>),
    Lost(Lost),
    /// A datagram that another process sent, not the kernel.
    Refused,
}
