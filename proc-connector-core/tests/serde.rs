//! Serialization and deserialization of masks, wait statuses and errors.

use proc_connector_core::{EventMask, ExitStatus, Layer, Notifications, ParseError};
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
