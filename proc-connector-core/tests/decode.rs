//! Decoding of well-formed bytes, laid out by hand, in each byte order.

mod common;

use common::{
    COMM, COREDUMP, EXEC, EXIT, FORK, Found, GID, HEAD, Head, NEW_KIND, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN, NONE, NONZERO_EXIT, Order, PTRACE, SID, UID, acknowledgement,
    buffer, event, walk,
};
use proc_connector_core::netlink::Messages;
use proc_connector_core::{
    Ack, BigEndian, ByteOrder, Control, Event, EventData, EventMask, EventRecord, LittleEndian,
    NativeEndian, Notification, Notifications, Payload, Request,
};

/// The fields of a kind under the kernel's names, in the order of its struct, with their values.
type Fields = &'static [(&'static str, u32)];

/// The kinds that consist of 32-bit words.
const KINDS: [(u32, &str, Fields); 8] = [
    (
        FORK,
        "fork",
        &[
            ("parent_pid", 0x1011_1213),
            ("parent_tgid", 0x2021_2223),
            ("child_pid", 0x3031_3233),
            ("child_tgid", 0x4041_4243),
        ],
    ),
    (EXEC, "exec", &[("process_pid", 0x1011_1213), ("process_tgid", 0x2021_2223)]),
    (
        UID,
        "uid",
        &[
            ("process_pid", 0x1011_1213),
            ("process_tgid", 0x2021_2223),
            ("ruid", 0x3031_3233),
            ("euid", 0x4041_4243),
        ],
    ),
    (
        GID,
        "gid",
        &[
            ("process_pid", 0x1011_1213),
            ("process_tgid", 0x2021_2223),
            ("rgid", 0x3031_3233),
            ("egid", 0x4041_4243),
        ],
    ),
    (SID, "sid", &[("process_pid", 0x1011_1213), ("process_tgid", 0x2021_2223)]),
    (
        PTRACE,
        "ptrace",
        &[
            ("process_pid", 0x1011_1213),
            ("process_tgid", 0x2021_2223),
            ("tracer_pid", 0x3031_3233),
            ("tracer_tgid", 0x4041_4243),
        ],
    ),
    (
        COREDUMP,
        "coredump",
        &[
            ("process_pid", 0x1011_1213),
            ("process_tgid", 0x2021_2223),
            ("parent_pid", 0x3031_3233),
            ("parent_tgid", 0x4041_4243),
        ],
    ),
    (
        EXIT,
        "exit",
        &[
            ("process_pid", 0x1011_1213),
            ("process_tgid", 0x2021_2223),
            ("exit_code", 0x3031_3233),
            ("exit_signal", 0x4041_4243),
            ("parent_pid", 0x5051_5253),
            ("parent_tgid", 0x6061_6263),
        ],
    ),
];

#[test]
fn every_field_of_every_kind_is_read_in_every_byte_order() {
    every_field::<NativeEndian>(Order::Native);
    every_field::<LittleEndian>(Order::Little);
    every_field::<BigEndian>(Order::Big);
}

fn every_field<O: ByteOrder>(order: Order) {
    for (what, kind, expected) in KINDS {
        let values: Vec<_> = expected.iter().map(|&(_, value)| value).collect();
        let bytes = order.datagram(HEAD, what, &order.union(&values));
        assert_eq!(bytes.len(), 76, "the size of today's datagrams");

        let event = only_event::<O>(&bytes);
        assert_eq!(event.what(), what, "{kind}, {order:?}");
        assert_eq!(event.mask().bits(), what, "{kind}, {order:?}");
        assert_eq!(event.mask().to_string(), kind);
        assert_eq!(event.cpu(), 0x0102_0304, "{kind}, {order:?}");
        assert_eq!(event.seq(), 0x0a0b_0c0d, "{kind}, {order:?}");
        assert_eq!(event.timestamp_ns(), 0x1122_3344_5566_7788, "{kind}, {order:?}");
        assert_eq!(event.data(), &bytes[52..], "{kind}, {order:?}");
        assert_eq!(fields(&event), (kind, expected.to_vec()), "{order:?}");
    }
}

fn fields<O: ByteOrder>(event: &Event<'_, O>) -> (&'static str, Vec<(&'static str, u32)>) {
    let known = |parent: Option<u32>| parent.expect("a parent was sent");
    match event.payload() {
        Payload::Fork(e) => (
            "fork",
            vec![
                ("parent_pid", e.parent_pid()),
                ("parent_tgid", e.parent_tgid()),
                ("child_pid", e.child_pid()),
                ("child_tgid", e.child_tgid()),
            ],
        ),
        Payload::Exec(e) => {
            ("exec", vec![("process_pid", e.process_pid()), ("process_tgid", e.process_tgid())])
        }
        Payload::Uid(e) => (
            "uid",
            vec![
                ("process_pid", e.process_pid()),
                ("process_tgid", e.process_tgid()),
                ("ruid", e.ruid()),
                ("euid", e.euid()),
            ],
        ),
        Payload::Gid(e) => (
            "gid",
            vec![
                ("process_pid", e.process_pid()),
                ("process_tgid", e.process_tgid()),
                ("rgid", e.rgid()),
                ("egid", e.egid()),
            ],
        ),
        Payload::Sid(e) => {
            ("sid", vec![("process_pid", e.process_pid()), ("process_tgid", e.process_tgid())])
        }
        Payload::Ptrace(e) => (
            "ptrace",
            vec![
                ("process_pid", e.process_pid()),
                ("process_tgid", e.process_tgid()),
                ("tracer_pid", e.tracer_pid()),
                ("tracer_tgid", e.tracer_tgid()),
            ],
        ),
        Payload::Coredump(e) => (
            "coredump",
            vec![
                ("process_pid", e.process_pid()),
                ("process_tgid", e.process_tgid()),
                ("parent_pid", known(e.parent_pid())),
                ("parent_tgid", known(e.parent_tgid())),
            ],
        ),
        Payload::Exit(e) => (
            "exit",
            vec![
                ("process_pid", e.process_pid()),
                ("process_tgid", e.process_tgid()),
                ("exit_code", e.exit_code()),
                ("exit_signal", e.exit_signal()),
                ("parent_pid", known(e.parent_pid())),
                ("parent_tgid", known(e.parent_tgid())),
            ],
        ),
        other => panic!("{other:?} is not made of words"),
    }
}

#[test]
fn the_encoder_writes_the_bytes_laid_out_by_hand() {
    encoder::<NativeEndian>(Order::Native);
    encoder::<LittleEndian>(Order::Little);
    encoder::<BigEndian>(Order::Big);
}

fn encoder<O: ByteOrder>(order: Order) {
    let (process_pid, process_tgid) = (1, 2);
    let comm = *b"0123456789abcde\0";
    let comm_data = [order.words(&[1, 2]), comm.to_vec()].concat();
    #[rustfmt::skip]
    let cases = [
        (
            EventData::Fork { parent_pid: 1, parent_tgid: 2, child_pid: 3, child_tgid: 4 },
            FORK, order.union(&[1, 2, 3, 4]),
        ),
        (EventData::Exec { process_pid, process_tgid }, EXEC, order.union(&[1, 2])),
        (
            EventData::Uid { process_pid, process_tgid, ruid: 3, euid: 4 },
            UID, order.union(&[1, 2, 3, 4]),
        ),
        (
            EventData::Gid { process_pid, process_tgid, rgid: 3, egid: 4 },
            GID, order.union(&[1, 2, 3, 4]),
        ),
        (EventData::Sid { process_pid, process_tgid }, SID, order.union(&[1, 2])),
        (
            EventData::Ptrace { process_pid, process_tgid, tracer_pid: 3, tracer_tgid: 4 },
            PTRACE, order.union(&[1, 2, 3, 4]),
        ),
        (EventData::Comm { process_pid, process_tgid, comm }, COMM, comm_data),
        (
            EventData::Coredump { process_pid, process_tgid, parent_pid: 3, parent_tgid: 4 },
            COREDUMP, order.union(&[1, 2, 3, 4]),
        ),
        (
            EventData::Exit {
                process_pid, process_tgid, exit_code: 3, exit_signal: 4, parent_pid: 5, parent_tgid: 6,
            },
            EXIT, order.union(&[1, 2, 3, 4, 5, 6]),
        ),
        (EventData::Unknown { what: NEW_KIND, data: b"12345" }, NEW_KIND, b"12345".to_vec()),
    ];
    for (data, what, laid_out) in cases {
        let expected = order.datagram(HEAD, what, &laid_out);
        let Head { seq, cpu, timestamp_ns, .. } = HEAD;
        let mut bytes = [0xff; 80];
        let record = EventRecord { seq, cpu, timestamp_ns, data };
        let len = record.encode::<O>(&mut bytes).expect("a datagram below 80 bytes");
        assert_eq!(&bytes[..len], expected, "{data:?}, {order:?}");
    }

    let mut bytes = [0xff; 80];
    let ack = Ack { ack: 0x5eee, err: 22, cpu: 3, seq: 9 };
    let len = ack.encode::<O>(&mut bytes).expect("76 bytes");
    let head = Head { seq: 9, ack: 0x5eee, cpu: 3, timestamp_ns: 0 };
    assert_eq!(&bytes[..len], order.datagram(head, NONE, &order.union(&[22])));
}

#[test]
fn comm_is_bytes_up_to_a_nul_or_all_sixteen() {
    let cases: [(&[u8; 16], &[u8]); 5] = [
        (b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"sh"),
        (b"tail\0of the old\0", b"tail"),
        (b"0123456789abcdef", b"0123456789abcdef"),
        (&[0; 16], b""),
        (b"\xff\xfe not UTF-8\0\0\0\0", b"\xff\xfe not UTF-8"),
    ];
    for (comm, name) in cases {
        let data = [&Order::Native.words(&[7, 8]), &comm[..]].concat();
        let bytes = Order::Native.datagram(HEAD, COMM, &data);
        let Payload::Comm(read) = only_event::<NativeEndian>(&bytes).payload() else {
            panic!("a change of name")
        };
        assert_eq!((read.process_pid(), read.process_tgid()), (7, 8));
        assert_eq!((read.comm(), read.name()), (comm, name));
    }
}

#[test]
fn parents_that_the_kernel_did_not_send_are_none() {
    // Before Linux 4.18, exits and core dumps had no parents. Exits of threads have zeros.
    let cases: [(u32, &[u32], bool, _); 8] = [
        (EXIT, &[7, 7, 768, 17, 5, 6], true, (Some(5), Some(6))),
        (EXIT, &[7, 7, 768, 17, 5, 6], false, (Some(5), Some(6))),
        (EXIT, &[7, 7, 768, 17], true, (None, None)),
        (EXIT, &[7, 7, 768, 17], false, (None, None)),
        (EXIT, &[8, 7, 0, u32::MAX, 0, 0], false, (None, None)),
        (COREDUMP, &[7, 7, 5, 6], false, (Some(5), Some(6))),
        (COREDUMP, &[7, 7], true, (None, None)),
        (COREDUMP, &[7, 7], false, (None, None)),
    ];
    for (what, words, zero_filled, expected) in cases {
        let data =
            if zero_filled { Order::Native.union(words) } else { Order::Native.words(words) };
        let bytes = Order::Native.datagram(HEAD, what, &data);
        let parents = match only_event::<NativeEndian>(&bytes).payload() {
            Payload::Exit(exit) => {
                assert_eq!(exit.process_pid(), words[0]);
                assert_eq!((exit.exit_code(), exit.exit_signal()), (words[2], words[3]));
                (exit.parent_pid(), exit.parent_tgid())
            }
            Payload::Coredump(dump) => {
                assert_eq!((dump.process_pid(), dump.process_tgid()), (7, 7));
                (dump.parent_pid(), dump.parent_tgid())
            }
            other => panic!("{other:?} has no parent"),
        };
        assert_eq!(parents, expected, "kind {what:#x} with {words:?} in {} bytes", data.len());
    }
}

#[test]
fn an_acknowledgement_is_distinguished_from_an_event_in_every_byte_order() {
    acknowledgements::<NativeEndian>(Order::Native);
    acknowledgements::<LittleEndian>(Order::Little);
    acknowledgements::<BigEndian>(Order::Big);
}

fn acknowledgements<O: ByteOrder>(order: Order) {
    let request = Request::listen().with_ack(0x5eed_0001);
    for err in [0, 22] {
        let head = Head { ack: 0x5eed_0002, ..HEAD };
        for data in [order.words(&[err]), order.union(&[err])] {
            let bytes = order.datagram(head, NONE, &data);
            let found = walk::<O>(&bytes);
            assert_eq!(found, [Ok(Found::Ack(acknowledgement(0x5eed_0002, err)))], "{order:?}");
        }
        assert!(acknowledgement(0x5eed_0002, err).answers(&request));
        assert!(!acknowledgement(0x5eed_0001, err).answers(&request), "an ack not counted up");
    }
    let last = Request::listen().with_ack(u32::MAX);
    assert!(acknowledgement(0, 0).answers(&last), "the kernel's count wraps");
}

#[test]
fn an_unknown_kind_keeps_its_header_and_every_byte() {
    // Two bits at once, the request-only bit, and an unaligned length.
    for what in [NEW_KIND, FORK | EXEC, NONZERO_EXIT, u32::MAX] {
        for data in [&b""[..], b"1", b"12345", &[0xa5; 24], &[0x5a; 1000]] {
            let bytes = Order::Native.datagram(HEAD, what, data);
            let event = only_event::<NativeEndian>(&bytes);
            let Payload::Unknown(kept) = event.payload() else { panic!("{what:#x} has no name") };
            assert_eq!(kept, data);
            assert_eq!(event.what(), what);
            assert_eq!(event.mask(), EventMask::from_bits_retain(what));
            assert_eq!((event.cpu(), event.seq()), (HEAD.cpu, HEAD.seq));
            assert_eq!(event.timestamp_ns(), HEAD.timestamp_ns);
        }
    }
}

#[test]
fn several_messages_of_all_types_in_one_buffer_are_each_delivered() {
    several::<NativeEndian>(Order::Native);
    several::<LittleEndian>(Order::Little);
    several::<BigEndian>(Order::Big);
}

fn several<O: ByteOrder>(order: Order) {
    let exec = |pid| order.datagram(HEAD, EXEC, &order.union(&[pid, pid]));
    let found_exec = |pid| {
        let data = EventData::Exec { process_pid: pid, process_tgid: pid };
        let Head { seq, cpu, timestamp_ns, .. } = HEAD;
        Ok(Found::Event(EventRecord { seq, cpu, timestamp_ns, data }))
    };
    let errno = |error: i32| order.u32(u32::from_ne_bytes(error.to_ne_bytes())).to_vec();
    // A real nlmsgerr continues with the header of the request.
    let refused = [errno(-1), vec![0xee; 16]].concat();
    let bytes = buffer(&[
        exec(1),
        order.message(NLMSG_NOOP, b""),
        order.message(NLMSG_NOOP, b"ignored"),
        exec(2),
        order.message(NLMSG_ERROR, &errno(0)),
        order.message(NLMSG_ERROR, &refused),
        order.message(NLMSG_DONE, b""),
        exec(3),
        order.message(NLMSG_OVERRUN, b""),
        order.datagram(Head { ack: 6, ..HEAD }, NONE, &order.union(&[0])),
        exec(4),
    ]);
    let expected = [
        found_exec(1),
        Ok(Found::Control(Control::Noop)),
        Ok(Found::Control(Control::Noop)),
        found_exec(2),
        Ok(Found::Control(Control::Error(0))),
        Ok(Found::Control(Control::Error(-1))),
        Ok(Found::Control(Control::Done)),
        found_exec(3),
        Ok(Found::Control(Control::Overrun)),
        Ok(Found::Ack(acknowledgement(6, 0))),
        found_exec(4),
    ];
    assert_eq!(walk::<O>(&bytes), expected, "{order:?}");
}

#[test]
fn the_type_of_a_message_decides_regardless_of_its_payload() {
    let exec = event(EXEC, &[7, 7]);
    let Ok(as_event) = walk::<NativeEndian>(&exec)[0] else { panic!("an event") };
    let cases = [
        (NLMSG_NOOP, Found::Control(Control::Noop)),
        // The payload starts with id.idx, which is 1.
        (NLMSG_ERROR, Found::Control(Control::Error(1))),
        (NLMSG_DONE, as_event),
        (NLMSG_OVERRUN, Found::Control(Control::Overrun)),
        (0, as_event),
        (0x10, as_event),
        (0x0300, as_event),
        (u16::MAX, as_event),
    ];
    for (nlmsg_type, expected) in cases {
        let bytes = Order::Native.message(nlmsg_type, &exec[16..]);
        assert_eq!(walk::<NativeEndian>(&bytes), [Ok(expected)], "type {nlmsg_type}");
    }
}

#[test]
fn an_event_may_be_followed_by_bytes_that_its_message_covers() {
    // The connector message ends before the netlink message; the bytes between belong to neither.
    let exec = event(EXEC, &[7, 7]);
    let [expected] = walk::<NativeEndian>(&exec)[..] else { panic!("an event") };
    for more in 1..=8 {
        let payload = [&exec[16..], &vec![0xff; more]].concat();
        let bytes = buffer(&[Order::Native.message(NLMSG_DONE, &payload), exec.clone()]);
        assert_eq!(walk::<NativeEndian>(&bytes), [expected; 2], "{more} bytes more");
    }
}

#[test]
fn messages_start_at_multiples_of_four_and_the_last_needs_no_padding() {
    for odd in 0..=8 {
        let first = Order::Native.datagram(HEAD, NEW_KIND, &vec![0xa5; odd]);
        let bytes = buffer(&[first.clone(), event(EXEC, &[7, 7]), first.clone()]);
        let starts: Vec<_> = Messages::new(&bytes).map(|m| m.unwrap().offset()).collect();
        let second = (52 + odd).next_multiple_of(4);
        assert_eq!(starts, [0, second, second + 76]);

        let found = walk::<NativeEndian>(&bytes);
        let Head { seq, cpu, timestamp_ns, .. } = HEAD;
        let of = |data| Ok(Found::Event(EventRecord { seq, cpu, timestamp_ns, data }));
        let unknown = of(EventData::Unknown { what: NEW_KIND, data: &first[52..] });
        let exec = of(EventData::Exec { process_pid: 7, process_tgid: 7 });
        assert_eq!(found, [unknown, exec, unknown], "{odd} bytes of data");

        // Padding after the last message is not a message.
        let mut padded = bytes.clone();
        padded.resize(bytes.len().next_multiple_of(4), 0);
        assert_eq!(walk::<NativeEndian>(&padded), found);
    }
}

#[test]
fn a_buffer_may_start_at_any_address() {
    let bytes = buffer(&[event(EXIT, &[7, 7, 768, 17, 5, 6]), event(EXEC, &[8, 8])]);
    let expected = walk::<NativeEndian>(&bytes);
    assert_eq!(expected.iter().filter(|found| found.is_ok()).count(), 2);
    for start in 0..8 {
        let mut larger = vec![0xff; start];
        larger.extend_from_slice(&bytes);
        assert_eq!(walk::<NativeEndian>(&larger[start..]), expected, "at offset {start}");
    }
}

fn only_event<O: ByteOrder>(bytes: &[u8]) -> Event<'_, O> {
    let mut notifications = Notifications::<O>::with_order(bytes);
    let Some(Ok(Notification::Event(event))) = notifications.next() else { panic!("an event") };
    assert!(notifications.next().is_none(), "one message was laid out");
    event
}
