//! Netlink messages: iteration over a buffer, one `struct nlmsghdr` after the other.
//!
//! The kernel sends one event per datagram, but a buffer may hold several messages. Each message
//! starts at a multiple of four bytes and has a type. The type of process events is [`NLMSG_DONE`],
//! which other protocols use for the end of a multi-part message.

use core::marker::PhantomData;
use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, I32, NativeEndian, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{Layer, ParseError};

/// Message type: no operation. Readers skip the message.
pub const NLMSG_NOOP: u16 = message_type(sys::NLMSG_NOOP);
/// Message type: a `struct nlmsgerr`.
pub const NLMSG_ERROR: u16 = message_type(sys::NLMSG_ERROR);
/// Message type: a connector message, or without a payload the end of a multi-part message.
pub const NLMSG_DONE: u16 = message_type(sys::NLMSG_DONE);
/// Message type: the sender lost data.
pub const NLMSG_OVERRUN: u16 = message_type(sys::NLMSG_OVERRUN);

#[expect(clippy::cast_possible_truncation, reason = "asserted, at compile time")]
const fn message_type(number: u32) -> u16 {
    assert!(number <= u16::MAX as u32, "nlmsg_type has 16 bits");
    number as u16
}

/// `struct nlmsghdr` of `netlink.h`, in the byte order `O`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::struct_field_names, reason = "the kernel's names")]
pub struct NlMsgHdr<O: ByteOrder = NativeEndian> {
    nlmsg_len: U32<O>,
    nlmsg_type: U16<O>,
    nlmsg_flags: U16<O>,
    nlmsg_seq: U32<O>,
    nlmsg_pid: U32<O>,
}

const _: () = {
    type Ours = NlMsgHdr<NativeEndian>;
    assert!(size_of::<Ours>() == size_of::<sys::nlmsghdr>());
    assert!(offset_of!(Ours, nlmsg_type) == offset_of!(sys::nlmsghdr, nlmsg_type));
    assert!(offset_of!(Ours, nlmsg_flags) == offset_of!(sys::nlmsghdr, nlmsg_flags));
    assert!(offset_of!(Ours, nlmsg_seq) == offset_of!(sys::nlmsghdr, nlmsg_seq));
    assert!(offset_of!(Ours, nlmsg_pid) == offset_of!(sys::nlmsghdr, nlmsg_pid));
};

/// Bytes of a `struct nlmsghdr`.
pub const HEADER_LEN: usize = size_of::<NlMsgHdr>();

impl<O: ByteOrder> NlMsgHdr<O> {
    /// Length of the header and the payload, in bytes, without the padding to a multiple of four.
    #[inline]
    pub fn nlmsg_len(&self) -> u32 {
        self.nlmsg_len.get()
    }

    /// One of the `NLMSG_*` types, or a type of the protocol.
    #[inline]
    pub fn nlmsg_type(&self) -> u16 {
        self.nlmsg_type.get()
    }

    /// Flags; 0 in events.
    #[inline]
    pub fn nlmsg_flags(&self) -> u16 {
        self.nlmsg_flags.get()
    }

    /// Sequence number; in events equal to [`cn_msg.seq`](crate::cn_msg::CnMsgHdr::seq).
    #[inline]
    pub fn nlmsg_seq(&self) -> u32 {
        self.nlmsg_seq.get()
    }

    /// Netlink port of the sender; 0 in events. The sender writes it and may forge it.
    #[inline]
    pub fn nlmsg_pid(&self) -> u32 {
        self.nlmsg_pid.get()
    }

    /// The header that the kernel writes before a connector message of `len` bytes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the header has 16 bytes")]
    pub(crate) fn connector(len: u32, seq: u32) -> Self {
        Self {
            nlmsg_len: U32::new(HEADER_LEN as u32 + len),
            nlmsg_type: U16::new(NLMSG_DONE),
            nlmsg_flags: U16::ZERO,
            nlmsg_seq: U32::new(seq),
            nlmsg_pid: U32::ZERO,
        }
    }
}

/// One netlink message: its header and the payload that its length announces.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a, O: ByteOrder = NativeEndian> {
    header: &'a NlMsgHdr<O>,
    payload: &'a [u8],
    offset: usize,
}

impl<'a, O: ByteOrder> Message<'a, O> {
    /// The message's header.
    #[inline]
    pub const fn header(&self) -> &'a NlMsgHdr<O> {
        self.header
    }

    /// The bytes after the header, without padding.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Offset of the header in the buffer, in bytes.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The kind of message, by its type.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] for an `NLMSG_ERROR` too short for its error number.
    #[inline]
    pub fn kind(&self) -> Result<Kind<'a>, ParseError> {
        Ok(match self.header.nlmsg_type.get() {
            NLMSG_DONE if self.payload.is_empty() => Kind::Done,
            NLMSG_NOOP => Kind::Noop,
            NLMSG_OVERRUN => Kind::Overrun,
            NLMSG_ERROR => Kind::Error { error: self.error()? },
            _ => Kind::Data(self.payload),
        })
    }

    fn error(&self) -> Result<i32, ParseError> {
        match I32::<O>::ref_from_prefix(self.payload) {
            Ok((error, _)) => Ok(error.get()),
            Err(_) => Err(ParseError::Truncated {
                layer: Layer::NetlinkError,
                offset: self.offset + HEADER_LEN,
                needed: size_of::<i32>(),
                actual: self.payload.len(),
            }),
        }
    }
}

/// The kind of a netlink message, by its type.
///
/// The enum is exhaustive, because every type without a variant is [`Data`](Self::Data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Kind<'a> {
    /// [`NLMSG_NOOP`]: no operation.
    Noop,
    /// [`NLMSG_ERROR`]: `error` is 0 for an acknowledgement, otherwise a negative errno.
    Error {
        /// `nlmsgerr.error`.
        error: i32,
    },
    /// [`NLMSG_DONE`] without a payload.
    Done,
    /// [`NLMSG_OVERRUN`]: data was lost.
    Overrun,
    /// Any other message, with its payload. Connector messages have the type [`NLMSG_DONE`].
    Data(&'a [u8]),
}

/// An iterator over the netlink messages of a buffer.
///
/// It ends after the last message. After a truncated header or an invalid length, the start of the
/// next message is unknown: the iterator yields one [`ParseError`] and ends.
///
/// ```
/// use proc_connector_core::netlink::Messages;
///
/// let invalid = [0u8; 16]; // its length field is 0
/// let mut messages = Messages::new(&invalid);
/// assert!(messages.next().is_some_and(|message| message.is_err()));
/// assert!(messages.next().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Messages<'a, O: ByteOrder = NativeEndian> {
    rest: &'a [u8],
    offset: usize,
    order: PhantomData<O>,
}

impl<'a> Messages<'a> {
    /// Reads `buffer` in the host's byte order.
    #[inline]
    pub const fn new(buffer: &'a [u8]) -> Self {
        Self::with_order(buffer)
    }
}

impl<'a, O: ByteOrder> Messages<'a, O> {
    /// Reads `buffer` in the byte order `O`.
    #[inline]
    pub const fn with_order(buffer: &'a [u8]) -> Self {
        Self { rest: buffer, offset: 0, order: PhantomData }
    }

    /// Offset of the next message in the buffer, in bytes; the length of the buffer at the end.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Consumes the next message as a `T` if `read` accepts it.
    #[inline]
    pub(crate) fn take_whole<T, R>(&mut self, read: impl FnOnce(&'a T) -> Option<R>) -> Option<R>
    where
        T: FromBytes + KnownLayout + Immutable + Unaligned + 'a,
    {
        const { assert!(size_of::<T>() % sys::NLMSG_ALIGNTO as usize == 0) };
        let (whole, rest) = T::ref_from_prefix(self.rest).ok()?;
        let read = read(whole)?;
        self.rest = rest;
        self.offset += size_of::<T>();
        Some(read)
    }

    #[cold]
    fn stop(&mut self, error: ParseError) -> Result<Message<'a, O>, ParseError> {
        self.offset += self.rest.len();
        self.rest = &[];
        Err(error)
    }
}

impl<'a, O: ByteOrder + 'a> Iterator for Messages<'a, O> {
    type Item = Result<Message<'a, O>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, offset) = (self.rest, self.offset);
        if bytes.is_empty() {
            return None;
        }
        let Ok((header, body)) = NlMsgHdr::<O>::ref_from_prefix(bytes) else {
            return Some(self.stop(ParseError::Truncated {
                layer: Layer::Netlink,
                offset,
                needed: HEADER_LEN,
                actual: bytes.len(),
            }));
        };
        // A length that exceeds usize also exceeds the buffer, as the maximum does.
        let len = usize::try_from(header.nlmsg_len.get()).unwrap_or(usize::MAX);
        let Some(payload_len) = len.checked_sub(HEADER_LEN) else {
            return Some(self.stop(ParseError::InvalidLength {
                layer: Layer::Netlink,
                offset,
                needed: HEADER_LEN,
                actual: len,
            }));
        };
        let Some((payload, _)) = body.split_at_checked(payload_len) else {
            return Some(self.stop(ParseError::Truncated {
                layer: Layer::Netlink,
                offset,
                needed: len,
                actual: bytes.len(),
            }));
        };
        // The last message of a buffer may lack its padding.
        let step = len.next_multiple_of(sys::NLMSG_ALIGNTO as usize);
        let step = step.min(bytes.len());
        self.rest = &bytes[step..];
        self.offset = offset + step;
        Some(Ok(Message { header, payload, offset }))
    }
}

impl<'a, O: ByteOrder + 'a> core::iter::FusedIterator for Messages<'a, O> {}
