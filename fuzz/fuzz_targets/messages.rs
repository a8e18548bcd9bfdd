//! The iteration over netlink messages: it ends for any bytes, and its steps follow the lengths.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proc_connector_core::netlink::Messages;
use proc_connector_core::{BigEndian, ByteOrder, LittleEndian};
use proc_connector_fuzz::shape;

fuzz_target!(|input: &[u8]| {
    shape::both(input, |bytes| {
        walk::<LittleEndian>(bytes, u32::from_le_bytes);
        walk::<BigEndian>(bytes, u32::from_be_bytes);
    });
});

fn walk<O: ByteOrder>(bytes: &[u8], number: fn([u8; 4]) -> u32) {
    let mut messages = Messages::<O>::with_order(bytes);
    let mut start = 0;
    for message in messages.by_ref() {
        assert!(start < bytes.len(), "a message starts after the end of the buffer");
        let Ok(message) = message else {
            assert!(!is_whole(&bytes[start..], number), "a complete message was rejected");
            start = bytes.len();
            continue;
        };
        assert!(is_whole(&bytes[start..], number), "an incomplete message was delivered");
        assert_eq!(message.offset(), start);
        let end = start + length(&bytes[start..], number);
        assert_eq!(message.header().nlmsg_len() as usize, end - start);
        assert_eq!(message.payload(), &bytes[start + 16..end]);
        let _ = message.kind();
        start = end.next_multiple_of(4);
    }
    assert!(start >= bytes.len(), "the iteration ended before the buffer");
    assert!(messages.next().is_none(), "the iterator stays at its end");
}

fn is_whole(rest: &[u8], number: fn([u8; 4]) -> u32) -> bool {
    rest.len() >= 16 && (16..=rest.len()).contains(&length(rest, number))
}

fn length(rest: &[u8], number: fn([u8; 4]) -> u32) -> usize {
    number([rest[0], rest[1], rest[2], rest[3]]) as usize
}
