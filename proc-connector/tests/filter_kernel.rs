//! Filters as the kernel runs them, over a pair of Unix sockets, which takes no privilege.

#[path = "../../proc-connector-core/tests/filters/mod.rs"]
mod filters;
#[path = "../../proc-connector-core/tests/filters/strategy.rs"]
mod strategy;

use std::io::{ErrorKind, Read, Write};

use filters::{Choice, EXEC, Happening, Set};
use proc_connector::core::filter::MAX_PROGRAM_LEN;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use socket2::{Domain, SockFilter, Socket, Type};
use strategy::{choice, happening};

/// Which of the events come through a socket that has the filter.
fn pass(choice: &Choice, events: &[Happening]) -> Vec<[u8; 76]> {
    let (mut sender, mut receiver) =
        Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
    let nothing = proc_connector_sys::sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
    let mut buffer = [nothing; MAX_PROGRAM_LEN];
    let program: Vec<SockFilter> = choice
        .filter()
        .compile(&mut buffer)
        .expect("a program that fits")
        .iter()
        .map(|step| SockFilter::new(step.code, step.jt, step.jf, step.k))
        .collect();
    receiver.attach_filter(&program).expect("a program that the kernel takes");
    receiver.set_nonblocking(true).expect("a socket");

    let mut passed = Vec::new();
    for event in events {
        match sender.write(&event.datagram()) {
            Ok(76) => {}
            // What a Unix socket says when the other end's filter refuses.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            other => panic!("{other:?}"),
        }
        let mut datagram = [0; 76];
        match receiver.read(&mut datagram) {
            Ok(76) => passed.push(datagram),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{other:?}"),
        }
    }
    passed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_agrees_with_the_numbers(choice in choice(), events in vec(happening(), 1..40)) {
        let wanted: Vec<[u8; 76]> = events
            .iter()
            .filter(|event| choice.wants(event))
            .map(Happening::datagram)
            .collect();
        prop_assert_eq!(pass(&choice, &events), wanted);
    }
}

#[test]
fn the_kernel_takes_a_filter_of_1024_ids() {
    let tgids: Vec<u32> = (1..=1024).map(|n| n * 4093).collect();
    let choice = Choice {
        mask: u32::MAX,
        processes_only: true,
        failures_only: true,
        tgids: Some((Set::Only, tgids.clone())),
    };
    let exec = |tgid| Happening { what: EXEC, words: [tgid, tgid, 0, 0, 0, 0] };
    let events: Vec<Happening> = tgids.iter().flat_map(|&id| [exec(id), exec(id + 1)]).collect();
    assert_eq!(pass(&choice, &events).len(), 1024);
}
