//! Properties of all records, all bytes and any damage.

mod common;

use allocation_counter::measure;
use common::{EVENTS, Found, buffer, read_all, walk};
use proc_connector_core::netlink::Messages;
use proc_connector_core::{
    Ack, BigEndian, ByteOrder, CnMsg, EventData, EventMask, EventRecord, ExitStatus, LittleEndian,
    McastOp, NativeEndian, Notifications, Request,
};
use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::Index;

/// The parts of a record. It owns the bytes that the record borrows.
#[derive(Clone, Debug)]
struct Parts {
    ids: (u32, u32, u64),
    kind: usize,
    words: [u32; 6],
    comm: [u8; 16],
    what: u32,
    data: Vec<u8>,
}

impl Parts {
    fn record(&self) -> EventRecord<'_> {
        let (seq, cpu, timestamp_ns) = self.ids;
        let [process_pid, process_tgid, third, fourth, parent_pid, parent_tgid] = self.words;
        let data = match self.kind {
            0 => EventData::Fork { parent_pid, parent_tgid, child_pid: third, child_tgid: fourth },
            1 => EventData::Exec { process_pid, process_tgid },
            2 => EventData::Uid { process_pid, process_tgid, ruid: third, euid: fourth },
            3 => EventData::Gid { process_pid, process_tgid, rgid: third, egid: fourth },
            4 => EventData::Sid { process_pid, process_tgid },
            5 => EventData::Ptrace {
                process_pid,
                process_tgid,
                tracer_pid: third,
                tracer_tgid: fourth,
            },
            6 => EventData::Comm { process_pid, process_tgid, comm: self.comm },
            7 => EventData::Coredump { process_pid, process_tgid, parent_pid, parent_tgid },
            8 => EventData::Exit {
                process_pid,
                process_tgid,
                exit_code: third,
                exit_signal: fourth,
                parent_pid,
                parent_tgid,
            },
            _ => EventData::Unknown { what: self.what, data: &self.data },
        };
        EventRecord { seq, cpu, timestamp_ns, data }
    }

    fn encoded<O: ByteOrder>(&self) -> Vec<u8> {
        let mut bytes = vec![0xff; 256];
        let len = self.record().encode::<O>(&mut bytes).expect("less than 256 bytes");
        bytes.truncate(len);
        bytes
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let unnamed = |what: &u32| *what != 0 && EVENTS.iter().all(|(kind, _)| kind != what);
    let what = any::<u32>().prop_filter("named kinds are known", unnamed);
    let data = vec(any::<u8>(), 0..100);
    let rest = (any::<[u32; 6]>(), any::<[u8; 16]>(), what, data);
    (any::<(u32, u32, u64)>(), 0..10usize, rest).prop_map(|(ids, kind, rest)| {
        let (words, comm, what, data) = rest;
        Parts { ids, kind, words, comm, what, data }
    })
}

/// Random bytes, some of which start like a message.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        Just(Vec::new()),
        (0..400u32, 0..5u16).prop_map(|(len, kind)| {
            [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &1u32.to_ne_bytes()].concat()
        }),
    ];
    (header, vec(any::<u8>(), 0..400)).prop_map(|(header, tail)| [header, tail].concat())
}

fn request() -> impl Strategy<Value = Request> {
    let op = prop_oneof![Just(McastOp::Listen), Just(McastOp::Ignore)];
    let mask = any::<Option<u32>>().prop_map(|mask| mask.map(EventMask::from_bits_retain));
    (op, mask, any::<u32>()).prop_map(|(op, mask, ack)| Request { op, mask, ack })
}

/// Reads all notifications and asserts that their number is limited: each message takes at least 16
/// bytes. Offsets must equal those of [`Messages`].
fn exercise<O: ByteOrder>(bytes: &[u8]) {
    let most = bytes.len().div_ceil(16);
    let mut messages = Messages::<O>::with_order(bytes);
    let mut notifications = Notifications::<O>::with_order(bytes);
    let mut items = 0;
    loop {
        let start = notifications.offset();
        assert_eq!(start, messages.offset());
        let (message, notification) = (messages.next(), notifications.next());
        let Some(message) = message else {
            assert!(notification.is_none());
            break;
        };
        items += 1;
        assert!(items <= most, "{items} items in {} bytes", bytes.len());
        let progress = notifications.offset() - start;
        assert!(progress >= 16 || notifications.offset() == bytes.len(), "{progress} bytes");
        assert!(notifications.offset() <= bytes.len());
        match notification.expect("one for each message") {
            Ok(notification) => {
                assert!(message.is_ok());
                read_all(&notification);
                assert!(!format!("{notification:?}").is_empty());
            }
            Err(error) => {
                assert!(error.offset() <= bytes.len(), "{error} of {} bytes", bytes.len());
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert_eq!(notifications.offset(), bytes.len());
    assert!(messages.next().is_none() && notifications.next().is_none());
}

/// Reads all notifications and returns the sum of the fields and the number of allocations.
fn allocations<O: ByteOrder>(bytes: &[u8]) -> (u64, u64) {
    let mut total = 0u64;
    let counted = measure(|| {
        for notification in Notifications::<O>::with_order(bytes) {
            total = total.wrapping_add(match notification {
                Ok(notification) => read_all(&notification),
                Err(error) => error.offset() as u64,
            });
        }
    });
    (total, counted.count_total)
}

fn config() -> ProptestConfig {
    // A failure prints its input. Persistence would write a file beside the sources.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_record_encoded_and_decoded_is_the_same_record(parts in parts()) {
        fn identity<O: ByteOrder>(parts: &Parts) {
            let bytes = parts.encoded::<O>();
            assert_eq!(walk::<O>(&bytes), [Ok(Found::Event(parts.record()))]);
        }
        identity::<NativeEndian>(&parts);
        identity::<LittleEndian>(&parts);
        identity::<BigEndian>(&parts);
    }

    #[test]
    fn an_acknowledgement_encoded_and_decoded_is_the_same(
        (ack, err, cpu, seq) in any::<(u32, u32, u32, u32)>(),
    ) {
        fn identity<O: ByteOrder>(ack: Ack) {
            let mut bytes = [0xff; EventRecord::MAX_KERNEL_LEN];
            assert_eq!(ack.encode::<O>(&mut bytes), Ok(bytes.len()));
            assert_eq!(walk::<O>(&bytes), [Ok(Found::Ack(ack))]);
        }
        let ack = Ack { ack, err, cpu, seq };
        identity::<NativeEndian>(ack);
        identity::<LittleEndian>(ack);
        identity::<BigEndian>(ack);
    }

    #[test]
    fn reading_any_bytes_ends(bytes in bytes()) {
        exercise::<NativeEndian>(&bytes);
        exercise::<LittleEndian>(&bytes);
        exercise::<BigEndian>(&bytes);
        if let Ok(message) = CnMsg::<NativeEndian>::parse(&bytes) {
            prop_assert!(message.payload().len() <= bytes.len() - 20);
            let _ = Request::parse(&message);
        }
    }

    #[test]
    fn reading_any_bytes_allocates_nothing(
        bytes in bytes(),
        parts in vec(parts(), 0..6),
        damage in vec((any::<Index>(), any::<u8>()), 0..8),
    ) {
        let messages: Vec<_> = parts.iter().map(Parts::encoded::<NativeEndian>).collect();
        let mut messages = buffer(&messages);
        for (index, byte) in damage {
            if !messages.is_empty() {
                let index = index.index(messages.len());
                messages[index] = byte;
            }
        }
        for bytes in [bytes, messages] {
            prop_assert_eq!(allocations::<LittleEndian>(&bytes).1, 0);
            prop_assert_eq!(allocations::<BigEndian>(&bytes).1, 0);
        }
    }

    #[test]
    fn every_prefix_delivers_its_whole_messages_and_at_most_one_error(
        parts in vec(parts(), 1..5),
    ) {
        fn prefixes<O: ByteOrder + 'static>(parts: &[Parts]) {
            let messages: Vec<_> = parts.iter().map(Parts::encoded::<O>).collect();
            let bytes = buffer(&messages);
            let all = walk::<O>(&bytes);
            assert_eq!(all.len(), messages.len());
            for cut in 0..=bytes.len() {
                let (mut start, mut whole) = (0usize, 0);
                for message in &messages {
                    start = start.next_multiple_of(4) + message.len();
                    whole += usize::from(start <= cut);
                }
                let found = walk::<O>(&bytes[..cut]);
                assert_eq!(found[..whole], all[..whole], "cut to {cut} bytes");
                assert!(found[whole..].len() <= 1, "cut to {cut} bytes");
                assert!(found[whole..].iter().all(Result::is_err), "cut to {cut} bytes");
            }
        }
        prefixes::<LittleEndian>(&parts);
        prefixes::<BigEndian>(&parts);
    }

    #[test]
    fn reading_resumes_at_any_offset_with_the_same_results(
        bytes in bytes(),
        parts in vec(parts(), 0..6),
        stop in 0..8usize,
    ) {
        let mut messages: Vec<_> = parts.iter().map(Parts::encoded::<NativeEndian>).collect();
        messages.push(bytes);
        let bytes = buffer(&messages);
        let mut stopped = Notifications::new(&bytes);
        let before = stopped.by_ref().take(stop).count();
        let rest = walk::<NativeEndian>(&bytes[stopped.offset()..]);
        let all = walk::<NativeEndian>(&bytes);
        prop_assert_eq!(before + rest.len(), all.len());
        for (one, other) in rest.iter().zip(&all[before..]) {
            // Offsets of errors count from the start of each buffer.
            prop_assert_eq!(one.ok(), other.ok());
        }
    }

    #[test]
    fn damage_does_not_affect_earlier_messages(
        parts in vec(parts(), 1..6),
        damage in vec((any::<Index>(), any::<u8>()), 1..8),
    ) {
        let messages: Vec<_> = parts.iter().map(Parts::encoded::<NativeEndian>).collect();
        let intact = buffer(&messages);
        let mut bytes = intact.clone();
        for (index, byte) in damage {
            bytes[index.index(intact.len())] = byte;
        }
        exercise::<NativeEndian>(&bytes);
        exercise::<BigEndian>(&bytes);

        let first = intact.iter().zip(&bytes).take_while(|(was, is)| was == is).count();
        let (mut start, mut spared) = (0usize, 0);
        for message in &messages {
            start = start.next_multiple_of(4) + message.len();
            spared += usize::from(start <= first);
        }
        let (before, after) = (walk::<NativeEndian>(&intact), walk::<NativeEndian>(&bytes));
        prop_assert_eq!(&after[..spared], &before[..spared]);
    }

    #[test]
    fn a_request_encoded_and_parsed_is_the_same_request(request in request()) {
        fn identity<O: ByteOrder>(request: Request) {
            let bytes = request.encode_order::<O>();
            let message = Messages::<O>::with_order(&bytes).next().unwrap().unwrap();
            let message = CnMsg::<O>::parse(message.payload()).unwrap();
            assert_eq!(Request::parse(&message), Ok(request));
        }
        identity::<NativeEndian>(request);
        identity::<LittleEndian>(request);
        identity::<BigEndian>(request);
    }

    #[test]
    fn a_mask_and_its_text_are_equal(bits in any::<u32>()) {
        let mask = EventMask::from_bits_retain(bits);
        prop_assert_eq!(mask.to_string().parse(), Ok(mask));
    }

    #[test]
    fn a_status_is_an_exit_or_a_signal(raw in any::<u32>()) {
        let status = ExitStatus::from_raw(raw);
        prop_assert_eq!(status.into_raw(), raw);
        prop_assert!(status.code().is_some() != status.signal().is_some());
        prop_assert_eq!(status.success(), status.code() == Some(0));
    }
}
