//! Buffers that look like the kernel's, so that mutations get past ids and lengths: messages of every
//! kind with any contents, of which some lie about their length, are cut short or damaged.

use arbitrary::{Arbitrary, Unstructured};
use proc_connector_sys as sys;

/// Gives `check` the input as it is, and the buffer that it describes.
///
/// So seeds are what a socket or a capture gives, and need no form of their own.
pub fn both(input: &[u8], check: impl Fn(&[u8])) {
    check(input);
    if let Ok(buffer) = Buffer::arbitrary_take_rest(Unstructured::new(input)) {
        check(&buffer.bytes());
    }
}

/// Netlink messages one after the other.
#[derive(Arbitrary, Clone, Debug)]
pub struct Buffer {
    big_endian: bool,
    /// Bytes that are missing at the end.
    cut: u8,
    damage: Option<(u16, u8)>,
    messages: Vec<Message>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Message {
    /// What today's kernels send.
    Event(Event),
    /// The same with as many bytes of the union as older ones sent, or any number.
    Short(Event, u8),
    /// With lengths that are off by a little, or another connector's.
    Lying { event: Event, nlmsg_len: i8, len: i8, idx: u8 },
    /// Any type, with any payload.
    Other { nlmsg_type: u8, payload: [u8; 20], len: u8 },
}

#[derive(Arbitrary, Clone, Debug)]
struct Event {
    kind: Kind,
    seq: u32,
    ack: u32,
    cpu: u32,
    timestamp_ns: u64,
    union: [u8; UNION],
}

/// The kinds that have a name, acknowledgements, and any other.
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

/// Bytes of `proc_event.event_data`.
const UNION: usize = size_of::<sys::proc_event_data>();

impl Buffer {
    pub fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer { big_endian: self.big_endian, bytes: Vec::new() };
        for message in &self.messages {
            let padded = writer.bytes.len().next_multiple_of(4);
            writer.bytes.resize(padded, 0);
            writer.message(message);
        }
        let mut bytes = writer.bytes;
        if let Some((at, byte)) = self.damage.filter(|_| !bytes.is_empty()) {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(self.cut.into()));
        bytes
    }
}

struct Writer {
    big_endian: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn message(&mut self, message: &Message) {
        match message {
            Message::Event(event) => self.event(event, UNION, 0, 0, 1),
            Message::Short(event, len) => {
                self.event(event, usize::from(*len) % (UNION + 1), 0, 0, 1);
            }
            Message::Lying { event, nlmsg_len, len, idx } => {
                self.event(event, UNION, *nlmsg_len, *len, u32::from(*idx % 4));
            }
            Message::Other { nlmsg_type, payload, len } => {
                let payload = &payload[..usize::from(*len) % (payload.len() + 1)];
                self.header(payload.len(), 0, u16::from(*nlmsg_type % 6), 0);
                self.bytes.extend_from_slice(payload);
            }
        }
    }

    fn event(&mut self, event: &Event, union: usize, nlmsg_off: i8, off: i8, idx: u32) {
        let payload = 16 + union;
        self.header(20 + payload, nlmsg_off, 3, event.seq);
        for word in [idx, 1, event.seq, event.ack] {
            self.u32(word);
        }
        self.u16((payload as u16).wrapping_add_signed(off.into()));
        self.u16(0);
        self.u32(event.kind.what());
        self.u32(event.cpu);
        self.u64(event.timestamp_ns);
        self.bytes.extend_from_slice(&event.union[..union]);
    }

    fn header(&mut self, payload: usize, off: i8, nlmsg_type: u16, seq: u32) {
        self.u32((16 + payload as u32).wrapping_add_signed(off.into()));
        self.u16(nlmsg_type);
        self.u16(0);
        self.u32(seq);
        self.u32(0);
    }

    fn u16(&mut self, value: u16) {
        let bytes = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn u32(&mut self, value: u32) {
        let bytes = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn u64(&mut self, value: u64) {
        let bytes = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }
}
