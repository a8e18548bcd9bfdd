//! Converting an event and receiving allocate nothing after the first receive, as counted by the
//! allocator on the calling thread.

mod common;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use allocation_counter::measure;
use common::wire::{
    COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, NONE, PTRACE, SID, UID, event,
};
use common::{Deadline, load, named, open_live};
use proc_connector::parser::context::layout::{ExtensionHdr, IdentityHdr, TaskHdr};
use proc_connector::parser::{Notification, Notifications};
use proc_connector::{NetlinkMessageIter, OwnedEvent, ProcEvent, Received, parse_netlink_message};

fn main() -> ExitCode {
    let everywhere = named![
        converting_allocates_nothing,
        owning_a_whole_event_allocates_only_for_more_than_the_identity,
        the_functions_of_0_1_5_allocate_nothing,
        unknown_kinds_need_one_allocation,
    ];
    let live = named![batches_allocate_nothing, single_receives_allocate_nothing];
    common::main_with(&[], &everywhere, &live)
}

/// The number of allocations of a function.
fn allocations(function: impl FnOnce()) -> u64 {
    measure(function).count_total
}

fn known_kinds() -> Vec<u8> {
    let kinds = [FORK, EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT];
    kinds.iter().flat_map(|&what| event(what, &[1, 2, 3, 4, 5, 6])).collect()
}

fn converting_allocates_nothing() {
    let bytes = known_kinds();
    let mut converted = 0;
    let counted = allocations(|| {
        for notification in Notifications::new(&bytes) {
            let Ok(Notification::Event(event)) = notification else { panic!("an event") };
            black_box(ProcEvent::from(event));
            converted += 1;
        }
    });
    assert_eq!((converted, counted), (9, 0));
}

fn owning_a_whole_event_allocates_only_for_more_than_the_identity() {
    let bytes = known_kinds();
    let identity = [0_u8; size_of::<IdentityHdr>()];
    let task = [0_u8; size_of::<(IdentityHdr, ExtensionHdr, TaskHdr)>()];
    for (context, expected) in [(&[][..], 0), (&identity, 0), (&task, 9)] {
        let counted = allocations(|| {
            for notification in Notifications::new(&bytes) {
                let Ok(Notification::Event(event)) = notification else { panic!("an event") };
                black_box(OwnedEvent::from(event.with_context(context)));
            }
        });
        assert_eq!(counted, expected, "{} bytes of context", context.len());
    }
}

fn the_functions_of_0_1_5_allocate_nothing() {
    let mut bytes = known_kinds();
    bytes.extend(event(NONE, &[0]));
    let mut parsed = 0;
    let counted = allocations(|| {
        for message in NetlinkMessageIter::new(&bytes, bytes.len()) {
            black_box(message.expect("no error"));
            parsed += 1;
        }
        black_box(parse_netlink_message(&bytes, bytes.len()).expect("no error"));
    });
    assert_eq!((parsed, counted), (10, 0));
}

fn unknown_kinds_need_one_allocation() {
    let bytes = event(NEW_KIND, &[1]);
    let counted = allocations(|| {
        black_box(parse_netlink_message(&bytes, bytes.len()).expect("no error"));
    });
    assert_eq!(counted, 1);
}

fn batches_allocate_nothing() {
    let mut connector = open_live();
    load::threads(1);
    // The first receive allocates all memory.
    black_box(connector.recv_batch().expect("a batch").count());
    let deadline = Deadline::new();
    let (mut received, mut rounds) = (0, 0);
    while rounds < 3 || received < 1_000 {
        assert!(deadline.left().is_some(), "{received} events");
        load::threads(300);
        let counted = allocations(|| {
            for timeout in [Duration::from_secs(1), Duration::ZERO, Duration::ZERO] {
                for item in connector.recv_batch_timeout(timeout).expect("a batch") {
                    let Received::Event(event) = item else { panic!("the machine is too busy") };
                    black_box(ProcEvent::from(event));
                    received += 1;
                }
            }
        });
        assert_eq!(counted, 0);
        rounds += 1;
    }
}

fn single_receives_allocate_nothing() {
    let connector = open_live();
    let mut buffer = [0; 128];
    // Events before the acknowledgement were stored in separate memory.
    while connector.recv_timeout(&mut buffer, Duration::ZERO).expect("no error").is_some() {}
    load::threads(100);
    let counted = allocations(|| {
        for _ in 0..50 {
            black_box(connector.recv(&mut buffer).expect("an event"));
            black_box(connector.recv_timeout(&mut buffer, Duration::MAX).expect("an event"));
        }
    });
    assert_eq!(counted, 0);
}
