//! Process events: `struct proc_event` of `cn_proc.h`, with one view per kind.

mod datagram;
mod payload;
mod subject;
mod views;

use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) use self::datagram::{Headers, KernelDatagram};
pub use self::payload::Payload;
pub use self::subject::ProcessIds;
pub use self::views::{Comm, Coredump, Exec, Exit, Fork, Gid, Ptrace, Sid, Uid};
use crate::cn_msg::{self, CnMsg, CnMsgHdr};
use crate::context::Context;
use crate::error::{Layer, ParseError};
use crate::mask::EventMask;

/// `struct proc_event` of `cn_proc.h` up to its union, in the byte order `O`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ProcEventHdr<O: ByteOrder = NativeEndian> {
    what: U32<O>,
    cpu: U32<O>,
    timestamp_ns: U64<O>,
}

const _: () = {
    type Ours = ProcEventHdr<NativeEndian>;
    assert!(size_of::<Ours>() == offset_of!(sys::proc_event, event_data));
    assert!(offset_of!(Ours, cpu) == offset_of!(sys::proc_event, cpu));
    assert!(offset_of!(Ours, timestamp_ns) == offset_of!(sys::proc_event, timestamp_ns));
};

impl<O: ByteOrder> ProcEventHdr<O> {
    /// The kind, one of the `PROC_EVENT_*` bits; 0 for an acknowledgement.
    #[inline]
    pub fn what(&self) -> u32 {
        self.what.get()
    }

    /// The CPU that sent the event.
    #[inline]
    pub fn cpu(&self) -> u32 {
        self.cpu.get()
    }

    /// `CLOCK_MONOTONIC`, in nanoseconds. This clock stops while the machine is suspended.
    #[inline]
    pub fn timestamp_ns(&self) -> u64 {
        self.timestamp_ns.get()
    }

    #[inline]
    pub(crate) fn new(what: u32, cpu: u32, timestamp_ns: u64) -> Self {
        Self { what: U32::new(what), cpu: U32::new(cpu), timestamp_ns: U64::new(timestamp_ns) }
    }
}

/// Bytes of a `struct proc_event` before its union.
pub const HEADER_LEN: usize = size_of::<ProcEventHdr>();

/// Bytes of the union `proc_event.event_data` as current kernels send it.
pub const EVENT_DATA_LEN: usize = size_of::<sys::proc_event>() - HEADER_LEN;

/// The content of a connector message of the process events.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Delivery<'a, O: ByteOrder = NativeEndian> {
    /// A process event.
    Event(Event<'a, O>),
    /// The kernel's answer to a LISTEN request, of this listener or another.
    Ack(Ack),
}

impl<'a, O: ByteOrder> Delivery<'a, O> {
    /// Reads the payload of a connector message.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if the payload is shorter than its kind requires. The parents that
    /// kernels before 4.18 did not send are optional.
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
        let what = header.what();
        let read = if what == sys::PROC_EVENT_NONE {
            U32::<O>::ref_from_prefix(data).map_or(Err(size_of::<u32>()), |(err, _)| {
                Ok(Self::Ack(Ack {
                    ack: message.header().ack(),
                    err: err.get(),
                    cpu: header.cpu(),
                    seq: message.header().seq(),
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

/// A process event, borrowed from the bytes it was read from.
///
/// ```
/// use proc_connector_core::{Event, EventMask};
///
/// # use proc_connector_core::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Exit {
/// #     process_pid: 7,
/// #     process_tgid: 7,
/// #     exit_code: 3 << 8,
/// #     exit_signal: 17,
/// #     parent_pid: 1,
/// #     parent_tgid: 1,
/// # };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("the datagram has an event")
/// # };
/// # let event: Event<'_> = event;
/// // Process 7 has exited with status 3, on CPU 1.
/// assert_eq!(event.mask(), EventMask::EXIT);
/// assert_eq!((event.cpu(), event.seq(), event.timestamp_ns()), (1, 41, 1_000));
/// assert_eq!(event.process().map(|process| process.tgid), Some(7));
/// assert!(event.context().is_none(), "only the ring transport notes a context");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Event<'a, O: ByteOrder = NativeEndian> {
    cn_msg: &'a CnMsgHdr<O>,
    header: &'a ProcEventHdr<O>,
    data: &'a [u8],
    payload: Payload<'a, O>,
    /// A [`Context`], or no bytes.
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
        self.header.what()
    }

    /// The kind as a mask of one bit, whether or not this crate knows it.
    #[inline]
    pub fn mask(&self) -> EventMask {
        EventMask::from_bits_retain(self.what())
    }

    /// The CPU that sent the event.
    #[inline]
    pub fn cpu(&self) -> u32 {
        self.header.cpu()
    }

    /// The sequence number of the event on the CPU that sent it.
    ///
    /// Each CPU counts its events and acknowledgements before any filter, and wraps at 2^32. On an
    /// unfiltered subscription a gap is a loss. Events of one CPU arrive in this
    /// order. Events of several CPUs may arrive slightly out of the order of their timestamps.
    #[inline]
    pub fn seq(&self) -> u32 {
        self.cn_msg.seq()
    }

    /// Time of the event, in nanoseconds of `CLOCK_MONOTONIC`. This clock stops while the machine is
    /// suspended.
    #[inline]
    pub fn timestamp_ns(&self) -> u64 {
        self.header.timestamp_ns()
    }

    /// The bytes of the union `event_data`, of any kind.
    #[inline]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The fields of the event, by kind.
    #[inline]
    pub const fn payload(&self) -> Payload<'a, O> {
        self.payload
    }

    /// The task that caused the event, if the ring transport recorded it.
    #[inline]
    pub fn context(&self) -> Option<Context<'a>> {
        Context::parse(self.what(), self.context)
    }

    /// The event with the bytes of its [context](Self::context): a header and the arguments.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub const fn with_context(self, context: &'a [u8]) -> Self {
        Self { context, ..self }
    }
}

/// The kernel's answer to a LISTEN request.
///
/// Every listener receives the answers to all requests. [`answers`](Self::answers) identifies its own:
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
    /// The CPU that sent the acknowledgement.
    pub cpu: u32,
    /// The sequence number on that CPU, as in [`Event::seq`].
    pub seq: u32,
}
