//! Events and losses in serialized form: the documented keys, and deserialization.

#[path = "common/wire.rs"]
mod wire;

use proc_connector::{EventMask, ExitStatus, Lost, ProcEvent, parse_netlink_message};
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wire::{COMM, NEW_KIND};

const COMM_SH: [u8; 16] = *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Each variant and its object: the fields under their names, and `event`.
fn table() -> [(ProcEvent, Value); 10] {
    let (pid, tgid, timestamp_ns) = (1, 2, u64::MAX);
    [
        (
            ProcEvent::Exec { pid, tgid, timestamp_ns },
            json!({"event": "exec", "pid": 1, "tgid": 2, "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Fork {
                parent_pid: 1,
                parent_tgid: 2,
                child_pid: 3,
                child_tgid: u32::MAX,
                timestamp_ns,
            },
            json!({"event": "fork", "parent_pid": 1, "parent_tgid": 2, "child_pid": 3,
                "child_tgid": u32::MAX, "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Exit { pid, tgid, exit_code: 768, exit_signal: 17, timestamp_ns },
            json!({"event": "exit", "pid": 1, "tgid": 2, "exit_code": 768, "exit_signal": 17,
                "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Uid { pid, tgid, ruid: 3, euid: 4, timestamp_ns },
            json!({"event": "uid", "pid": 1, "tgid": 2, "ruid": 3, "euid": 4,
                "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Gid { pid, tgid, rgid: 3, egid: 4, timestamp_ns },
            json!({"event": "gid", "pid": 1, "tgid": 2, "rgid": 3, "egid": 4,
                "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Sid { pid, tgid, timestamp_ns },
            json!({"event": "sid", "pid": 1, "tgid": 2, "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Ptrace { pid, tgid, tracer_pid: 3, tracer_tgid: 4, timestamp_ns },
            json!({"event": "ptrace", "pid": 1, "tgid": 2, "tracer_pid": 3, "tracer_tgid": 4,
                "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Comm { pid, tgid, comm: COMM_SH, timestamp_ns },
            json!({"event": "comm", "pid": 1, "tgid": 2, "comm": "sh", "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Coredump { pid, tgid, timestamp_ns },
            json!({"event": "coredump", "pid": 1, "tgid": 2, "timestamp_ns": u64::MAX}),
        ),
        (
            ProcEvent::Unknown { what: NEW_KIND, raw_data: vec![1, 2, 255] },
            json!({"event": "unknown", "what": NEW_KIND, "raw_data": [1, 2, 255]}),
        ),
    ]
}

#[test]
fn every_variant_round_trips_as_an_object_of_its_fields() {
    for (event, object) in table() {
        assert_eq!(serde_json::to_value(&event).unwrap(), object);
        assert_eq!(serde_json::from_value::<ProcEvent>(object).unwrap(), event);
    }
}

#[test]
fn missing_keys_are_an_error_and_extra_keys_are_ignored() {
    for (event, object) in table() {
        let keys = object.as_object().unwrap().keys();
        for key in keys {
            let mut less = object.clone();
            less.as_object_mut().unwrap().remove(key);
            let error = serde_json::from_value::<ProcEvent>(less).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        let mut more = object.clone();
        more.as_object_mut().unwrap().insert("cpu".to_owned(), json!(3));
        assert_eq!(serde_json::from_value::<ProcEvent>(more).unwrap(), event);
    }
    for event in ["Exec", "EXEC", "lost", ""] {
        let object = json!({"event": event, "pid": 1, "tgid": 2, "timestamp_ns": 3});
        assert!(serde_json::from_value::<ProcEvent>(object).is_err(), "{event}");
    }
}

#[test]
fn keys_are_in_the_order_of_the_fields() {
    let event = ProcEvent::Comm { pid: 1, tgid: 2, comm: COMM_SH, timestamp_ns: 5 };
    let text = r#"{"event":"comm","pid":1,"tgid":2,"comm":"sh","timestamp_ns":5}"#;
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
}

#[test]
fn a_name_is_text_with_raw_bytes_added_if_they_differ() {
    // A name, its text, and whether the text represents all bytes.
    let cases: [(&[u8; 16], &str, bool); 9] = [
        (&COMM_SH, "sh", true),
        (&[0; 16], "", true),
        (b"0123456789abcde\0", "0123456789abcde", true),
        (b"0123456789abcdef", "0123456789abcdef", true),
        (b"caf\xc3\xa9\0\0\0\0\0\0\0\0\0\0\0", "café", true),
        // The name itself contains a replacement character.
        (b"\xef\xbf\xbd\0\0\0\0\0\0\0\0\0\0\0\0\0", "\u{fffd}", true),
        (b"sh\0left over\0\0\0\0", "sh", false),
        (b"\xff not UTF-8\0\0\0\0\0", "\u{fffd} not UTF-8", false),
        (b"0123456789abcde\xc3", "0123456789abcde\u{fffd}", false),
    ];
    for (&comm, text, whole) in cases {
        let event = ProcEvent::Comm { pid: 1, tgid: 1, comm, timestamp_ns: 0 };
        let object = serde_json::to_value(&event).unwrap();
        assert_eq!(object["comm"], text);
        let raw = if whole { Value::Null } else { json!(comm) };
        assert_eq!(object["raw_comm"], raw, "{text}");
        assert_eq!(object.as_object().unwrap().contains_key("raw_comm"), !whole);
        assert_eq!(serde_json::from_value::<ProcEvent>(object).unwrap(), event);
    }
}

#[test]
fn a_long_name_is_rejected_unless_replacement_characters_made_it_long() {
    let read = |comm: &str| {
        let object = json!({"event": "comm", "pid": 1, "tgid": 1, "comm": comm, "timestamp_ns": 0});
        serde_json::from_value::<ProcEvent>(object).map_err(|error| error.to_string())
    };
    let comm =
        |comm: &[u8; 16]| Ok(ProcEvent::Comm { pid: 1, tgid: 1, comm: *comm, timestamp_ns: 0 });
    let refused = "comm \"0123456789abcdefg\" has more than 16 bytes".to_owned();
    assert_eq!(read("0123456789abcdefg"), Err(refused));
    // Sixteen bytes of 0xff, as in `watch --json`, and a character of two bytes at the limit.
    assert_eq!(
        read(&"\u{fffd}".repeat(16)),
        comm("\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\0".as_bytes().try_into().unwrap())
    );
    assert_eq!(
        read("\u{fffd}0123456789abéf"),
        comm("\u{fffd}0123456789ab\0".as_bytes().try_into().unwrap())
    );
    let bytes = json!({"event": "comm", "pid": 1, "tgid": 1, "comm": "", "raw_comm": [1, 2],
        "timestamp_ns": 0});
    assert!(serde_json::from_value::<ProcEvent>(bytes).is_err(), "two bytes are not sixteen");
}

#[test]
fn a_loss_is_an_object_with_its_cause() {
    let malformed = json!({"malformed": {"truncated":
        {"layer": "event_data", "offset": 52, "needed": 24, "actual": 23}}});
    let cases = [
        (
            json!({"event": "lost", "count": 17, "cause": "overrun"}),
            "17 events: the receive buffer was full",
        ),
        (
            json!({"event": "lost", "count": null, "cause": "oversized"}),
            "an unknown number of events: a datagram was larger than any known event",
        ),
        (
            json!({"event": "lost", "count": 1, "cause": malformed}),
            "1 event: truncated event data at byte 52: 24 bytes needed, 23 available",
        ),
    ];
    for (object, text) in cases {
        let lost: Lost = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(lost.to_string(), text);
        assert_eq!(serde_json::to_value(lost).unwrap(), object);
    }
    let event = json!({"event": "exec", "count": 1, "cause": "overrun"});
    assert!(serde_json::from_value::<Lost>(event).is_err(), "an event is no loss");
}

/// The type into which a program could read a recorded stream.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Line {
    Event(ProcEvent),
    Lost(Lost),
}

/// A user's own choice of keys.
#[derive(Deserialize)]
struct Ended {
    exit_code: ExitStatus,
}

#[test]
fn the_output_of_watch_is_read_as_events() {
    let exit = r#"{"event":"exit","pid":7,"tgid":7,"exit_code":134,"exit_signal":17,"code":null,
        "signal":6,"core_dumped":true,"parent_pid":1,"parent_tgid":1,"timestamp_ns":5,"cpu":0,
        "seq":9,"time":"2026-01-01T00:00:00Z"}"#;
    let event =
        ProcEvent::Exit { pid: 7, tgid: 7, exit_code: 134, exit_signal: 17, timestamp_ns: 5 };
    assert_eq!(serde_json::from_str::<Line>(exit).unwrap(), Line::Event(event));

    let lost: Line =
        serde_json::from_str(r#"{"event":"lost","count":3,"cause":"overrun"}"#).unwrap();
    assert!(matches!(lost, Line::Lost(lost) if lost.count == Some(3)));

    let Ended { exit_code } = serde_json::from_str(exit).unwrap();
    assert_eq!((exit_code.signal(), exit_code.core_dumped()), (Some(6), true));
}

#[test]
fn a_mask_has_the_form_of_the_command_line() {
    let mask = EventMask::EXEC | EventMask::EXIT;
    assert_eq!(serde_json::to_string(&mask).unwrap(), r#""exec,exit""#);
    assert_eq!(serde_json::from_str::<EventMask>(r#""exit,exec""#).unwrap(), mask);
}

/// Any event that a datagram can contain; names are valid text more often than random bytes.
fn event() -> impl Strategy<Value = ProcEvent> {
    let named = (wire_kind(), any::<[u32; 6]>()).prop_map(|(what, words)| parsed(what, &words));
    let text = "[ -~é\u{fffd}\u{0}]{0,16}".prop_map(|text| {
        let mut comm = [0; 16];
        for (byte, letter) in comm.iter_mut().zip(text.bytes()) {
            *byte = letter;
        }
        comm
    });
    let comm = (any::<(u32, u32, u64)>(), prop_oneof![text, any::<[u8; 16]>()]).prop_map(
        |((pid, tgid, timestamp_ns), comm)| ProcEvent::Comm { pid, tgid, comm, timestamp_ns },
    );
    let unknown =
        any::<(u32, Vec<u8>)>().prop_map(|(what, raw_data)| ProcEvent::Unknown { what, raw_data });
    prop_oneof![4 => named, 2 => comm, 1 => unknown]
}

fn wire_kind() -> impl Strategy<Value = u32> {
    use wire::{COREDUMP, EXEC, EXIT, FORK, GID, PTRACE, SID, UID};
    prop_oneof![
        proptest::sample::select(vec![FORK, EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT]),
        Just(NEW_KIND),
    ]
}

fn parsed(what: u32, words: &[u32]) -> ProcEvent {
    let datagram = wire::event(what, words);
    let event = parse_netlink_message(&datagram, datagram.len()).expect("a message");
    event.expect("an event")
}

proptest! {
    // Failures print their input, so no file is written beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_round_trips(event in event()) {
        let text = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ProcEvent>(&text).unwrap(), &event);
        prop_assert!(!text.contains('\n'), "one event is one line");
        // Also through a `Value`, and among other lines.
        let tree: Value = serde_json::from_str(&text).unwrap();
        let line: Line = serde_json::from_value(tree).unwrap();
        prop_assert_eq!(&line, &Line::Event(event));
        prop_assert_eq!(serde_json::to_string(&line).unwrap(), text);
    }

    #[test]
    fn an_event_in_its_buffer_is_written_with_the_same_keys_and_more(
        what in prop_oneof![2 => wire_kind(), 1 => Just(COMM)],
        words: [u32; 6],
    ) {
        let datagram = wire::event(what, &words);
        let text = proc_connector::parser::Notifications::new(&datagram)
            .find_map(|notification| match notification {
                Ok(proc_connector::parser::Notification::Event(event)) => {
                    Some(serde_json::to_string(&event).unwrap())
                }
                _ => None,
            })
            .expect("an event");
        let owned = parsed(what, &words);
        prop_assert_eq!(&serde_json::from_str::<ProcEvent>(&text).unwrap(), &owned);
        let (written, keys): (Value, Value) =
            (serde_json::from_str(&text).unwrap(), serde_json::to_value(&owned).unwrap());
        for (key, value) in keys.as_object().unwrap() {
            prop_assert_eq!(&written[key], value);
        }
    }

    #[test]
    fn every_loss_round_trips(count: Option<u64>, bytes in any::<[u8; 18]>()) {
        let malformed = proc_connector::parser::Notifications::new(&bytes)
            .find_map(Result::err)
            .map(|error| json!({"malformed": error}));
        for cause in [json!("overrun"), json!("oversized")].into_iter().chain(malformed) {
            let object = json!({"event": "lost", "count": count, "cause": cause});
            let lost: Lost = serde_json::from_value(object.clone()).unwrap();
            prop_assert_eq!(lost.count, count);
            prop_assert_eq!(serde_json::to_value(lost).unwrap(), object);
        }
    }
}
