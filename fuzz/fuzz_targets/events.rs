//! Everything that is read of a buffer, against a decoder that knows nothing but the offsets of the
//! kernel's headers, and written back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proc_connector_core::{
    BigEndian, ByteOrder, Control, Event, EventData, EventRecord, LittleEndian, NativeEndian,
    Notification, Notifications, Payload,
};

fuzz_target!(|bytes: &[u8]| {
    let little = compare::<LittleEndian>(bytes, Numbers::LITTLE);
    let big = compare::<BigEndian>(bytes, Numbers::BIG);
    let native = compare::<NativeEndian>(bytes, Numbers::NATIVE);
    assert_eq!(native, if cfg!(target_endian = "little") { little } else { big });
});

/// One message, as both decoders say it. `None` is an error.
type Read = Option<(Head, Body)>;

/// `what`, `cn_msg.seq`, `cn_msg.ack`, `cpu` and `timestamp_ns`; zeros where a kind tells none.
type Head = (u32, u32, u32, u32, u64);

#[derive(Debug, PartialEq, Eq)]
enum Body {
    /// The words of the kind's struct; parents of 0 are not known.
    Words(Vec<u32>),
    Comm([u32; 2], [u8; 16]),
    Unknown(Vec<u8>),
    Control(u16, i32),
}

fn compare<O: ByteOrder>(bytes: &[u8], numbers: Numbers) -> Vec<Read> {
    let mut ours = Vec::new();
    for notification in Notifications::<O>::with_order(bytes) {
        if let Ok(Notification::Event(event)) = notification {
            rewrite(event);
        }
        ours.push(notification.ok().map(|notification| read(&notification)));
    }
    assert_eq!(ours, naive(bytes, numbers));
    ours
}

/// Encodes the event in both orders; what is read back must be the same record.
fn rewrite<O: ByteOrder>(event: Event<'_, O>) {
    fn round_trip<P: ByteOrder>(record: EventRecord<'_>) {
        let mut datagram = match record.data {
            EventData::Unknown { data, .. } => vec![0xff; 52 + data.len()],
            _ => vec![0xff; 76],
        };
        assert_eq!(record.encode::<P>(&mut datagram), Ok(datagram.len()));
        let mut again = Notifications::<P>::with_order(&datagram);
        let Some(Ok(Notification::Event(event))) = again.next() else { panic!("an event") };
        assert_eq!(EventRecord::from(event), record);
        assert!(again.next().is_none());
    }
    let record = EventRecord::from(event);
    round_trip::<LittleEndian>(record);
    round_trip::<BigEndian>(record);
}

fn read<O: ByteOrder>(notification: &Notification<'_, O>) -> (Head, Body) {
    let event = match notification {
        Notification::Event(event) => event,
        Notification::Ack(ack) => {
            return ((0, ack.seq, ack.ack, ack.cpu, 0), Body::Words(vec![ack.err]));
        }
        Notification::Control(control) => {
            let (kind, error) = match *control {
                Control::Noop => (1, 0),
                Control::Error(error) => (2, error),
                Control::Done => (3, 0),
                Control::Overrun => (4, 0),
                other => panic!("{other:?} is not known here"),
            };
            return (Head::default(), Body::Control(kind, error));
        }
        other => panic!("{other:?} is not known here"),
    };
    let known = Option::unwrap_or_default;
    let body = Body::Words(match event.payload() {
        Payload::Fork(e) => {
            vec![e.parent_pid(), e.parent_tgid(), e.child_pid(), e.child_tgid()]
        }
        Payload::Exec(e) => vec![e.process_pid(), e.process_tgid()],
        Payload::Uid(e) => vec![e.process_pid(), e.process_tgid(), e.ruid(), e.euid()],
        Payload::Gid(e) => vec![e.process_pid(), e.process_tgid(), e.rgid(), e.egid()],
        Payload::Sid(e) => vec![e.process_pid(), e.process_tgid()],
        Payload::Ptrace(e) => {
            vec![e.process_pid(), e.process_tgid(), e.tracer_pid(), e.tracer_tgid()]
        }
        Payload::Coredump(e) => {
            vec![e.process_pid(), e.process_tgid(), known(e.parent_pid()), known(e.parent_tgid())]
        }
        Payload::Exit(e) => {
            let status = e.status();
            assert!(status.code().is_some() != status.signal().is_some());
            assert!(!status.to_string().is_empty());
            vec![
                e.process_pid(),
                e.process_tgid(),
                e.exit_code(),
                e.exit_signal(),
                known(e.parent_pid()),
                known(e.parent_tgid()),
            ]
        }
        Payload::Comm(e) => {
            assert!(e.comm().starts_with(e.name()) && !e.name().contains(&0));
            let body = Body::Comm([e.process_pid(), e.process_tgid()], *e.comm());
            return (head(event), body);
        }
        Payload::Unknown(data) => return (head(event), Body::Unknown(data.to_vec())),
        other => panic!("{other:?} is not known here"),
    });
    (head(event), body)
}

fn head<O: ByteOrder>(event: &Event<'_, O>) -> Head {
    assert_eq!(event.mask().bits(), event.what());
    (event.what(), event.seq(), 0, event.cpu(), event.timestamp_ns())
}

/// How to read the numbers of one byte order.
#[derive(Clone, Copy)]
struct Numbers {
    u16: fn([u8; 2]) -> u16,
    u32: fn([u8; 4]) -> u32,
    u64: fn([u8; 8]) -> u64,
}

impl Numbers {
    const LITTLE: Self =
        Self { u16: u16::from_le_bytes, u32: u32::from_le_bytes, u64: u64::from_le_bytes };
    const BIG: Self =
        Self { u16: u16::from_be_bytes, u32: u32::from_be_bytes, u64: u64::from_be_bytes };
    const NATIVE: Self =
        Self { u16: u16::from_ne_bytes, u32: u32::from_ne_bytes, u64: u64::from_ne_bytes };

    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        Some((self.u16)(bytes.get(at..at + 2)?.try_into().ok()?))
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        Some((self.u32)(bytes.get(at..at + 4)?.try_into().ok()?))
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        Some((self.u64)(bytes.get(at..at + 8)?.try_into().ok()?))
    }
}

fn naive(mut rest: &[u8], numbers: Numbers) -> Vec<Read> {
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let len = numbers.u32(rest, 0).unwrap_or_default() as usize;
        if rest.len() < 16 || len < 16 || rest.len() < len {
            messages.push(None);
            break;
        }
        messages.push(naive_message(&rest[..len], numbers));
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn naive_message(message: &[u8], numbers: Numbers) -> Read {
    match (numbers.u16(message, 4)?, message.len()) {
        (kind @ (1 | 4), _) | (kind @ 3, 16) => {
            return Some((Head::default(), Body::Control(kind, 0)));
        }
        (2, _) => {
            let error = i32::from_ne_bytes(numbers.u32(message, 16)?.to_ne_bytes());
            return Some((Head::default(), Body::Control(2, error)));
        }
        _ => {}
    }
    let (idx, val) = (numbers.u32(message, 16)?, numbers.u32(message, 20)?);
    let payload_len = usize::from(numbers.u16(message, 32)?);
    if (idx, val) != (1, 1) || payload_len < 16 {
        return None;
    }
    let message = message.get(..36 + payload_len)?;
    let (what, data_len) = (numbers.u32(message, 36)?, message.len() - 52);
    let (cpu, timestamp_ns) = (numbers.u32(message, 40)?, numbers.u64(message, 44)?);
    let mut head = (what, numbers.u32(message, 24)?, 0, cpu, timestamp_ns);
    let words = |count: usize| -> Option<Vec<u32>> {
        (0..count).map(|index| numbers.u32(message, 52 + 4 * index)).collect()
    };
    // What a kernel before 4.18 left out is not known, as are the zeros of later ones.
    let with_parent = |count: usize| -> Option<Vec<u32>> {
        if data_len >= 4 * count + 8 {
            return words(count + 2);
        }
        Some([words(count)?, vec![0, 0]].concat())
    };
    let body = match what {
        0x0000_0000 => {
            head.2 = numbers.u32(message, 28)?;
            head.4 = 0;
            Body::Words(words(1)?)
        }
        0x0000_0001 | 0x0000_0004 | 0x0000_0040 | 0x0000_0100 => Body::Words(words(4)?),
        0x0000_0002 | 0x0000_0080 => Body::Words(words(2)?),
        0x0000_0200 => {
            let ids = [numbers.u32(message, 52)?, numbers.u32(message, 56)?];
            Body::Comm(ids, message.get(60..76)?.try_into().ok()?)
        }
        0x4000_0000 => Body::Words(with_parent(2)?),
        0x8000_0000 => Body::Words(with_parent(4)?),
        _ => Body::Unknown(message[52..].to_vec()),
    };
    Some((head, body))
}
