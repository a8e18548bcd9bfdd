//! Datagrams laid out by hand at the offsets of the kernel's headers, without this crate's encoder.

#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary includes this file and uses a part of it"
)]

#[path = "../kinds/mod.rs"]
mod kinds;

pub(crate) use kinds::*;
use proc_connector_core::{Ack, ByteOrder, Control, EventRecord, Notification, Notifications};
use proc_connector_core::{ParseError, Payload};

/// Each kind with a name, and the least bytes of `event_data` it needs.
pub(crate) const KINDS: [(u32, usize); 9] = [
    (FORK, 16),
    (EXEC, 8),
    (UID, 16),
    (GID, 16),
    (SID, 8),
    (PTRACE, 16),
    (COMM, 24),
    (COREDUMP, 8),
    (EXIT, 16),
];

// Where the fields are in a datagram, in bytes.
pub(crate) const NLMSG_LEN: usize = 0;
pub(crate) const NLMSG_TYPE: usize = 4;
pub(crate) const NLMSG_SEQ: usize = 8;
pub(crate) const IDX: usize = 16;
pub(crate) const VAL: usize = 20;
pub(crate) const SEQ: usize = 24;
pub(crate) const ACK: usize = 28;
pub(crate) const LEN: usize = 32;
pub(crate) const WHAT: usize = 36;
pub(crate) const CPU: usize = 40;
pub(crate) const TIMESTAMP_NS: usize = 44;
pub(crate) const EVENT_DATA: usize = 52;

pub(crate) const TYPE_NOOP: u16 = 1;
pub(crate) const TYPE_ERROR: u16 = 2;
pub(crate) const TYPE_DONE: u16 = 3;
pub(crate) const TYPE_OVERRUN: u16 = 4;

/// The byte order to lay numbers out in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Native,
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Native => value.to_ne_bytes(),
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Native => value.to_ne_bytes(),
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Native => value.to_ne_bytes(),
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|&value| self.u32(value)).collect()
    }

    /// The words, zero-filled to the 24 bytes of the union as the kernel sends them.
    pub(crate) fn union(self, values: &[u32]) -> Vec<u8> {
        let mut data = self.words(values);
        data.resize(24, 0);
        data
    }
}

/// What the headers of a laid-out datagram say. No two bytes of a field are alike, so that a
/// field read at the wrong place or in the wrong order shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) cpu: u32,
    pub(crate) timestamp_ns: u64,
}

pub(crate) const HEAD: Head =
    Head { seq: 0x0a0b_0c0d, ack: 0, cpu: 0x0102_0304, timestamp_ns: 0x1122_3344_5566_7788 };

/// The acknowledgement that a datagram with [`HEAD`], but for `ack`, is read as.
pub(crate) const fn acknowledgement(ack: u32, err: u32) -> Ack {
    Ack { ack, err, cpu: HEAD.cpu, seq: HEAD.seq }
}

/// The datagram of an event, or of an acknowledgement where `what` is 0.
pub(crate) fn datagram(order: Order, head: Head, what: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; EVENT_DATA];
    bytes.extend_from_slice(data);
    let (nlmsg_len, len) = (bytes.len(), bytes.len() - WHAT);
    put(&mut bytes, NLMSG_LEN, &order.u32(u32::try_from(nlmsg_len).expect("a length of 32 bits")));
    put(&mut bytes, NLMSG_TYPE, &order.u16(TYPE_DONE));
    put(&mut bytes, NLMSG_SEQ, &order.u32(head.seq));
    put(&mut bytes, IDX, &order.u32(1));
    put(&mut bytes, VAL, &order.u32(1));
    put(&mut bytes, SEQ, &order.u32(head.seq));
    put(&mut bytes, ACK, &order.u32(head.ack));
    put(&mut bytes, LEN, &order.u16(u16::try_from(len).expect("a length of 16 bits")));
    put(&mut bytes, WHAT, &order.u32(what));
    put(&mut bytes, CPU, &order.u32(head.cpu));
    put(&mut bytes, TIMESTAMP_NS, &order.u64(head.timestamp_ns));
    bytes
}

/// An event in the host's order, as today's kernels send it.
pub(crate) fn event(what: u32, words: &[u32]) -> Vec<u8> {
    datagram(Order::Native, HEAD, what, &Order::Native.union(words))
}

/// A netlink message that says just its type and has `payload` behind its header.
pub(crate) fn message(order: Order, nlmsg_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes.extend_from_slice(payload);
    let len = u32::try_from(bytes.len()).expect("a length of 32 bits");
    put(&mut bytes, NLMSG_LEN, &order.u32(len));
    put(&mut bytes, NLMSG_TYPE, &order.u16(nlmsg_type));
    bytes
}

/// Messages one after the other, each but the last padded to a multiple of four.
pub(crate) fn buffer(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for message in messages {
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend_from_slice(message);
    }
    all
}

pub(crate) fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes[offset..offset + field.len()].copy_from_slice(field);
}

/// What a walk found, in a form that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Event(EventRecord<'a>),
    Ack(Ack),
    Control(Control),
}

/// The whole walk over `buffer`. One that does not end is cut off, and then too long to be right.
pub(crate) fn walk<'a, O: ByteOrder + 'a>(buffer: &'a [u8]) -> Vec<Result<Found<'a>, ParseError>> {
    let notifications = Notifications::<O>::with_order(buffer).take(buffer.len() + 2);
    notifications
        .map(|notification| {
            Ok(match notification? {
                Notification::Event(event) => Found::Event(event.into()),
                Notification::Ack(ack) => Found::Ack(ack),
                Notification::Control(control) => Found::Control(control),
                other => panic!("{other:?} is not known to the tests"),
            })
        })
        .collect()
}

/// The sum of everything that can be read of a notification, so that nothing is left unread.
pub(crate) fn read_all<O: ByteOrder>(notification: &Notification<'_, O>) -> u64 {
    let event = match notification {
        Notification::Event(event) => event,
        Notification::Ack(ack) => return sum(&[ack.ack, ack.err, ack.cpu, ack.seq]),
        _ => return 0,
    };
    let known = Option::unwrap_or_default;
    let data = match event.payload() {
        Payload::Fork(e) => sum(&[e.parent_pid(), e.parent_tgid(), e.child_pid(), e.child_tgid()]),
        Payload::Exec(e) => sum(&[e.process_pid(), e.process_tgid()]),
        Payload::Uid(e) => sum(&[e.process_pid(), e.process_tgid(), e.ruid(), e.euid()]),
        Payload::Gid(e) => sum(&[e.process_pid(), e.process_tgid(), e.rgid(), e.egid()]),
        Payload::Sid(e) => sum(&[e.process_pid(), e.process_tgid()]),
        Payload::Ptrace(e) => {
            sum(&[e.process_pid(), e.process_tgid(), e.tracer_pid(), e.tracer_tgid()])
        }
        Payload::Comm(e) => {
            sum(&[e.process_pid(), e.process_tgid()]) + bytes(e.comm()) + bytes(e.name())
        }
        Payload::Coredump(e) => {
            sum(&[e.process_pid(), e.process_tgid(), known(e.parent_pid()), known(e.parent_tgid())])
        }
        Payload::Exit(e) => sum(&[
            e.process_pid(),
            e.process_tgid(),
            e.exit_code(),
            e.exit_signal(),
            u32::from(e.status().code().unwrap_or_default()),
            u32::from(e.status().signal().unwrap_or_default()),
            u32::from(e.status().core_dumped()),
            known(e.parent_pid()),
            known(e.parent_tgid()),
        ]),
        Payload::Unknown(data) => bytes(data),
        other => panic!("{other:?} is not known to the tests"),
    };
    let header = sum(&[event.what(), event.mask().bits(), event.cpu(), event.seq()]);
    header.wrapping_add(event.timestamp_ns()).wrapping_add(data + bytes(event.data()))
}

fn sum(values: &[u32]) -> u64 {
    values.iter().map(|&value| u64::from(value)).sum()
}

fn bytes(values: &[u8]) -> u64 {
    values.iter().map(|&value| u64::from(value)).sum()
}
