//! Requests of a listener to the kernel: LISTEN and IGNORE.

use core::mem::size_of;
use core::ops::Deref;

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::cn_msg::{self, CnMsg, CnMsgHdr};
use crate::error::ParseError;
use crate::mask::EventMask;
use crate::netlink::{self, NlMsgHdr};
use crate::proc_event::Ack;

/// The operation of a request: `enum proc_cn_mcast_op` of `cn_proc.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum McastOp {
    /// Start sending events.
    #[doc(alias = "PROC_CN_MCAST_LISTEN")]
    Listen,
    /// Stop sending events. The kernel does not acknowledge this request.
    #[doc(alias = "PROC_CN_MCAST_IGNORE")]
    Ignore,
}

/// A request to the kernel.
///
/// Without a mask it has the 4-byte form that every kernel accepts. With a mask it has the 8-byte
/// form, `struct proc_input`, which Linux 6.6 introduced and older kernels silently ignore.
///
/// ```
/// use proc_connector_core::{EventMask, Request};
///
/// let request = Request::listen().with_ack(0x5eed);
/// assert_eq!(request.encode().len(), 40);
/// assert_eq!(request.with_mask(EventMask::EXEC).encode().len(), 44);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct Request {
    /// The operation.
    pub op: McastOp,
    /// The requested kinds, in the 8-byte form.
    pub mask: Option<EventMask>,
    /// `cn_msg.ack`. The acknowledgement has this number plus one. Only this number distinguishes it
    /// from the acknowledgements to other listeners, so it should be random.
    pub ack: u32,
}

impl Request {
    /// The 4-byte LISTEN.
    pub const fn listen() -> Self {
        Self { op: McastOp::Listen, mask: None, ack: 0 }
    }

    /// The 4-byte IGNORE.
    pub const fn ignore() -> Self {
        Self { op: McastOp::Ignore, mask: None, ack: 0 }
    }

    /// The same request in the 8-byte form, for the kinds in `mask`.
    #[must_use]
    pub const fn with_mask(self, mask: EventMask) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// The same request with another `cn_msg.ack`.
    #[must_use]
    pub const fn with_ack(self, ack: u32) -> Self {
        Self { ack, ..self }
    }

    /// Encodes the datagram for the kernel of this machine.
    pub fn encode(&self) -> RequestBytes {
        self.encode_order::<NativeEndian>()
    }

    /// Encodes the datagram in the byte order `O`.
    #[expect(clippy::cast_possible_truncation, reason = "the lengths are 4 and 8")]
    pub fn encode_order<O: ByteOrder>(&self) -> RequestBytes {
        let (op, mask) = (self.op.to_raw(), self.mask.unwrap_or(EventMask::empty()));
        let input_len = if self.mask.is_some() { LONG } else { SHORT };
        let cn_msg = CnMsgHdr::<O>::proc_events(0, self.ack, input_len as u16);
        let wire = Wire {
            netlink: NlMsgHdr::connector(cn_msg.message_len(), 0),
            cn_msg,
            op: U32::new(op),
            mask: U32::new(mask.bits()),
        };
        RequestBytes { bytes: zerocopy::transmute!(wire), len: HEADERS + input_len }
    }

    /// Reads the payload of a connector message as a request, as the kernel does.
    ///
    /// # Errors
    ///
    /// - [`ParseError::RequestLength`] if the payload has neither 4 nor 8 bytes. The kernel ignores
    ///   that request.
    /// - [`ParseError::UnknownOperation`] if the operation is neither LISTEN nor IGNORE. The kernel
    ///   answers with `EINVAL`.
    pub fn parse<O: ByteOrder>(message: &CnMsg<'_, O>) -> Result<Self, ParseError> {
        let offset = cn_msg::HEADER_LEN;
        let payload = message.payload();
        let word = |bytes| U32::<O>::ref_from_bytes(bytes).ok().map(|word| word.get());
        let (op, rest) = payload.split_at_checked(SHORT).unwrap_or_default();
        let (Some(op), SHORT | LONG) = (word(op), payload.len()) else {
            return Err(ParseError::RequestLength { offset, actual: payload.len() });
        };
        Ok(Self {
            op: McastOp::from_raw(op).ok_or(ParseError::UnknownOperation { offset, op })?,
            mask: word(rest).map(EventMask::from_bits_retain),
            ack: message.header().ack(),
        })
    }
}

impl Ack {
    /// Whether this is the kernel's answer to `request`.
    #[inline]
    pub const fn answers(&self, request: &Request) -> bool {
        self.ack == request.ack.wrapping_add(1)
    }
}

impl McastOp {
    const fn to_raw(self) -> u32 {
        match self {
            Self::Listen => sys::PROC_CN_MCAST_LISTEN,
            Self::Ignore => sys::PROC_CN_MCAST_IGNORE,
        }
    }

    const fn from_raw(op: u32) -> Option<Self> {
        match op {
            sys::PROC_CN_MCAST_LISTEN => Some(Self::Listen),
            sys::PROC_CN_MCAST_IGNORE => Some(Self::Ignore),
            _ => None,
        }
    }
}

/// An encoded [`Request`]: dereferences to the bytes of the datagram.
#[derive(Clone, Copy, Debug)]
pub struct RequestBytes {
    bytes: [u8; HEADERS + LONG],
    len: usize,
}

impl Deref for RequestBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

const HEADERS: usize = netlink::HEADER_LEN + cn_msg::HEADER_LEN;
/// The form that every kernel accepts: an operation.
const SHORT: usize = size_of::<sys::proc_cn_mcast_op>();
/// The form since Linux 6.6: an operation and a mask.
const LONG: usize = size_of::<sys::proc_input>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wire<O: ByteOrder> {
    netlink: NlMsgHdr<O>,
    cn_msg: CnMsgHdr<O>,
    op: U32<O>,
    mask: U32<O>,
}
