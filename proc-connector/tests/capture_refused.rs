//! Errors name the damage that ends a capture, and the kind of files that are not captures.

mod captures;

use std::io::Read;

use captures::Number::{U16, U32, U64};
use captures::{
    EXEC, NETLINK, Order, block, drain, enhanced, interface, packet, read_all, section,
};
use proc_connector::capture::{Error, Reader};

#[test]
fn the_reason_for_an_early_end_is_reported() {
    for order in Order::ALL {
        let packet = enhanced(order, 0, 5, &packet(EXEC, &[7, 7]), &[]);
        let whole = [section(order), interface(order, NETLINK, None), packet].concat();
        let mut lengths = block(order, 0x7777, &[1; 8]);
        let last = lengths.len() - 4;
        lengths[last..].copy_from_slice(&order.numbers(&[U32(99)]));
        let major = [U32(0x1a2b_3c4d), U16(2), U16(0), U64(0)];
        let ends = [
            (vec![0; 512], "zeros"),
            (b"garbage, and more of it".to_vec(), "byte"),
            (lengths, "20 bytes at its start and 99 at its end"),
            (block(order, 0x0a0d_0d0a, &order.numbers(&major)), "version 2.0"),
            (block(order, 1, &[0; 4]), "too short"),
        ];
        for (end, message) in ends {
            let file = [whole.clone(), end, whole.clone()].concat();
            let (got, error) = drain(Reader::new(&file[..]).expect("a capture"));
            assert_eq!(got.len(), 1, "{message}");
            let text = error.as_ref().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains(message), "{text}");
            assert!(!error.is_some_and(|error| error.is_of_one_packet()), "{text}");
        }
    }
}

#[test]
fn other_files_are_named_with_the_command_that_decompresses_them() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";
    let compressed = [
        (&gzip[..], "gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "zstd -dc"),
        (b"\xfd7zXZ\0", "xz -dc"),
        (b"BZh91AY&SY", "bzip2 -dc"),
    ];
    for (start, command) in compressed {
        let (_, error) = read_all(&[start, &[0x55; 40]].concat());
        assert!(matches!(error, Some(Error::Compressed { .. })), "{error:?}");
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(command), "{text}");
    }
    let others = [
        (&b"\x7fELF\x02\x01\x01"[..], "ELF"),
        (b"LPKSHHRH", "journal"),
        (b"{\"event\":\"exec\",\"pid\":1,\"tgid\":1}", "JSON"),
        (b"#!/bin/sh\nexit 0\n# just a script\n", "text"),
    ];
    for (start, name) in others {
        let file = [start, &[b' '; 24]].concat();
        let text = read_all(&file).1.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("not a capture") && text.contains(name), "{text}");
    }
    assert!(matches!(read_all(&[0xaa; 40]).1, Some(Error::UnknownFormat)));
    // The result does not depend on the number of bytes read at once.
    let mixed = [&b"a text that is none, later on"[..], &[0; 40]].concat();
    for input in
        [Box::new(&mixed[..]) as Box<dyn Read>, Box::new((&mixed[..24]).chain(&mixed[24..]))]
    {
        assert!(matches!(Reader::new(input), Err(Error::OtherFile { .. })));
    }
}
