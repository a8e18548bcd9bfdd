//! The process that an event is about.

mod common;

use common::{COMM, COREDUMP, EXEC, EXIT, FORK, GID, HEAD, NEW_KIND, Order, PTRACE, SID, UID};
use proc_connector_core::{
    BigEndian, ByteOrder, LittleEndian, NativeEndian, Notification, Notifications, ProcessIds,
};

fn process<O: ByteOrder>(order: Order, what: u32, words: &[u32]) -> Option<ProcessIds> {
    let datagram = order.datagram(HEAD, what, &order.union(words));
    let Some(Ok(Notification::Event(event))) = Notifications::<O>::with_order(&datagram).next()
    else {
        panic!("an event")
    };
    event.process()
}

#[test]
fn an_event_is_about_the_process_that_acted_and_a_fork_about_the_child() {
    fn every_kind<O: ByteOrder>(order: Order) {
        let acted = [EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT];
        let cases = acted.map(|what| (what, [11, 12])).into_iter().chain([(FORK, [13, 14])]);
        for (what, [pid, tgid]) in cases {
            let found = process::<O>(order, what, &[11, 12, 13, 14, 15, 16]);
            assert_eq!(found, Some(ProcessIds { pid, tgid }), "{what:#x}, {order:?}");
        }
        assert_eq!(process::<O>(order, NEW_KIND, &[11, 12, 13, 14, 15, 16]), None, "{order:?}");
    }
    every_kind::<NativeEndian>(Order::Native);
    every_kind::<LittleEndian>(Order::Little);
    every_kind::<BigEndian>(Order::Big);
}

#[test]
fn a_leader_has_the_id_of_its_process() {
    let child = |pid, tgid| process::<NativeEndian>(Order::Native, FORK, &[1, 1, pid, tgid]);
    let new_process = child(7, 7).expect("a known kind");
    let new_thread = child(8, 7).expect("a known kind");
    assert!(new_process.is_leader());
    assert!(!new_thread.is_leader());
    assert_eq!(new_process.tgid, new_thread.tgid);
}
