//! Structured buffers, so that mutations pass the checks of ids and lengths: messages of every kind
//! with any content. Some have wrong lengths, are truncated or are damaged.

use arbitrary::{Arbitrary, Unstructured};
use proc_connector_core::testing::wire::{
    self, EVENT_DATA_LEN, EVENT_LEN, Head, Order, offset, put,
};
use proc_connector_sys as sys;

/// Calls `check` with the input itself and with the buffer that it describes.
///
/// Seeds can therefore be datagrams of a socket or a capture, without a format of their own.
pub fn both(input: &[u8], check: impl Fn(&[u8])) {
    check(input);
    if let Ok(buffer) = Buffer::arbitrary_take_rest(Unstructured::new(input)) {
        check(&buffer.bytes());
    }
}

/// Consecutive netlink messages.
#[derive(Arbitrary, Clone, Debug)]
pub struct Buffer {
    big_endian: bool,
    /// Number of bytes cut from the end.
    cut: u8,
    damage: Option<(u16, u8)>,
    messages: Vec<Message>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Message {
    /// A datagram of current kernels.
    Event(Event),
    /// The same with a shorter union, such as those of older kernels.
    Short(Event, u8),
    /// With slightly wrong lengths, or of another connector.
    Wrong { event: Event, nlmsg_len: i8, len: i8, idx: u8 },
    /// Any type with any payload.
    Other { nlmsg_type: u8, payload: [u8; 20], len: u8 },
}

#[derive(Arbitrary, Clone, Debug)]
struct Event {
    kind: Kind,
    seq: u32,
    ack: u32,
    cpu: u32,
    timestamp_ns: u64,
    union: [u8; EVENT_DATA_LEN],
}

/// Acknowledgements, the named kinds, and any other kind.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Kind {
    Ack,
    Fork,
    Exec,
    Uid,
    Gid,
    Sid,
    Ptrace,
    Comm,
    Coredump,
    Exit,
    Any(u32),
}

impl Kind {
    /// `proc_event.what`.
    pub fn what(self) -> u32 {
        match self {
            Self::Ack => sys::PROC_EVENT_NONE,
            Self::Fork => sys::PROC_EVENT_FORK,
            Self::Exec => sys::PROC_EVENT_EXEC,
            Self::Uid => sys::PROC_EVENT_UID,
            Self::Gid => sys::PROC_EVENT_GID,
            Self::Sid => sys::PROC_EVENT_SID,
            Self::Ptrace => sys::PROC_EVENT_PTRACE,
            Self::Comm => sys::PROC_EVENT_COMM,
            Self::Coredump => sys::PROC_EVENT_COREDUMP,
            Self::Exit => sys::PROC_EVENT_EXIT,
            Self::Any(what) => what,
        }
    }
}

impl Buffer {
    /// The messages, padded to multiples of four, with the damage and the cut applied.
    pub fn bytes(&self) -> Vec<u8> {
        let order = if self.big_endian { Order::Big } else { Order::Little };
        let messages: Vec<_> = self.messages.iter().map(|message| message.bytes(order)).collect();
        let mut bytes = wire::buffer(&messages);
        if let Some((at, byte)) = self.damage.filter(|_| !bytes.is_empty()) {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(self.cut.into()));
        bytes
    }
}

impl Message {
    fn bytes(&self, order: Order) -> Vec<u8> {
        match self {
            Self::Event(event) => event.bytes(order, EVENT_DATA_LEN),
            Self::Short(event, len) => event.bytes(order, usize::from(*len) % (EVENT_DATA_LEN + 1)),
            Self::Wrong { event, nlmsg_len, len, idx } => {
                let mut bytes = event.bytes(order, EVENT_DATA_LEN);
                let nlmsg_len = (EVENT_LEN as u32).wrapping_add_signed((*nlmsg_len).into());
                let payload = (EVENT_LEN - offset::WHAT) as u16;
                put(&mut bytes, offset::NLMSG_LEN, &order.u32(nlmsg_len));
                put(
                    &mut bytes,
                    offset::LEN,
                    &order.u16(payload.wrapping_add_signed((*len).into())),
                );
                put(&mut bytes, offset::IDX, &order.u32(u32::from(*idx % 4)));
                bytes
            }
            Self::Other { nlmsg_type, payload, len } => {
                let payload = &payload[..usize::from(*len) % (payload.len() + 1)];
                order.message(u16::from(*nlmsg_type % 6), payload)
            }
        }
    }
}

impl Event {
    fn bytes(&self, order: Order, len: usize) -> Vec<u8> {
        let Self { seq, ack, cpu, timestamp_ns, .. } = *self;
        let head = Head { seq, ack, cpu, timestamp_ns };
        order.datagram(head, self.kind.what(), &self.union[..len])
    }
}
