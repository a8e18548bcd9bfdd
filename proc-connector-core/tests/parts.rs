//! An event consists of its headers and its union, and can be made from them.

use proc_connector_core::{
    Event, EventData, EventRecord, NativeEndian, Notification, Notifications, Payload,
};

fn with_event(data: EventData<'_>, test: impl FnOnce(Event<'_, NativeEndian>)) {
    let record = EventRecord { seq: 1, cpu: 2, timestamp_ns: 3, data };
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let len = record.encode_native(&mut datagram).expect("a datagram");
    match Notifications::new(&datagram[..len]).next() {
        Some(Ok(Notification::Event(event))) => test(event),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_made_of_anothers_parts_equals_it() {
    let cases = [
        EventData::Exec { process_pid: 4, process_tgid: 5 },
        EventData::Coredump { process_pid: 4, process_tgid: 5, parent_pid: 6, parent_tgid: 7 },
        EventData::Unknown { what: 0x400, data: &[1, 2, 3] },
    ];
    for data in cases {
        with_event(data, |event| {
            let again = Event::from_parts(event.cn_msg(), event.header(), event.data());
            assert_eq!(EventRecord::from(again), EventRecord::from(event));
        });
    }
}

#[test]
fn a_union_too_short_for_its_kind_is_kept_as_unknown() {
    with_event(EventData::Exec { process_pid: 4, process_tgid: 5 }, |event| {
        let short = Event::from_parts(event.cn_msg(), event.header(), &event.data()[..7]);
        assert_eq!(short.what(), event.what());
        assert!(matches!(short.payload(), Payload::Unknown(data) if data == short.data()));
    });
}
