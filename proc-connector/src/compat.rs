//! The parsing functions of 0.1.5, as adapters over `proc-connector-core`.

use std::io;

use proc_connector_core::cn_msg::CnMsg;
use proc_connector_core::proc_event::Delivery;
use proc_connector_core::{Control, NativeEndian, Notification, Notifications, ParseError};

use crate::error::{Error, Result};
use crate::event::ProcEvent;

/// Parses the first netlink message of `payload`, of which `len` bytes are filled.
///
/// `None` is a message that is no event: a control message, or an acknowledgement of some
/// listener's request. A buffer may hold several messages; [`NetlinkMessageIter`] reads them all.
///
/// ```
/// use proc_connector::{Error, parse_netlink_message};
///
/// assert!(matches!(parse_netlink_message(&[0; 4], 4), Err(Error::Truncated)));
/// ```
///
/// # Errors
///
/// [`Error::Truncated`] for anything cut short, `len` beyond the payload included;
/// [`Error::UnexpectedConnector`] for another connector's message; [`Error::Overrun`] and
/// [`Error::Os`] for messages that report those.
pub fn parse_netlink_message(payload: &[u8], len: usize) -> Result<Option<ProcEvent>> {
    let bytes = payload.get(..len).ok_or(Error::Truncated)?;
    Notifications::new(bytes).next().map_or(Err(Error::Truncated), to_event)
}

/// Parses a connector message, from its `cb_id` on.
///
/// # Errors
///
/// [`Error::Truncated`] for anything cut short, [`Error::UnexpectedConnector`] for another
/// connector's message, [`Error::NotAnEvent`] for an acknowledgement.
pub fn parse_cn_msg(buf: &[u8]) -> Result<ProcEvent> {
    match Delivery::parse(&CnMsg::<NativeEndian>::parse(buf)?)? {
        Delivery::Event(event) => Ok(event.into()),
        Delivery::Ack(_) => Err(Error::NotAnEvent),
    }
}

/// Walks the netlink messages of a buffer, as [`parse_netlink_message`] reads them.
///
/// After an error inside a message it goes on with the next; after one that hides where the next
/// message starts it ends.
#[derive(Clone, Debug)]
pub struct NetlinkMessageIter<'a> {
    notifications: Option<Notifications<'a>>,
}

impl<'a> NetlinkMessageIter<'a> {
    /// Walks the first `len` bytes of `buf`; a `len` beyond its end is an error, given first.
    #[inline]
    pub fn new(buf: &'a [u8], len: usize) -> Self {
        Self { notifications: buf.get(..len).map(Notifications::new) }
    }
}

impl Iterator for NetlinkMessageIter<'_> {
    type Item = Result<Option<ProcEvent>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(notifications) = &mut self.notifications {
            return notifications.next().map(to_event);
        }
        self.notifications = Some(Notifications::new(&[]));
        Some(Err(Error::Truncated))
    }
}

impl std::iter::FusedIterator for NetlinkMessageIter<'_> {}

#[inline]
pub(crate) fn to_event(
    notification: std::result::Result<Notification<'_>, ParseError>,
) -> Result<Option<ProcEvent>> {
    match notification? {
        Notification::Event(event) => Ok(Some(event.into())),
        Notification::Control(Control::Overrun) => Err(Error::Overrun),
        Notification::Control(Control::Error(error)) if error != 0 => {
            // Kept negative by the kernel; the most negative number has no counterpart.
            Err(Error::Os(io::Error::from_raw_os_error(error.checked_neg().unwrap_or(error))))
        }
        _ => Ok(None),
    }
}
