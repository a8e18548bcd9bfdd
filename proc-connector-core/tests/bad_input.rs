//! Malformed input: a typed error with its offset, and every intact message around it.

mod common;

use common::{
    COMM, EVENT_DATA, EVENTS, EXEC, EXIT, Found, HEAD, IDX, LEN, NEW_KIND, NLMSG_ERROR, NLMSG_LEN,
    NONE, Order, VAL, acknowledgement, buffer, event, put, walk,
};
use proc_connector_core::netlink::Messages;
use proc_connector_core::{
    CnMsg, Control, EncodeError, EventData, EventRecord, Layer, NativeEndian, Notification,
    Notifications, ParseError, Payload,
};

const fn truncated(layer: Layer, offset: usize, needed: usize, actual: usize) -> ParseError {
    ParseError::Truncated { layer, offset, needed, actual }
}

const fn invalid_length(offset: usize, actual: usize) -> ParseError {
    ParseError::InvalidLength { layer: Layer::Netlink, offset, needed: 16, actual }
}

/// The event after a malformed message.
const INTACT: Result<Found<'static>, ParseError> = Ok(Found::Event(EventRecord {
    seq: HEAD.seq,
    cpu: HEAD.cpu,
    timestamp_ns: HEAD.timestamp_ns,
    data: EventData::Exec { process_pid: 7, process_tgid: 8 },
}));

/// `broken`, followed by an intact event.
fn followed(broken: Vec<u8>) -> Vec<u8> {
    buffer(&[broken, event(EXEC, &[7, 8])])
}

#[test]
fn an_empty_buffer_has_no_messages() {
    assert_eq!(walk::<NativeEndian>(&[]), []);
    assert_eq!(Messages::new(&[]).count(), 0);
}

#[test]
fn a_datagram_cut_at_any_byte_is_one_error() {
    let whole = event(EXIT, &[7, 7, 768, 17, 5, 6]);
    for cut in 1..whole.len() {
        let needed = if cut < 16 { 16 } else { 76 };
        let expected = truncated(Layer::Netlink, 0, needed, cut);
        assert_eq!(walk::<NativeEndian>(&whole[..cut]), [Err(expected)], "cut to {cut} bytes");
    }
}

#[test]
fn a_buffer_cut_at_any_byte_still_delivers_the_messages_before_the_cut() {
    let odd = Order::Native.datagram(HEAD, NEW_KIND, b"12345");
    let bytes = buffer(&[event(EXEC, &[7, 8]), odd, event(EXIT, &[7, 7, 768, 17, 5, 6])]);
    let whole = walk::<NativeEndian>(&bytes);
    // Start and end of each message; bytes 133 to 135 are padding.
    let spans = [(0, 76), (76, 133), (136, 212)];
    assert_eq!((whole.len(), bytes.len()), (3, 212));
    for cut in 0..bytes.len() {
        let mut expected: Vec<_> = Vec::new();
        for (found, (start, end)) in whole.iter().zip(spans) {
            if end <= cut {
                assert!(found.is_ok());
                expected.push(*found);
            } else if start < cut {
                let (needed, actual) = (end - start, cut - start);
                let needed = if actual < 16 { 16 } else { needed };
                expected.push(Err(truncated(Layer::Netlink, start, needed, actual)));
            }
        }
        assert_eq!(walk::<NativeEndian>(&bytes[..cut]), expected, "cut to {cut} bytes");
    }
}

#[test]
fn an_invalid_netlink_length_ends_the_iteration() {
    let cases = [
        (0, invalid_length(0, 0)),
        (1, invalid_length(0, 1)),
        (15, invalid_length(0, 15)),
        (153, truncated(Layer::Netlink, 0, 153, 152)),
        (1 << 31, truncated(Layer::Netlink, 0, 1 << 31, 152)),
        (u32::MAX, truncated(Layer::Netlink, 0, 0xffff_ffff, 152)),
    ];
    for (claimed, expected) in cases {
        let mut bytes = followed(event(EXEC, &[1, 1]));
        put(&mut bytes, NLMSG_LEN, &claimed.to_ne_bytes());
        assert_eq!(walk::<NativeEndian>(&bytes), [Err(expected)], "a length of {claimed}");

        // In the second message: the first is delivered, and the offset includes it.
        let mut bytes = buffer(&[event(EXEC, &[7, 8]), bytes]);
        bytes.truncate(76 + 152);
        let expected = match expected {
            ParseError::InvalidLength { actual, .. } => invalid_length(76, actual),
            _ => truncated(Layer::Netlink, 76, claimed as usize, 152),
        };
        assert_eq!(walk::<NativeEndian>(&bytes), [INTACT, Err(expected)]);
    }
}

#[test]
fn a_netlink_length_that_is_too_short_reads_the_rest_as_a_message() {
    // The bytes at 16 are cn_msg.id.idx, those at 17 (padded to 20) id.val. Both are 1.
    let mut bytes = followed(event(EXEC, &[1, 1]));
    put(&mut bytes, NLMSG_LEN, &16u32.to_ne_bytes());
    let expected = [Ok(Found::Control(Control::Done)), Err(invalid_length(16, 1))];
    assert_eq!(walk::<NativeEndian>(&bytes), expected);

    put(&mut bytes, NLMSG_LEN, &17u32.to_ne_bytes());
    let expected = [Err(truncated(Layer::CnMsg, 16, 20, 1)), Err(invalid_length(20, 1))];
    assert_eq!(walk::<NativeEndian>(&bytes), expected);
}

#[test]
fn a_wrong_connector_length_affects_that_message_only() {
    let cases = [
        (EXEC, 0, truncated(Layer::ProcEvent, 36, 16, 0)),
        (EXEC, 15, truncated(Layer::ProcEvent, 36, 16, 15)),
        (EXEC, 16, truncated(Layer::EventData, 52, 8, 0)),
        (COMM, 39, truncated(Layer::EventData, 52, 24, 23)),
        (EXEC, 41, truncated(Layer::CnMsg, 16, 61, 60)),
        (EXEC, 65535, truncated(Layer::CnMsg, 16, 65555, 60)),
    ];
    for (what, claimed, expected) in cases {
        let mut broken = event(what, &[1, 1]);
        put(&mut broken, LEN, &u16::to_ne_bytes(claimed));
        let bytes = followed(broken);
        let found = walk::<NativeEndian>(&bytes);
        assert_eq!(found, [Err(expected), INTACT], "kind {what:#x}, a length of {claimed}");
    }
}

#[test]
fn a_netlink_length_that_truncates_the_connector_message_affects_that_message_only() {
    // It is still padded to 76 bytes, so the next message is found.
    for len in 73..76 {
        let mut bytes = followed(event(EXEC, &[1, 1]));
        put(&mut bytes, NLMSG_LEN, &u32::to_ne_bytes(len));
        let expected = truncated(Layer::CnMsg, 16, 60, len as usize - 16);
        assert_eq!(walk::<NativeEndian>(&bytes), [Err(expected), INTACT], "a length of {len}");
    }
}

#[test]
fn an_event_has_no_byte_beyond_the_connector_length() {
    let mut bytes = event(EXIT, &[7, 7, 768, 17, 5, 6]);
    put(&mut bytes, LEN, &39u16.to_ne_bytes());
    let Some(Ok(Notification::Event(event))) = Notifications::new(&bytes).next() else {
        panic!("an exit needs no parents")
    };
    let Payload::Exit(exit) = event.payload() else { panic!("an exit") };
    assert_eq!((exit.exit_code(), exit.parent_tgid()), (768, None));

    // The length ends the bytes of an unknown kind, not the end of the message.
    let mut bytes = Order::Native.datagram(HEAD, NEW_KIND, b"12345678");
    put(&mut bytes, LEN, &19u16.to_ne_bytes());
    let [Ok(Found::Event(record))] = walk::<NativeEndian>(&bytes)[..] else { panic!("an event") };
    assert_eq!(record.data, EventData::Unknown { what: NEW_KIND, data: b"123" });
}

#[test]
fn a_netlink_payload_too_short_for_its_layers_affects_that_message_only() {
    let whole = event(EXEC, &[1, 1]);
    for payload_len in 1..36 {
        let broken = Order::Native.message(common::NLMSG_DONE, &whole[16..16 + payload_len]);
        let expected = match payload_len {
            ..20 => truncated(Layer::CnMsg, 16, 20, payload_len),
            // The header is complete and declares 40 bytes of payload.
            _ => truncated(Layer::CnMsg, 16, 60, payload_len),
        };
        let bytes = followed(broken);
        let found = walk::<NativeEndian>(&bytes);
        assert_eq!(found, [Err(expected), INTACT], "{payload_len} bytes of payload");
    }
}

#[test]
fn a_kind_needs_the_bytes_of_its_struct_and_no_more() {
    let acknowledgement = (NONE, 4);
    for (what, needed) in EVENTS.into_iter().chain([acknowledgement]) {
        for actual in 0..needed {
            let broken = Order::Native.datagram(HEAD, what, &vec![1; actual]);
            let expected = truncated(Layer::EventData, EVENT_DATA, needed, actual);
            let bytes = followed(broken);
            let found = walk::<NativeEndian>(&bytes);
            assert_eq!(found, [Err(expected), INTACT], "kind {what:#x} of {actual} bytes");
        }
        let enough = Order::Native.datagram(HEAD, what, &vec![1; needed]);
        assert!(walk::<NativeEndian>(&enough)[0].is_ok(), "kind {what:#x} of {needed} bytes");
    }
}

#[test]
fn a_message_of_another_connector_affects_that_message_only() {
    for (idx, val) in [(0, 1), (1, 0), (1, 2), (2, 1), (0x0100_0000, 1), (u32::MAX, u32::MAX)] {
        let mut broken = event(EXEC, &[1, 1]);
        put(&mut broken, IDX, &idx.to_ne_bytes());
        put(&mut broken, VAL, &val.to_ne_bytes());
        let expected = ParseError::UnexpectedConnector { offset: 16, idx, val };
        assert_eq!(walk::<NativeEndian>(&followed(broken)), [Err(expected), INTACT]);
    }
}

#[test]
fn a_netlink_error_too_short_for_its_number_affects_that_message_only() {
    for actual in 0..4 {
        let broken = Order::Native.message(NLMSG_ERROR, &vec![0xff; actual]);
        let expected = truncated(Layer::NetlinkError, 16, 4, actual);
        assert_eq!(walk::<NativeEndian>(&followed(broken)), [Err(expected), INTACT]);
    }
}

#[test]
fn an_offset_counts_from_the_start_of_the_buffer() {
    let mut broken = event(COMM, &[1, 1]);
    put(&mut broken, LEN, &39u16.to_ne_bytes());
    let bytes = buffer(&[event(EXEC, &[7, 8]), broken.clone(), event(EXEC, &[7, 8])]);
    let expected = truncated(Layer::EventData, 76 + 52, 24, 23);
    assert_eq!(walk::<NativeEndian>(&bytes), [INTACT, Err(expected), INTACT]);
    assert_eq!((expected.layer(), expected.offset()), (Layer::EventData, 128));

    // Used alone, the connector layer counts from the start of its own bytes.
    put(&mut broken, LEN, &41u16.to_ne_bytes());
    let error = CnMsg::<NativeEndian>::parse(&broken[16..]).map(|_| ()).unwrap_err();
    assert_eq!(error, truncated(Layer::CnMsg, 0, 61, 60));
}

#[test]
fn an_iterator_that_has_ended_stays_ended() {
    let mut lying = followed(event(EXEC, &[1, 1]));
    put(&mut lying, NLMSG_LEN, &0u32.to_ne_bytes());
    for (bytes, items) in [(lying, 1), (event(EXEC, &[1, 1]), 1), (Vec::new(), 0)] {
        let mut notifications = Notifications::new(&bytes);
        assert_eq!(notifications.by_ref().take(10).count(), items);
        assert!((0..10).all(|_| notifications.next().is_none()));
        let mut messages = Messages::new(&bytes);
        assert_eq!(messages.by_ref().take(10).count(), items);
        assert!((0..10).all(|_| messages.next().is_none()));
    }
}

#[test]
fn errors_contain_layer_offset_needed_and_actual() {
    let cases = [
        (
            truncated(Layer::EventData, 52, 24, 23),
            "truncated event data at byte 52: 24 bytes needed, 23 available",
        ),
        (
            invalid_length(76, 15),
            "invalid length of netlink message at byte 76: 15 bytes, shorter than its header of 16",
        ),
        (
            ParseError::UnexpectedConnector { offset: 16, idx: 2, val: 3 },
            "connector message at byte 16 belongs to connector 2:3, not to the process events (1:1)",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn an_event_that_no_datagram_can_express_is_refused() {
    let unknown = |what, data| EventRecord {
        seq: 0,
        cpu: 0,
        timestamp_ns: 0,
        data: EventData::Unknown { what, data },
    };
    let mut buffer = vec![0; 1 << 17];

    // cn_msg.len has 16 bits and includes the 16 bytes before the union.
    let (longest, longer) = (vec![0; 65535 - 16], vec![0; 65535 - 15]);
    assert_eq!(unknown(NEW_KIND, &longest).encode_native(&mut buffer), Ok(36 + 65535));
    let too_long = unknown(NEW_KIND, &longer).encode_native(&mut buffer);
    assert_eq!(too_long, Err(EncodeError::DataTooLong { max: 65519, actual: 65520 }));

    for what in EVENTS.map(|(what, _)| what).into_iter().chain([NONE]) {
        let named = unknown(what, b"").encode_native(&mut buffer);
        assert_eq!(named, Err(EncodeError::KnownKind { what }));
    }

    for actual in 0..57 {
        let mut small = vec![0xff; actual];
        let expected = Err(EncodeError::BufferTooSmall { needed: 57, actual });
        assert_eq!(unknown(NEW_KIND, b"12345").encode_native(&mut small), expected);
        assert_eq!(small, vec![0xff; actual], "nothing is written");
    }
    let mut small = [0; 75];
    let expected = Err(EncodeError::BufferTooSmall { needed: 76, actual: 75 });
    assert_eq!(acknowledgement(1, 0).encode::<NativeEndian>(&mut small), expected);
}
