//! Every kind of event in the generated bindings is decoded or deliberately excluded.

mod common;

use std::path::Path;

use common::{EXIT, FORK, HEAD, Order};
use proc_connector_core::{Notification, Notifications, Payload};

/// Constants that are not the `what` of an event, with the reason.
const NOT_AN_EVENT: [(&str, &str); 3] = [
    ("PROC_EVENT_NONE", "an acknowledgement"),
    ("PROC_EVENT_NONZERO_EXIT", "a bit of requests only"),
    ("PROC_EVENT_ALL", "a mask of all kinds"),
];

#[test]
fn every_kind_in_the_bindings_is_decoded_or_excluded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proc-connector-sys/src/bindings.rs");
    if !Path::new(path).exists() {
        eprintln!("skipped: only the repository contains proc-connector-sys/src/bindings.rs");
        return;
    }
    let kinds = constants(&std::fs::read_to_string(path).unwrap());
    for (name, value) in [("PROC_EVENT_FORK", FORK), ("PROC_EVENT_EXIT", EXIT)] {
        assert!(kinds.contains(&(name.to_owned(), value)), "{name} was not found in {kinds:x?}");
    }
    for (name, what) in kinds {
        if NOT_AN_EVENT.iter().any(|(listed, _)| *listed == name) {
            continue;
        }
        assert!(
            is_decoded(what),
            "{name} ({what:#x}) is new in the bindings: give it a view in \
             proc-connector-core/src/proc_event/views.rs, a flag in EventMask and a variant of \
             EventData, or list it in NOT_AN_EVENT of this test with the reason",
        );
    }
}

#[test]
fn a_constant_is_found_in_any_formatting() {
    let source = "pub const PROC_EVENT_A: proc_cn_event = 1;\n\
                  pub const PROC_EVENT_B : u32=0x8000_0000u32 ;pub const OTHER: u32 = 3;\n\
                  pub const PROC_EVENT_LONG:\n    _bindgen_ty_1 =\n    2147483648;\n\
                  pub use self::PROC_EVENT_A as Again;";
    let expected = [("PROC_EVENT_A", 1), ("PROC_EVENT_B", 1 << 31), ("PROC_EVENT_LONG", 1 << 31)];
    assert_eq!(constants(source), expected.map(|(name, value)| (name.to_owned(), value)));
}

/// The name and value of each `const PROC_EVENT_*`.
fn constants(source: &str) -> Vec<(String, u32)> {
    let items = source.split(';').filter_map(|item| item.split_once("const PROC_EVENT_"));
    items
        .map(|(_, item)| {
            let (declared, value) = item.split_once('=').expect("a constant has a value");
            let name = declared.split(':').next().unwrap_or_default().trim();
            let value = value.trim().replace('_', "");
            let value = value.strip_suffix("u32").unwrap_or(&value);
            let number = match value.strip_prefix("0x") {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => value.parse(),
            };
            let number = number.unwrap_or_else(|error| panic!("{name} is {value}: {error}"));
            (format!("PROC_EVENT_{name}"), number)
        })
        .collect()
}

fn is_decoded(what: u32) -> bool {
    let bytes = Order::Native.datagram(HEAD, what, &[0; 24]);
    match Notifications::new(&bytes).next() {
        Some(Ok(Notification::Event(event))) => !matches!(event.payload(), Payload::Unknown(_)),
        other => panic!("{what:#x} is read as {other:?}"),
    }
}
