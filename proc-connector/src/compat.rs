//! The parsing functions of 0.1.5, as adapters over `proc-connector-core`.

use std::io;

use proc_connector_core::cn_msg::CnMsg;
use proc_connector_core::proc_event::Delivery;
use proc_connector_core::{Control, NativeEndian, Notification, Notifications, ParseError};

use crate::error::{Error, Result};
use crate::event::ProcEvent;

/// Parses the first netlink message in the first `len` bytes of `payload`.
///
/// Returns `None` for a message that is not an event: a control message, or the acknowledgement of
/// a listener's request. A buffer can contain several messages; [`NetlinkMessageIter`] reads all of
/// them.
///
/// ```
/// use proc_connector::{Error, parse_netlink_message};
///
/// assert!(matches!(parse_netlink_message(&[0; 4], 4), Err(Error::Truncated)));
/// ```
///
/// # Errors
///
/// [`Error::Truncated`] if the message is incomplete or `len` exceeds the payload,
/// [`Error::UnexpectedConnector`] for a message of another connector, [`Error::Overrun`] and
/// [`Error::Os`] for messages that report these conditions.
pub fn parse_netlink_message(payload: &[u8], len: usize) -> Result<Option<ProcEvent>> {
    let bytes = payload.get(..len).ok_or(Error::Truncated)?;
    Notifications::new(bytes).next().map_or(Err(Error::Truncated), to_event)
}

/// Parses a connector message, which starts with its `cb_id`.
///
/// # Errors
///
/// [`Error::Truncated`] if the message is incomplete, [`Error::UnexpectedConnector`] for a message
/// of another connector, [`Error::NotAnEvent`] for an acknowledgement.
pub fn parse_cn_msg(buf: &[u8]) -> Result<ProcEvent> {
    match Delivery::parse(&CnMsg::<NativeEndian>::parse(buf)?)? {
        Delivery::Event(event) => Ok(event.into()),
        Delivery::Ack(_) => Err(Error::NotAnEvent),
    }
}

/// Iterates over the netlink messages of a buffer, and parses each like [`parse_netlink_message`].
///
/// After an error within a message, the iterator continues with the next message. After an error
/// that hides the start of the next message, it ends.
///
/// ```
/// use proc_connector::NetlinkMessageIter;
///
/// # use proc_connector::parser::{EventData, EventRecord};
/// # let data = EventData::Exec { process_pid: 7, process_tgid: 7 };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// let messages = NetlinkMessageIter::new(&datagram, datagram.len());
/// let events: Vec<_> = messages.filter_map(|message| message.transpose()).collect();
/// assert_eq!(events[0].as_ref().map(ToString::to_string).ok().as_deref(), Some("EXEC pid=7 tgid=7 ts=1000"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct NetlinkMessageIter<'a> {
    notifications: Option<Notifications<'a>>,
}

impl<'a> NetlinkMessageIter<'a> {
    /// Iterates over the first `len` bytes of `buf`. If `len` exceeds the buffer, the first item is
    /// an error.
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
            // The kernel stores the errno negated; `i32::MIN` has no counterpart.
            Err(Error::Os(io::Error::from_raw_os_error(error.checked_neg().unwrap_or(error))))
        }
        _ => Ok(None),
    }
}
