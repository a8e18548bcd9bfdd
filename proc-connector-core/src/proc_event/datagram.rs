//! The datagram of an event: writing it, and reading it in one step if it has the usual form.

use core::mem::size_of;

use proc_connector_sys as sys;
use zerocopy::byteorder::ByteOrder;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{EVENT_DATA_LEN, Event, HEADER_LEN, Payload, ProcEventHdr};
use crate::cn_msg::{CN_IDX_PROC, CN_VAL_PROC, CnMsgHdr};
use crate::error::EncodeError;
use crate::netlink::{NLMSG_DONE, NlMsgHdr};

/// The header stack of an event; the union `event_data` follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Headers<O: ByteOrder> {
    netlink: NlMsgHdr<O>,
    cn_msg: CnMsgHdr<O>,
    event: ProcEventHdr<O>,
}

impl<O: ByteOrder> Headers<O> {
    /// Bytes before the union.
    pub(crate) const LEN: usize = size_of::<Self>();

    #[inline]
    pub(crate) fn new(cn_msg: CnMsgHdr<O>, event: ProcEventHdr<O>) -> Self {
        let netlink = NlMsgHdr::connector(cn_msg.message_len(), cn_msg.seq());
        Self { netlink, cn_msg, event }
    }

    /// Writes the headers and the union `data`, and returns the length of the datagram in bytes.
    #[inline]
    pub(crate) fn emit(&self, data: &[u8], buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let (needed, actual) = (Self::LEN + data.len(), buffer.len());
        let Some(datagram) = buffer.get_mut(..needed) else {
            return Err(EncodeError::BufferTooSmall { needed, actual });
        };
        let (head, tail) = datagram.split_at_mut(Self::LEN);
        head.copy_from_slice(self.as_bytes());
        tail.copy_from_slice(data);
        Ok(needed)
    }
}

impl<O: ByteOrder> Event<'_, O> {
    /// The length of the event's datagram, in bytes.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        Headers::<O>::LEN + self.data.len()
    }

    /// Writes the event's datagram as it was received, in its own byte order, and returns its
    /// length in bytes.
    ///
    /// Every byte from the `cn_msg` on is copied, so unknown kinds, the short structs of kernels
    /// before 4.18 and fields that newer kernels append are preserved. The netlink header has the
    /// values that the kernel writes for an event. The [context](Self::context) is not written.
    ///
    /// To write an event in another byte order, convert it to an
    /// [`EventRecord`](crate::EventRecord).
    ///
    /// ```
    /// use proc_connector_core::{EventData, EventRecord, Notification, Notifications};
    ///
    /// # let data = EventData::Exec { process_pid: 7, process_tgid: 7 };
    /// # let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: 5, data };
    /// # let mut received = [0; EventRecord::MAX_KERNEL_LEN];
    /// # record.encode_native(&mut received)?;
    /// let Some(Ok(Notification::Event(event))) = Notifications::new(&received).next() else {
    ///     panic!("an event")
    /// };
    /// let mut copy = [0; 128];
    /// let len = event.encode(&mut copy)?;
    /// assert_eq!(len, event.encoded_len());
    /// assert_eq!(copy[..len], received);
    /// # Ok::<(), proc_connector_core::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`] if `buffer` has fewer than
    /// [`encoded_len`](Self::encoded_len) bytes.
    #[inline]
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        Headers::new(*self.cn_msg, *self.header).emit(self.data, buffer)
    }
}

/// The datagram that current kernels send for an event, headers included.
///
/// A datagram of this form is read in one step, which is faster than layer by layer and has the same
/// result. All other datagrams are read layer by layer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct KernelDatagram<O: ByteOrder> {
    netlink: NlMsgHdr<O>,
    message: KernelMessage<O>,
}

/// The connector message in a [`KernelDatagram`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct KernelMessage<O: ByteOrder> {
    cn_msg: CnMsgHdr<O>,
    event: ProcEventHdr<O>,
    data: [u8; EVENT_DATA_LEN],
}

impl<O: ByteOrder> KernelDatagram<O> {
    /// The event, or `None` if the datagram has another form.
    #[inline]
    pub(crate) fn event(&self) -> Option<Event<'_, O>> {
        let Self { netlink, message } = self;
        let recognised = usize::try_from(netlink.nlmsg_len()) == Ok(size_of::<Self>())
            && netlink.nlmsg_type() == NLMSG_DONE;
        if recognised { message.event(&[]) } else { None }
    }
}

impl<O: ByteOrder> KernelMessage<O> {
    const PAYLOAD_LEN: usize = HEADER_LEN + EVENT_DATA_LEN;

    /// The event with this context, or `None` if the message has another form.
    #[inline]
    fn event<'a>(&'a self, context: &'a [u8]) -> Option<Event<'a, O>> {
        let Self { cn_msg, event, data } = self;
        let what = event.what();
        let recognised = (cn_msg.idx(), cn_msg.val()) == (CN_IDX_PROC, CN_VAL_PROC)
            && usize::from(cn_msg.len()) == Self::PAYLOAD_LEN
            && what != sys::PROC_EVENT_NONE;
        if !recognised {
            return None;
        }
        let payload = Payload::parse(what, data).ok()?;
        Some(Event { cn_msg, header: event, data, payload, context })
    }
}

impl<'a> Event<'a> {
    /// The event of a connector message of the usual form in the host's byte order, with the bytes of
    /// its [context](Self::context). `None` for any other message.
    #[doc(hidden)]
    #[inline]
    pub fn from_kernel_message(message: &'a [u8], context: &'a [u8]) -> Option<Self> {
        KernelMessage::ref_from_bytes(message).ok()?.event(context)
    }
}
