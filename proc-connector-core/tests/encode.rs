//! Events written as they were received, byte for byte.

mod common;

use std::fs;
use std::path::Path;

use common::{COREDUMP, EVENTS, EXIT, HEAD, NEW_KIND, Order};
use proc_connector_core::{
    BigEndian, ByteOrder, EncodeError, LittleEndian, NativeEndian, Notification, Notifications,
};

fn encode<O: ByteOrder>(datagram: &[u8]) -> Vec<u8> {
    let mut notifications = Notifications::<O>::with_order(datagram);
    let Some(Ok(Notification::Event(event))) = notifications.next() else { panic!("an event") };
    let mut copy = vec![0xff; datagram.len() + 8];
    assert_eq!(event.encode(&mut copy), Ok(event.encoded_len()));
    assert!(copy[event.encoded_len()..].iter().all(|&byte| byte == 0xff), "no byte beyond the end");
    copy.truncate(event.encoded_len());
    copy
}

#[test]
fn every_kind_is_written_as_it_was_received_in_every_byte_order() {
    fn every_kind<O: ByteOrder>(order: Order) {
        let data: Vec<u8> = (1..=24).collect();
        for what in EVENTS.map(|(what, _)| what).into_iter().chain([NEW_KIND]) {
            let received = order.datagram(HEAD, what, &data);
            assert_eq!(encode::<O>(&received), received, "{what:#x}, {order:?}");
        }
    }
    every_kind::<NativeEndian>(Order::Native);
    every_kind::<LittleEndian>(Order::Little);
    every_kind::<BigEndian>(Order::Big);
}

#[test]
fn unions_of_any_length_keep_their_bytes() {
    // Before Linux 4.18 an exit and a core dump had no parents; a later kernel may append fields.
    let cases = [(EXIT, 16), (EXIT, 20), (COREDUMP, 8), (EXIT, 40), (NEW_KIND, 0), (NEW_KIND, 501)];
    for (what, len) in cases {
        let data: Vec<u8> = (0..=255).cycle().take(len).collect();
        let received = Order::Native.datagram(HEAD, what, &data);
        assert_eq!(encode::<NativeEndian>(&received), received, "{what:#x} with {len} bytes");
    }
}

#[test]
fn the_longest_union_of_a_connector_message_is_written() {
    let data = vec![7; usize::from(u16::MAX) - 16];
    let received = Order::Big.datagram(HEAD, NEW_KIND, &data);
    assert_eq!(encode::<BigEndian>(&received), received);
}

#[test]
fn recorded_datagrams_are_written_as_the_kernel_sent_them() {
    let seeds = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/datagrams"));
    if !seeds.exists() {
        eprintln!("skipped: only the repository contains fuzz/seeds");
        return;
    }
    let mut count = 0;
    for file in fs::read_dir(seeds).expect("a directory") {
        let path = file.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        // Only files with a single event are compared.
        if name.starts_with("ack") || name == "several" {
            continue;
        }
        let received = fs::read(&path).expect("a file");
        let copy = match received[4] {
            0 => encode::<BigEndian>(&received),
            _ => encode::<LittleEndian>(&received),
        };
        assert_eq!(copy, received, "{name}");
        count += 1;
    }
    assert!(count > 60, "{count} datagrams");
}

#[test]
fn a_buffer_that_is_too_small_is_refused_with_the_length_needed() {
    let received = Order::Native.datagram(HEAD, EXIT, &[1; 24]);
    let Some(Ok(Notification::Event(event))) = Notifications::new(&received).next() else {
        panic!("an event")
    };
    assert_eq!(event.encoded_len(), 76);
    for actual in [0, 16, 52, 75] {
        let refused = event.encode(&mut vec![0; actual]);
        assert_eq!(refused, Err(EncodeError::BufferTooSmall { needed: 76, actual }));
    }
}
