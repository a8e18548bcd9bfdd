//! All layers at once: the events and acknowledgements of a buffer.

use zerocopy::byteorder::{ByteOrder, NativeEndian};

use crate::cn_msg::CnMsg;
use crate::error::ParseError;
use crate::netlink::{self, Kind, Message, Messages};
use crate::proc_event::{Ack, Delivery, Event, KernelDatagram};

/// A message that a listener receives: an event, an acknowledgement or a control message.
///
/// ```
/// use proc_connector_core::{Control, Notification};
///
/// fn describe(notification: &Notification<'_>) -> String {
///     match notification {
///         Notification::Event(event) => format!("event {}", event.mask()),
///         Notification::Ack(ack) => format!("acknowledgement with error {}", ack.err),
///         Notification::Control(Control::Overrun) => String::from("the kernel lost data"),
///         other => format!("{other:?}"),
///     }
/// }
/// # assert_eq!(describe(&Notification::Control(Control::Noop)), "Control(Noop)");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notification<'a, O: ByteOrder = NativeEndian> {
    /// A process event.
    Event(Event<'a, O>),
    /// The kernel's answer to a LISTEN request, of this listener or another.
    Ack(Ack),
    /// A netlink message without a connector payload.
    Control(Control),
}

/// A netlink message that carries no connector payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Control {
    /// `NLMSG_NOOP`: no operation.
    Noop,
    /// `NLMSG_DONE` without a payload.
    Done,
    /// `NLMSG_OVERRUN`: data was lost.
    Overrun,
    /// `NLMSG_ERROR`: 0 for an acknowledgement, otherwise a negative errno.
    Error(i32),
}

/// An iterator over the messages of a buffer: a [`Notification`] or a [`ParseError`] for each.
///
/// An error inside a message affects that message only. After an error that hides the start of the
/// next message, the iterator ends.
///
/// Code that is generic over the byte order needs the bound `O: ByteOrder + 'static`.
///
/// ```
/// use proc_connector_core::{Ack, NativeEndian, Notification, Notifications};
///
/// // The kernel has accepted a request that was sent with the value 8.
/// let mut buffer = [0; 128];
/// let len = Ack { ack: 9, ..Ack::default() }.encode::<NativeEndian>(&mut buffer)?;
/// for notification in Notifications::new(&buffer[..len]) {
///     match notification? {
///         Notification::Event(event) => println!("{:?}", event.payload()),
///         Notification::Ack(ack) => assert_eq!((ack.ack, ack.err), (9, 0)),
///         other => println!("{other:?}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Notifications<'a, O: ByteOrder = NativeEndian> {
    messages: Messages<'a, O>,
}

impl<'a> Notifications<'a> {
    /// Reads `buffer` in the host's byte order.
    #[inline]
    pub const fn new(buffer: &'a [u8]) -> Self {
        Self::with_order(buffer)
    }
}

impl<'a, O: ByteOrder> Notifications<'a, O> {
    /// Reads `buffer` in the byte order `O`.
    #[inline]
    pub const fn with_order(buffer: &'a [u8]) -> Self {
        Self { messages: Messages::with_order(buffer) }
    }
}

impl<O: ByteOrder> Notifications<'_, O> {
    /// Offset of the next message in the buffer, in bytes; the length of the buffer at the end.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.messages.offset()
    }
}

impl<'a, O: ByteOrder + 'a> Iterator for Notifications<'a, O> {
    type Item = Result<Notification<'a, O>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.messages.take_whole(KernelDatagram::event) {
            return Some(Ok(Notification::Event(event)));
        }
        Some(self.messages.next()?.and_then(|message| notification(&message)))
    }
}

impl<'a, O: ByteOrder + 'a> core::iter::FusedIterator for Notifications<'a, O> {}

#[inline]
fn notification<'a, O: ByteOrder>(
    message: &Message<'a, O>,
) -> Result<Notification<'a, O>, ParseError> {
    let payload = match message.kind()? {
        Kind::Data(payload) => payload,
        Kind::Noop => return Ok(Notification::Control(Control::Noop)),
        Kind::Done => return Ok(Notification::Control(Control::Done)),
        Kind::Overrun => return Ok(Notification::Control(Control::Overrun)),
        Kind::Error { error } => return Ok(Notification::Control(Control::Error(error))),
    };
    match CnMsg::parse(payload).and_then(|cn_msg| Delivery::parse(&cn_msg)) {
        Ok(Delivery::Event(event)) => Ok(Notification::Event(event)),
        Ok(Delivery::Ack(ack)) => Ok(Notification::Ack(ack)),
        Err(error) => Err(error.shifted(message.offset() + netlink::HEADER_LEN)),
    }
}
