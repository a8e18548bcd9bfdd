//! Reading allocates nothing. The allocator counts allocations of the reading thread.

mod common;

use allocation_counter::{AllocationInfo, measure};
use common::{
    COMM, COREDUMP, EXEC, EXIT, FORK, GID, HEAD, NEW_KIND, NLMSG_ERROR, NLMSG_LEN, NLMSG_NOOP,
    NONE, Order, PTRACE, SID, UID, buffer, event, put, read_all,
};
use proc_connector_core::{
    BigEndian, ByteOrder, EventRecord, LittleEndian, NativeEndian, Notification, Notifications,
    Request,
};

#[test]
fn walking_and_reading_every_field_allocates_nothing() {
    reading::<NativeEndian>(Order::Native);
    reading::<LittleEndian>(Order::Little);
    reading::<BigEndian>(Order::Big);
}

fn reading<O: ByteOrder>(order: Order) {
    let words = order.union(&[1, 2, 3, 4, 5, 6]);
    let kinds = [NONE, FORK, EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT, NEW_KIND];
    let mut messages = kinds.map(|what| order.datagram(HEAD, what, &words)).to_vec();
    messages.push(order.message(NLMSG_NOOP, b""));
    messages.push(order.message(NLMSG_ERROR, b"too"));
    let bytes = buffer(&messages);

    let (mut items, mut total) = (0, 0u64);
    let counted = measure(|| {
        for notification in Notifications::<O>::with_order(&bytes) {
            items += 1;
            let Ok(notification) = notification else { continue };
            total = total.wrapping_add(read_all(&notification));
        }
    });
    assert_eq!(items, messages.len());
    assert_ne!(total, 0);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn errors_encoding_and_requests_allocate_nothing() {
    let bytes = event(EXIT, &[7, 7, 768, 17, 5, 6]);
    let mut lying = bytes.clone();
    put(&mut lying, NLMSG_LEN, &0u32.to_ne_bytes());
    let mut again = [0; EventRecord::MAX_KERNEL_LEN];
    let counted = measure(|| {
        assert_eq!(Notifications::new(&lying).filter(Result::is_err).count(), 1);
        let Some(Ok(Notification::Event(event))) = Notifications::new(&bytes).next() else {
            panic!("an event")
        };
        assert_eq!(EventRecord::from(event).encode_native(&mut again), Ok(76));
        assert_eq!(Request::listen().encode().len(), 40);
    });
    assert_eq!(again, *bytes);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn the_counter_counts() {
    let counted: AllocationInfo = measure(|| drop(std::hint::black_box(Box::new(7))));
    assert_eq!(counted.count_total, 1);
}
