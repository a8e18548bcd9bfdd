//! Netlink messages: the walk over a buffer, one `struct nlmsghdr` after the other.
//!
//! The kernel sends one event a datagram, but a buffer may hold several messages, so this walk is
//! the only way into one. A message starts at each multiple of four bytes that the lengths lead to
//! and carries a type; process events have the type [`NLMSG_DONE`], which ends nothing here.

use core::marker::PhantomData;
use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, I32, NativeEndian, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{Layer, ParseError};

/// Message type: nothing, to be skipped.
pub const NLMSG_NOOP: u16 = message_type(sys::NLMSG_NOOP);
/// Message type: a `struct nlmsgerr`.
pub const NLMSG_ERROR: u16 = message_type(sys::NLMSG_ERROR);
/// Message type: with a payload every connector message, without one the end of a series.
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
pub struct NlMsgHdr<O: ByteOrder = NativeEndian> {
    /// Length of header and payload, in bytes, without the padding to four.
    pub nlmsg_len: U32<O>,
    /// One of the `NLMSG_*` types, or a protocol's own.
    pub nlmsg_type: U16<O>,
    /// Flags; 0 in events.
    pub nlmsg_flags: U16<O>,
    /// Sequence number; in events the same as `cn_msg.seq`.
    pub nlmsg_seq: U32<O>,
    /// Port of the sender as the sender wrote it; 0 in events. Proves nothing.
    pub nlmsg_pid: U32<O>,
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

    /// Where the header starts in the buffer, in bytes.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What the message's type says it is.
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

/// What a netlink message is, by its type. Exhaustive: every other type is data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Kind<'a> {
    /// [`NLMSG_NOOP`]: nothing.
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
    /// Anything else, with the payload: connector messages have the type [`NLMSG_DONE`].
    Data(&'a [u8]),
}

/// Walks the netlink messages of a buffer.
///
/// Ends after the last message. A header that is cut short, or a length that leads nowhere, gives
/// one [`ParseError`] and ends the walk, since nobody knows where the next message would start.
///
/// ```
/// use proc_connector_core::netlink::Messages;
///
/// let lying = [0u8; 16]; // claims a length of 0
/// let mut messages = Messages::new(&lying);
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
    /// Walks `buffer` in the host's byte order.
    #[inline]
    pub const fn new(buffer: &'a [u8]) -> Self {
        Self::with_order(buffer)
    }
}

impl<'a, O: ByteOrder> Messages<'a, O> {
    /// Walks `buffer` in the byte order `O`.
    #[inline]
    pub const fn with_order(buffer: &'a [u8]) -> Self {
        Self { rest: buffer, offset: 0, order: PhantomData }
    }

    /// Where the next message starts in the buffer, in bytes; its length at the end.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Takes `T` as the whole next message, if `read` makes something of it.
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
        // A length beyond usize cannot be in the buffer either; the maximum stands for it.
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
        // The last message of a buffer may come without its padding.
        let step = len.next_multiple_of(sys::NLMSG_ALIGNTO as usize);
        let step = step.min(bytes.len());
        self.rest = &bytes[step..];
        self.offset = offset + step;
        Some(Ok(Message { header, payload, offset }))
    }
}

impl<'a, O: ByteOrder + 'a> core::iter::FusedIterator for Messages<'a, O> {}
