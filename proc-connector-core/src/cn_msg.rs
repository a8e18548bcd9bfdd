//! Connector messages: `struct cn_msg` of `connector.h`, and its payload.

use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{Layer, ParseError};

/// `cb_id.idx` of the process events, and their multicast group.
pub const CN_IDX_PROC: u32 = sys::CN_IDX_PROC;
/// `cb_id.val` of the process events.
pub const CN_VAL_PROC: u32 = sys::CN_VAL_PROC;

/// `struct cn_msg` of `connector.h` without its payload, in the byte order `O`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct CnMsgHdr<O: ByteOrder = NativeEndian> {
    idx: U32<O>,
    val: U32<O>,
    seq: U32<O>,
    ack: U32<O>,
    len: U16<O>,
    flags: U16<O>,
}

const _: () = {
    type Ours = CnMsgHdr<NativeEndian>;
    assert!(size_of::<Ours>() == size_of::<sys::cn_msg>());
    assert!(offset_of!(Ours, idx) == offset_of!(sys::cn_msg, id) + offset_of!(sys::cb_id, idx));
    assert!(offset_of!(Ours, val) == offset_of!(sys::cn_msg, id) + offset_of!(sys::cb_id, val));
    assert!(offset_of!(Ours, seq) == offset_of!(sys::cn_msg, seq));
    assert!(offset_of!(Ours, ack) == offset_of!(sys::cn_msg, ack));
    assert!(offset_of!(Ours, len) == offset_of!(sys::cn_msg, len));
    assert!(offset_of!(Ours, flags) == offset_of!(sys::cn_msg, flags));
};

/// Bytes of a `struct cn_msg` before its payload.
pub const HEADER_LEN: usize = size_of::<CnMsgHdr>();

impl<O: ByteOrder> CnMsgHdr<O> {
    /// `id.idx`: the connector.
    #[inline]
    pub fn idx(&self) -> u32 {
        self.idx.get()
    }

    /// `id.val`: the instance of the connector.
    #[inline]
    pub fn val(&self) -> u32 {
        self.val.get()
    }

    /// In events, a counter of the sending CPU: see [`Event::seq`](crate::Event::seq).
    #[inline]
    pub fn seq(&self) -> u32 {
        self.seq.get()
    }

    /// 0 in events; in an acknowledgement, the request's `ack` plus one.
    #[inline]
    pub fn ack(&self) -> u32 {
        self.ack.get()
    }

    /// Length of the payload, in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "the kernel's name of a field")]
    pub fn len(&self) -> u16 {
        self.len.get()
    }

    /// Flags; 0 in events.
    #[inline]
    pub fn flags(&self) -> u16 {
        self.flags.get()
    }

    /// The header of a message of the process events with a payload of `len` bytes.
    #[inline]
    pub(crate) fn proc_events(seq: u32, ack: u32, len: u16) -> Self {
        Self {
            idx: U32::new(CN_IDX_PROC),
            val: U32::new(CN_VAL_PROC),
            seq: U32::new(seq),
            ack: U32::new(ack),
            len: U16::new(len),
            flags: U16::ZERO,
        }
    }

    /// The length of the header and its payload, in bytes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the header has 20 bytes")]
    pub(crate) fn message_len(&self) -> u32 {
        HEADER_LEN as u32 + u32::from(self.len.get())
    }
}

/// A connector message of the process events: its header, and the payload that its length covers.
///
/// ```
/// use proc_connector_core::netlink::Messages;
/// use proc_connector_core::{CnMsg, Request};
///
/// let datagram = Request::listen().with_ack(7).encode();
/// for message in Messages::new(&datagram) {
///     let cn_msg: CnMsg = CnMsg::parse(message?.payload())?;
///     assert_eq!((cn_msg.header().idx(), cn_msg.header().val()), (1, 1));
///     assert_eq!(cn_msg.header().ack(), 7);
///     assert_eq!(cn_msg.payload().len(), 4);
/// }
/// # Ok::<(), proc_connector_core::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CnMsg<'a, O: ByteOrder = NativeEndian> {
    header: &'a CnMsgHdr<O>,
    payload: &'a [u8],
}

impl<'a, O: ByteOrder> CnMsg<'a, O> {
    /// Reads the connector message at the start of `bytes` and ignores the bytes beyond its length.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if `bytes` ends before the header or the payload does, and
    /// [`ParseError::UnexpectedConnector`] if the message belongs to another connector.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let truncated = |needed| ParseError::Truncated {
            layer: Layer::CnMsg,
            offset: 0,
            needed,
            actual: bytes.len(),
        };
        let Ok((header, rest)) = CnMsgHdr::<O>::ref_from_prefix(bytes) else {
            return Err(truncated(HEADER_LEN));
        };
        let (idx, val) = (header.idx.get(), header.val.get());
        if (idx, val) != (CN_IDX_PROC, CN_VAL_PROC) {
            return Err(ParseError::UnexpectedConnector { offset: 0, idx, val });
        }
        let len = usize::from(header.len.get());
        match rest.split_at_checked(len) {
            Some((payload, _)) => Ok(Self { header, payload }),
            None => Err(truncated(HEADER_LEN + len)),
        }
    }

    /// The message's header.
    #[inline]
    pub const fn header(&self) -> &'a CnMsgHdr<O> {
        self.header
    }

    /// The bytes that `cn_msg.len` covers.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}
