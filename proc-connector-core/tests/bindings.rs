//! Every kind of event that the generated bindings know is decoded, or is no event on purpose.

mod common;

use std::path::Path;

use common::{EXIT, FORK, HEAD, Order};
use proc_connector_core::{Notification, Notifications, Payload};

/// Constants that no event has as its `what`, and why.
const NOT_AN_EVENT: [(&str, &str); 3] = [
    ("PROC_EVENT_NONE", "an acknowledgement"),
    ("PROC_EVENT_NONZERO_EXIT", "a bit of filters only"),
    ("PROC_EVENT_ALL", "a mask of all kinds"),
];

#[test]
fn every_kind_in_the_bindings_is_decoded_or_no_event_on_purpose() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proc-connector-sys/src/bindings.rs");
    if !Path::new(path).exists() {
        // Only the repository has the other crate's sources beside this one's.
        eprintln!("skipped: proc-connector-sys/src/bindings.rs is not there, as in a package");
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
             proc-connector-core/src/proc_event/payload.rs, a flag in EventMask and a variant of \
             EventData, or list it in NOT_AN_EVENT of this test with the reason",
        );
    }
}

#[test]
fn a_constant_is_found_however_it_is_formatted() {
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
