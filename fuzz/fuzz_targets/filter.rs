//! A filter's two forms against each other and against the numbers, with any parts and any event.

#![no_main]

#[path = "../../proc-connector-core/tests/filters/mod.rs"]
mod filters;
#[path = "../../proc-connector-core/tests/filters/machine.rs"]
mod machine;

use filters::{Choice, Happening, Set};
use libfuzzer_sys::fuzz_target;
use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::{Notification, Notifications};
use proc_connector_sys::sock_filter;

/// The mask, processes only, failures only, and a set of ids to follow or to leave out.
type Parts = (u32, bool, bool, Option<(bool, Vec<u16>)>);

fuzz_target!(|input: (Parts, bool, u32, [u16; 6])| {
    let ((mask, processes_only, failures_only, tgids), high, what, words) = input;
    // Few different numbers, so that they are often the same, with low bits or with high ones.
    let number = |number: u16| u32::from(number) << if high { 16 } else { 0 };
    let tgids = tgids.map(|(only, mut ids)| {
        ids.truncate(1024);
        let set = if only { Set::Only } else { Set::Except };
        (set, ids.into_iter().map(number).collect())
    });
    let choice = Choice { mask, processes_only, failures_only, tgids };
    let event = Happening { what, words: words.map(number) };
    let (filter, datagram) = (choice.filter(), event.datagram());

    let mut buffer = [sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).expect("a program that fits");
    let kept = machine::run(program, &datagram) != 0;
    match Notifications::new(&datagram).next() {
        Some(Ok(Notification::Ack(_))) => assert!(kept, "acknowledgements pass"),
        Some(Ok(Notification::Event(read))) => {
            assert_eq!(filter.matches(&read), choice.wants(&event));
            assert_eq!(kept, choice.wants(&event));
        }
        other => panic!("{other:?}"),
    }
});
