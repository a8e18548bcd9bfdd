//! Process events: `struct proc_event` of `cn_proc.h`, one view for each kind.

mod datagram;
mod payload;
mod subject;

use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) use self::datagram::{Headers, KernelDatagram};
pub use self::payload::{
    Comm, Coredump, Exec, Exit, ExitTask, Fork, Gid, Parent, Payload, Ptrace, Sid, Task, Uid,
};
pub use self::subject::ProcessIds;
use crate::cn_msg::{self, CnMsg, CnMsgHdr};
use crate::context::Context;
use crate::error::{Layer, ParseError};
use crate::mask::EventMask;

/// The head of `struct proc_event` of `cn_proc.h`, before the union, in the byte order `O`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ProcEventHdr<O: ByteOrder = NativeEndian> {
    /// The kind, one of the `PROC_EVENT_*` bits; 0 for an acknowledgement.
    pub what: U32<O>,
    /// The CPU that sent the event.
    pub cpu: U32<O>,
    /// `CLOCK_MONOTONIC`, in nanoseconds: it stands still while the machine is suspended.
    pub timestamp_ns: U64<O>,
}

const _: () = {
    type Ours = ProcEventHdr<NativeEndian>;
    assert!(size_of::<Ours>() == offset_of!(sys::proc_event, event_data));
    assert!(offset_of!(Ours, cpu) == offset_of!(sys::proc_event, cpu));
    assert!(offset_of!(Ours, timestamp_ns) == offset_of!(sys::proc_event, timestamp_ns));
};

impl<O: ByteOrder> ProcEventHdr<O> {
    #[inline]
    pub(crate) fn new(what: u32, cpu: u32, timestamp_ns: u64) -> Self {
        Self { what: U32::new(what), cpu: U32::new(cpu), timestamp_ns: U64::new(timestamp_ns) }
    }
}

/// Bytes of a `struct proc_event` before its union.
pub const HEADER_LEN: usize = size_of::<ProcEventHdr>();

/// Bytes of the union `proc_event.event_data` as today's kernels send it.
pub const EVENT_DATA_LEN: usize = size_of::<sys::proc_event>() - HEADER_LEN;

/// What a connector message of the process events carries.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Delivery<'a, O: ByteOrder = NativeEndian> {
    /// Something that a process did.
    Event(Event<'a, O>),
    /// The kernel's answer to somebody's request.
    Ack(Ack),
}

impl<'a, O: ByteOrder> Delivery<'a, O> {
    /// Reads the payload of a connector message.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] where the payload is shorter than its kind needs. Parents that
    /// old kernels did not send are not needed.
    #[inline]
    pub fn parse(message: &CnMsg<'a, O>) -> Result<Self, ParseError> {
        let bytes = message.payload();
        let Ok((header, data)) = ProcEventHdr::<O>::ref_from_prefix(bytes) else {
            return Err(ParseError::Truncated {
                layer: Layer::ProcEvent,
                offset: cn_msg::HEADER_LEN,
                needed: HEADER_LEN,
                actual: bytes.len(),
            });
        };
        let what = header.what.get();
        let read = if what == sys::PROC_EVENT_NONE {
            U32::<O>::ref_from_prefix(data).map_or(Err(size_of::<u32>()), |(err, _)| {
                Ok(Self::Ack(Ack {
                    ack: message.header().ack.get(),
                    err: err.get(),
                    cpu: header.cpu.get(),
                    seq: message.header().seq.get(),
                }))
            })
        } else {
            Payload::parse(what, data).map(|payload| {
                Self::Event(Event { cn_msg: message.header(), header, data, payload, context: &[] })
            })
        };
        read.map_err(|needed| ParseError::Truncated {
            layer: Layer::EventData,
            offset: cn_msg::HEADER_LEN + HEADER_LEN,
            needed,
            actual: data.len(),
        })
    }
}

/// One process event, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a, O: ByteOrder = NativeEndian> {
    cn_msg: &'a CnMsgHdr<O>,
    header: &'a ProcEventHdr<O>,
    data: &'a [u8],
    payload: Payload<'a, O>,
    /// What was noted of the task, or nothing.
    context: &'a [u8],
}

impl<'a, O: ByteOrder> Event<'a, O> {
    /// The event with these headers and these bytes of the union `event_data`.
    ///
    /// The reverse of [`cn_msg`](Self::cn_msg), [`header`](Self::header) and [`data`](Self::data),
    /// for code that stores the parts of an event. The payload is [`Payload::Unknown`] if the union
    /// is shorter than its kind requires.
    #[inline]
    pub fn from_parts(
        cn_msg: &'a CnMsgHdr<O>,
        header: &'a ProcEventHdr<O>,
        data: &'a [u8],
    ) -> Self {
        let payload = Payload::parse(header.what.get(), data).unwrap_or(Payload::Unknown(data));
        Self { cn_msg, header, data, payload, context: &[] }
    }

    /// The header of the connector message that carried the event.
    #[inline]
    pub const fn cn_msg(&self) -> &'a CnMsgHdr<O> {
        self.cn_msg
    }

    /// The header of the event.
    #[inline]
    pub const fn header(&self) -> &'a ProcEventHdr<O> {
        self.header
    }

    /// The kind, as the kernel's `PROC_EVENT_*` bit.
    #[inline]
    pub fn what(&self) -> u32 {
        self.header.what.get()
    }

    /// The kind as a mask of one bit, known to this crate or not.
    #[inline]
    pub fn mask(&self) -> EventMask {
        EventMask::from_bits_retain(self.what())
    }

    /// The CPU that sent the event.
    #[inline]
    pub fn cpu(&self) -> u32 {
        self.header.cpu.get()
    }

    /// The place of the event among all that its CPU sent.
    ///
    /// The kernel counts for each CPU, acknowledgements included and before any filter, and wraps
    /// at 2^32. On an unfiltered subscription a gap is a loss. Events of one CPU arrive in this
    /// order; those of several may arrive slightly out of the order of their time stamps.
    #[inline]
    pub fn seq(&self) -> u32 {
        self.cn_msg.seq.get()
    }

    /// When it happened, in nanoseconds of `CLOCK_MONOTONIC`.
    #[inline]
    pub fn timestamp_ns(&self) -> u64 {
        self.header.timestamp_ns.get()
    }

    /// The bytes of the union `event_data`, whatever the kind.
    #[inline]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// What happened to whom.
    #[inline]
    pub const fn payload(&self) -> Payload<'a, O> {
        self.payload
    }

    /// The task that made the event, where a program in the kernel noted it.
    pub fn context(&self) -> Option<Context<'a>> {
        Context::parse(self.context)
    }

    /// The event with what was noted of its task: a [`ContextHdr`](crate::context::ContextHdr) and
    /// the arguments.
    #[inline]
    #[must_use]
    pub const fn with_context(self, context: &'a [u8]) -> Self {
        Self { context, ..self }
    }
}

/// The kernel's answer to a LISTEN request.
///
/// Every listener sees every other's, so an answer counts only for who sent the request:
///
/// ```
/// use proc_connector_core::{Ack, Request};
///
/// let request = Request::listen().with_ack(0x5eed);
/// assert!(Ack { ack: 0x5eee, ..Ack::default() }.answers(&request));
/// assert!(!Ack { ack: 0x1234, ..Ack::default() }.answers(&request));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct Ack {
    /// `cn_msg.ack`: the request's `ack` plus one.
    pub ack: u32,
    /// `event_data.ack.err`: 0, or a *positive* errno such as 22 (`EINVAL`) for a bad operation.
    pub err: u32,
    /// The CPU that sent it.
    pub cpu: u32,
    /// Its place among all that the CPU sent, as [`Event::seq`].
    pub seq: u32,
}
