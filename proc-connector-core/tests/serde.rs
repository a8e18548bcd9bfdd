//! Serialization of events; serialization and deserialization of masks, wait statuses and errors.

use allocation_counter::measure;
use proc_connector_core::{
    Event, EventData, EventMask, EventRecord, ExitStatus, Layer, Notification, Notifications,
    ParseError,
};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use serde_json::{Value, json};
use serde_test::{Configure, Token, assert_de_tokens_error, assert_tokens};

#[test]
fn a_mask_is_text_in_readable_formats_and_bits_in_others() {
    let cases: [(u32, &'static str); 4] = [
        (0x8000_0002, "exec,exit"),
        (0, "0x0"),
        (0x0000_0402, "exec,0x400"),
        (0xe000_03c7, "fork,exec,uid,gid,sid,ptrace,comm,nonzero_exit,coredump,exit"),
    ];
    for (bits, text) in cases {
        let mask = EventMask::from_bits_retain(bits);
        assert_eq!(serde_json::to_value(mask).unwrap(), json!(text));
        assert_eq!(serde_json::from_value::<EventMask>(json!(text)).unwrap(), mask);
        assert_tokens(&mask.readable(), &[Token::Str(text)]);
        assert_tokens(&mask.compact(), &[Token::U32(bits)]);
    }
}

#[test]
fn an_invalid_list_of_kinds_is_refused_with_its_value() {
    let wrong: [(Value, &str); 3] = [
        (json!("exec,exits"), "invalid value: string \"exec,exits\""),
        (json!(""), "invalid value: string \"\""),
        (json!(2), "invalid type: integer `2`"),
    ];
    for (value, start) in wrong {
        let error = serde_json::from_value::<EventMask>(value).unwrap_err().to_string();
        let expected = format!("{start}, expected a comma-separated list of event kinds");
        assert_eq!(error, expected);
    }
    let text = [Token::Str("exec")];
    let refused = "invalid type: string \"exec\", expected u32";
    assert_de_tokens_error::<serde_test::Compact<EventMask>>(&text, refused);
}

#[test]
fn a_wait_status_is_its_number() {
    let crash = ExitStatus::from_raw(134);
    assert_tokens(&crash, &[Token::U32(134)]);
    assert_eq!(serde_json::to_string(&crash).unwrap(), "134");
    assert_eq!(serde_json::from_str::<ExitStatus>("134").unwrap().signal(), Some(6));
    assert!(serde_json::from_str::<ExitStatus>("-1").is_err());
}

#[test]
fn errors_keep_their_fields_as_data() {
    let cases = [
        (
            ParseError::Truncated { layer: Layer::EventData, offset: 52, needed: 24, actual: 23 },
            json!({"truncated": {"layer": "event_data", "offset": 52, "needed": 24, "actual": 23}}),
        ),
        (
            ParseError::InvalidLength { layer: Layer::Netlink, offset: 0, needed: 16, actual: 3 },
            json!({"invalid_length": {"layer": "netlink", "offset": 0, "needed": 16, "actual": 3}}),
        ),
        (
            ParseError::UnexpectedConnector { offset: 16, idx: 2, val: u32::MAX },
            json!({"unexpected_connector": {"offset": 16, "idx": 2, "val": 4_294_967_295_u32}}),
        ),
        (
            ParseError::RequestLength { offset: 20, actual: 5 },
            json!({"request_length": {"offset": 20, "actual": 5}}),
        ),
        (
            ParseError::UnknownOperation { offset: 20, op: 3 },
            json!({"unknown_operation": {"offset": 20, "op": 3}}),
        ),
    ];
    for (error, form) in cases {
        assert_eq!(serde_json::to_value(error).unwrap(), form);
        assert_eq!(serde_json::from_value::<ParseError>(form).unwrap(), error);
    }
    let layers = [
        (Layer::Netlink, "netlink"),
        (Layer::NetlinkError, "netlink_error"),
        (Layer::CnMsg, "cn_msg"),
        (Layer::ProcEvent, "proc_event"),
        (Layer::EventData, "event_data"),
        (Layer::Request, "request"),
    ];
    for (layer, name) in layers {
        assert_eq!(serde_json::to_value(layer).unwrap(), json!(name));
        assert_eq!(serde_json::from_value::<Layer>(json!(name)).unwrap(), layer);
    }
}

/// Encodes an event, and runs `test` on it.
fn with_event(data: EventData<'_>, test: impl FnOnce(&Event<'_>)) {
    let record = EventRecord { seq: 41, cpu: 3, timestamp_ns: 5, data };
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let len = record.encode_native(&mut datagram).expect("a datagram");
    let read = Notifications::new(&datagram[..len]).next();
    let Some(Ok(Notification::Event(event))) = read else { panic!("{read:?}") };
    test(&event);
}

#[test]
fn an_event_is_its_kind_its_fields_and_its_header_in_this_order() {
    let (process_pid, process_tgid) = (1, 2);
    let exit = |exit_code, parent_pid, parent_tgid| EventData::Exit {
        process_pid,
        process_tgid,
        exit_code,
        exit_signal: 17,
        parent_pid,
        parent_tgid,
    };
    let comm = |comm: &[u8; 16]| EventData::Comm { process_pid, process_tgid, comm: *comm };
    let cases = [
        (
            EventData::Fork { parent_pid: 1, parent_tgid: 2, child_pid: 3, child_tgid: 4 },
            r#""fork","parent_pid":1,"parent_tgid":2,"child_pid":3,"child_tgid":4"#,
        ),
        (EventData::Exec { process_pid, process_tgid }, r#""exec","pid":1,"tgid":2"#),
        (
            EventData::Uid { process_pid, process_tgid, ruid: 3, euid: 4 },
            r#""uid","pid":1,"tgid":2,"ruid":3,"euid":4"#,
        ),
        (
            EventData::Gid { process_pid, process_tgid, rgid: 3, egid: 4 },
            r#""gid","pid":1,"tgid":2,"rgid":3,"egid":4"#,
        ),
        (EventData::Sid { process_pid, process_tgid }, r#""sid","pid":1,"tgid":2"#),
        (
            EventData::Ptrace { process_pid, process_tgid, tracer_pid: 3, tracer_tgid: 4 },
            r#""ptrace","pid":1,"tgid":2,"tracer_pid":3,"tracer_tgid":4"#,
        ),
        (
            EventData::Coredump { process_pid, process_tgid, parent_pid: 3, parent_tgid: 4 },
            r#""coredump","pid":1,"tgid":2,"parent_pid":3,"parent_tgid":4"#,
        ),
        (
            exit(768, 3, 4),
            r#""exit","pid":1,"tgid":2,"exit_code":768,"exit_signal":17,"code":3,"signal":null,"core_dumped":false,"parent_pid":3,"parent_tgid":4"#,
        ),
        (
            exit(139, 0, 0),
            r#""exit","pid":1,"tgid":2,"exit_code":139,"exit_signal":17,"code":null,"signal":11,"core_dumped":true,"parent_pid":null,"parent_tgid":null"#,
        ),
        (
            EventData::Unknown { what: 0x400, data: &[1, 2, 255] },
            r#""unknown","what":1024,"raw_data":[1,2,255]"#,
        ),
        (comm(b"0123456789abcdef"), r#""comm","pid":1,"tgid":2,"comm":"0123456789abcdef""#),
        (
            comm(b"sh\0left over\0\0\0\0"),
            r#""comm","pid":1,"tgid":2,"comm":"sh","raw_comm":[115,104,0,108,101,102,116,32,111,118,101,114,0,0,0,0]"#,
        ),
        (
            comm(b"\xff\xe2\x82\"\n\0\0\0\0\0\0\0\0\0\0\0"),
            r#""comm","pid":1,"tgid":2,"comm":"��\"\n","raw_comm":[255,226,130,34,10,0,0,0,0,0,0,0,0,0,0,0]"#,
        ),
    ];
    for (data, fields) in cases {
        let text = format!(r#"{{"event":{fields},"timestamp_ns":5,"cpu":3,"seq":41}}"#);
        with_event(data, |event| {
            let mut written = Vec::with_capacity(512);
            let counted = measure(|| serde_json::to_writer(&mut written, event).unwrap());
            assert_eq!(String::from_utf8(written).unwrap(), text);
            assert_eq!(counted.count_total, 0, "allocations for {text}");
        });
    }
}

proptest! {
    // A failure prints its input. Persistence would write a file beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_serialized_value_is_read_back_unchanged(bits in any::<u32>(), bytes in any::<[u8; 20]>()) {
        let mask = EventMask::from_bits_retain(bits);
        let text = serde_json::to_string(&mask).unwrap();
        prop_assert_eq!(serde_json::from_str::<EventMask>(&text).unwrap(), mask);

        let status = ExitStatus::from_raw(bits);
        let text = serde_json::to_string(&status).unwrap();
        prop_assert_eq!(serde_json::from_str::<ExitStatus>(&text).unwrap(), status);

        for error in Notifications::new(&bytes).filter_map(Result::err) {
            let text = serde_json::to_string(&error).unwrap();
            prop_assert_eq!(serde_json::from_str::<ParseError>(&text).unwrap(), error);
        }
    }
}
