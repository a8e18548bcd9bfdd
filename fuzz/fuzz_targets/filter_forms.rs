//! The two forms of a filter agree: the program decides on any datagram as the predicate decides on
//! its event, even if the datagram is long, unusual or damaged.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::testing::bpf;
use proc_connector_core::{EventMask, Filter, Notification, Notifications};
use proc_connector_fuzz::shape::Buffer;
use proc_connector_sys::sock_filter;

#[derive(Arbitrary, Debug)]
struct Parts {
    /// The kinds that the mask excludes.
    unwanted: u32,
    processes_only: bool,
    failures_only: bool,
    only: Option<bool>,
    /// Words of the datagram to add to the set, so that it contains the ids of the event.
    words: [Option<u8>; 4],
    tgids: Vec<u32>,
}

fuzz_target!(|input: &[u8]| {
    let (datagram, rest) = input.split_at(input.len().min(76));
    let mut rest = Unstructured::new(rest);
    let Ok(parts) = Parts::arbitrary(&mut rest) else { return };
    compare(&parts, datagram);
    if let Ok(buffer) = Buffer::arbitrary_take_rest(rest) {
        compare(&parts, &buffer.bytes());
    }
});

fn compare(parts: &Parts, datagram: &[u8]) {
    let filter = filter(parts, datagram);
    let mut buffer = [sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).expect("a program that fits");
    let kept = bpf::run(program, datagram) != 0;
    match Notifications::new(datagram).next() {
        Some(Ok(Notification::Event(event))) => assert_eq!(filter.matches(&event), kept),
        Some(Ok(Notification::Ack(_))) => assert!(kept, "acknowledgements pass"),
        // Not an event: the program must end, with any result.
        _ => {}
    }
}

fn filter(parts: &Parts, datagram: &[u8]) -> Filter {
    let mut filter = Filter::new(EventMask::from_bits_retain(!parts.unwanted));
    if parts.processes_only {
        filter = filter.processes_only();
    }
    if parts.failures_only {
        filter = filter.failures_only();
    }
    let words = parts.words.iter().flatten().filter_map(|&at| {
        let word = datagram.get(usize::from(at) % 20 * 4..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*word))
    });
    let tgids: Vec<u32> = words.chain(parts.tgids.iter().copied()).take(1024).collect();
    match parts.only {
        None => filter,
        Some(true) => filter.only_tgids(&tgids).expect("few enough"),
        Some(false) => filter.except_tgids(&tgids).expect("few enough"),
    }
}
