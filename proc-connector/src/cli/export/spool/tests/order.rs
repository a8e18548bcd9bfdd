//! Batches leave in the order in which they came, across restarts.

use super::support::{NOTHING, Scratch, batch, segment_bytes};

#[test]
fn batches_leave_in_order_and_remain_until_they_are_accepted() {
    let scratch = Scratch::new();
    let (mut spool, opened) = scratch.open(1 << 20);
    assert_eq!(opened.last, None);
    for number in 0..10 {
        spool.append(&batch(number * 10..number * 10 + 10, 0)).unwrap();
    }
    assert_eq!(spool.waiting(), 100);
    for number in 0..4 {
        let expected = batch(number * 10..number * 10 + 10, 0).body;
        assert_eq!(spool.next().unwrap().unwrap().body, expected);
        assert_eq!(spool.next().unwrap().unwrap().body, expected);
        spool.accepted(0).unwrap();
    }
    drop(spool);
    let (mut spool, opened) = scratch.open(1 << 20);
    assert_eq!(opened.last, Some(batch(90..100, 0).content));
    assert_eq!(opened.waiting, 60);
    for number in 4..10 {
        assert_eq!(
            spool.next().unwrap().unwrap().body,
            batch(number * 10..number * 10 + 10, 0).body
        );
        spool.accepted(3).unwrap();
    }
    assert_eq!(spool.next().unwrap(), None);
    assert_eq!(spool.unreported().records, 18);
    let report = spool.unreported();
    spool.append_reporting(&batch(100..101, 18), report).unwrap();
    assert_eq!(spool.unreported(), NOTHING);
    drop(spool);
    let (spool, opened) = scratch.open(1 << 20);
    assert_eq!(opened.waiting, 19);
    assert_eq!(spool.unreported(), NOTHING);
}

#[test]
fn a_full_spool_discards_the_oldest_batches_and_counts_them() {
    let scratch = Scratch::new();
    let capacity = 64 << 10;
    let (mut spool, _) = scratch.open(capacity);
    for number in 0..1000 {
        spool.append(&batch(number * 100..number * 100 + 100, 0)).unwrap();
    }
    let lost = spool.unreported().records;
    assert_eq!(lost + spool.waiting(), 100_000);
    assert!(lost > 50_000, "{lost}");
    let size = segment_bytes(scratch.path());
    assert!(size <= capacity, "{size}");
    drop(spool);
    let (mut spool, _) = scratch.open(capacity);
    assert_eq!(spool.unreported().records, lost);
    let mut received = 0;
    while let Some(handed) = spool.next().unwrap() {
        received += handed.events;
        spool.accepted(0).unwrap();
    }
    assert_eq!(received + lost, 100_000);
    assert_eq!(spool.unreported().records, lost);
}
