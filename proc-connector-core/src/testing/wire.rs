//! Datagrams laid out by hand at the offsets of the kernel's headers, without this crate's encoder.

use alloc::vec;
use alloc::vec::Vec;

// `nlmsg_type`, of netlink.h.
pub const NLMSG_NOOP: u16 = 1;
pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;
pub const NLMSG_OVERRUN: u16 = 4;

/// The offsets of the fields in the datagram of an event, in bytes.
pub mod offset {
    pub const NLMSG_LEN: usize = 0;
    pub const NLMSG_TYPE: usize = 4;
    pub const NLMSG_SEQ: usize = 8;
    pub const IDX: usize = 16;
    pub const VAL: usize = 20;
    pub const SEQ: usize = 24;
    pub const ACK: usize = 28;
    pub const LEN: usize = 32;
    pub const WHAT: usize = 36;
    pub const CPU: usize = 40;
    pub const TIMESTAMP_NS: usize = 44;
    pub const EVENT_DATA: usize = 52;
}

/// Bytes of the union `event_data` in the datagrams of current kernels.
pub const EVENT_DATA_LEN: usize = 24;

/// Bytes of the datagram of an event.
pub const EVENT_LEN: usize = offset::EVENT_DATA + EVENT_DATA_LEN;

/// The timestamp of every [`event`].
pub const TIMESTAMP_NS: u64 = 0x0102_0304_0506_0708;

/// The values in the headers of an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    pub seq: u32,
    pub ack: u32,
    pub cpu: u32,
    pub timestamp_ns: u64,
}

/// Values in which no two bytes of a field are equal, so that a field read at the wrong place or in
/// the wrong order is noticed.
pub const HEAD: Head =
    Head { seq: 0x0a0b_0c0d, ack: 0, cpu: 0x0102_0304, timestamp_ns: 0x1122_3344_5566_7788 };

/// The byte order of the numbers.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    Native,
    Little,
    Big,
}

impl Order {
    /// The datagram of an event, or of an acknowledgement if `what` is 0.
    pub fn datagram(self, head: Head, what: u32, data: &[u8]) -> Vec<u8> {
        let event = self.proc_event(head, what, data);
        let mut bytes = self.message(NLMSG_DONE, &self.cn_msg(1, 1, &event));
        put(&mut bytes, offset::NLMSG_SEQ, &self.u32(head.seq));
        put(&mut bytes, offset::SEQ, &self.u32(head.seq));
        put(&mut bytes, offset::ACK, &self.u32(head.ack));
        bytes
    }

    /// A `struct nlmsghdr` with its length and type, and the payload.
    pub fn message(self, nlmsg_type: u16, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(16 + payload.len()).expect("a length of 32 bits");
        [&self.u32(len)[..], &self.u16(nlmsg_type), &[0; 10], payload].concat()
    }

    /// A `struct cn_msg` with its id and length, and the payload.
    pub fn cn_msg(self, idx: u32, val: u32, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).expect("a length of 16 bits");
        [&self.words(&[idx, val, 0, 0])[..], &self.u16(len), &[0; 2], payload].concat()
    }

    /// A `struct proc_event`.
    pub fn proc_event(self, head: Head, what: u32, data: &[u8]) -> Vec<u8> {
        [&self.words(&[what, head.cpu])[..], &self.u64(head.timestamp_ns), data].concat()
    }

    /// The words, zero-filled to the length of the union as the kernel sends it.
    pub fn union(self, words: &[u32]) -> Vec<u8> {
        let mut data = self.words(words);
        data.resize(EVENT_DATA_LEN, 0);
        data
    }

    pub fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|&word| self.u32(word)).collect()
    }

    pub fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Native => value.to_ne_bytes(),
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Native => value.to_ne_bytes(),
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Native => value.to_ne_bytes(),
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// The datagram of an event as current kernels send it, in the host's byte order: of CPU 0, with the
/// sequence number 0.
pub fn event(what: u32, words: &[u32]) -> Vec<u8> {
    let head = Head { timestamp_ns: TIMESTAMP_NS, ..Head::default() };
    Order::Native.datagram(head, what, &Order::Native.union(words))
}

/// [`Order::message`] in the host's byte order.
pub fn message(nlmsg_type: u16, payload: &[u8]) -> Vec<u8> {
    Order::Native.message(nlmsg_type, payload)
}

/// [`Order::cn_msg`] in the host's byte order.
pub fn cn_msg(idx: u32, val: u32, payload: &[u8]) -> Vec<u8> {
    Order::Native.cn_msg(idx, val, payload)
}

/// [`Order::proc_event`] in the host's byte order, of CPU 0.
pub fn proc_event(what: u32, data: &[u8]) -> Vec<u8> {
    let head = Head { timestamp_ns: TIMESTAMP_NS, ..Head::default() };
    Order::Native.proc_event(head, what, data)
}

/// Messages one after the other, each but the last padded to a multiple of four.
pub fn buffer(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut all = vec![];
    for message in messages {
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend_from_slice(message);
    }
    all
}

/// Overwrites a field.
pub fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes[offset..offset + field.len()].copy_from_slice(field);
}
