//! Contexts, laid out by hand.

use proc_connector_core::Context;
use proc_connector_core::context::HEADER_LEN;

const ALL: u32 = 0b0011_1111;
const CUT: u32 = 0b0100_0000;

/// A header in the host's byte order, and the bytes after it.
fn context_bytes(bits: u32, args_len: u32, args: &[u8]) -> Vec<u8> {
    let numbers: [u64; 4] = [5, 6, (8 << 32) | 7, (10 << 32) | 9];
    let words = [bits, args_len].map(u32::to_ne_bytes).concat();
    let numbers = numbers.map(u64::to_ne_bytes).concat();
    [&words, &numbers, &b"a name\0\0\0\0\0\0\0\0\0\0"[..], args].concat()
}

#[test]
fn every_field_is_read_at_its_offset() {
    let bytes = context_bytes(ALL, 9, b"true\0a\0\0\0and the rest");
    let context = Context::parse(&bytes).expect("a context");
    assert_eq!((context.boot_ns(), context.cgroup_id()), (Some(5), Some(6)));
    assert_eq!((context.pid(), context.tgid()), (Some(7), Some(8)));
    assert_eq!((context.uid(), context.gid()), (Some(9), Some(10)));
    assert_eq!(context.comm(), Some(&b"a name"[..]));
    let args = context.args().expect("arguments");
    assert_eq!(args.bytes(), b"true\0a\0\0\0");
    assert!(!args.is_cut());
    assert!(args.iter().eq([&b"true"[..], b"a", b"", b""]));
    assert_eq!(context.bytes(), &bytes[..HEADER_LEN + 9]);
}

#[test]
fn a_missing_part_is_none() {
    let bytes = context_bytes(0, 0, &[]);
    let context = Context::parse(&bytes).expect("a context");
    assert_eq!((context.boot_ns(), context.cgroup_id()), (None, None));
    assert_eq!(
        (context.pid(), context.tgid(), context.uid(), context.gid()),
        (None, None, None, None)
    );
    assert_eq!((context.comm(), context.args()), (None, None));
    // Each bit enables one part.
    for bit in 0..6 {
        let bytes = context_bytes(1 << bit, 0, &[]);
        let context = Context::parse(&bytes).expect("a context");
        let there = [
            context.boot_ns().is_some(),
            context.cgroup_id().is_some(),
            context.pid().is_some() && context.tgid().is_some(),
            context.uid().is_some() && context.gid().is_some(),
            context.comm().is_some(),
            context.args().is_some(),
        ];
        assert!(there.iter().enumerate().all(|(part, &there)| there == (part == bit)), "{bit}");
    }
}

#[test]
fn truncated_arguments_are_marked_and_an_empty_list_is_empty() {
    let bytes = context_bytes(ALL | CUT, 3, b"tru");
    let args = Context::parse(&bytes).and_then(|context| context.args()).expect("arguments");
    assert!(args.is_cut() && args.iter().eq([b"tru"]));
    let bytes = context_bytes(ALL, 0, &[]);
    let args = Context::parse(&bytes).and_then(|context| context.args()).expect("arguments");
    assert_eq!(args.iter().count(), 0);
}

#[test]
fn too_few_bytes_are_no_context() {
    let bytes = context_bytes(ALL, 4, b"true");
    assert_eq!(bytes.len(), HEADER_LEN + 4);
    assert!(Context::parse(&bytes).is_some());
    for len in 0..bytes.len() {
        assert!(Context::parse(&bytes[..len]).is_none(), "{len} bytes");
    }
}
