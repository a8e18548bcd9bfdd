//! Events: reading any bytes ends, and can resume at the offset of any message. An event is read
//! back unchanged after it was written in either byte order, or as received.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proc_connector_core::{
    Ack, BigEndian, ByteOrder, Event, EventData, EventRecord, LittleEndian, Notification,
    Notifications, ParseError, Payload,
};
use proc_connector_fuzz::shape;

fuzz_target!(|input: &[u8]| {
    shape::both(input, |bytes| {
        walk::<LittleEndian>(bytes);
        walk::<BigEndian>(bytes);
    });
});

fn walk<O: ByteOrder>(bytes: &[u8]) {
    let mut notifications = Notifications::<O>::with_order(bytes);
    loop {
        let start = notifications.offset();
        let Some(notification) = notifications.next() else { break };
        let end = notifications.offset();
        assert!(end <= bytes.len() && (end - start >= 16 || end == bytes.len()));
        let again = Notifications::<O>::with_order(&bytes[start..]).next();
        match (notification, again) {
            (Ok(Notification::Event(event)), Some(Ok(Notification::Event(again)))) => {
                assert_eq!(EventRecord::from(event), EventRecord::from(again));
                look(&event);
                rewrite(event);
            }
            (Ok(Notification::Ack(ack)), Some(Ok(Notification::Ack(again)))) => {
                assert_eq!(ack, again);
                rewrite_ack::<LittleEndian>(ack);
                rewrite_ack::<BigEndian>(ack);
            }
            (Ok(Notification::Control(control)), Some(Ok(Notification::Control(again)))) => {
                assert_eq!(control, again);
            }
            (Err(error), Some(Err(again))) => {
                assert_eq!(error.layer(), again.layer());
                assert_eq!(error.offset(), again.offset() + start);
                explain(&error, bytes.len());
            }
            (one, other) => panic!("{one:?}, but {other:?} from its own offset"),
        }
    }
    assert_eq!(notifications.offset(), bytes.len());
    assert!(notifications.next().is_none(), "the iterator stays at its end");
}

/// Properties of some kinds.
fn look<O: ByteOrder>(event: &Event<'_, O>) {
    assert_eq!(event.mask().bits(), event.what());
    assert!(!format!("{event:?}").is_empty());
    match event.payload() {
        Payload::Exit(exit) => {
            let status = exit.status();
            assert!(status.code().is_some() != status.signal().is_some());
            assert!(!status.to_string().is_empty());
        }
        Payload::Comm(comm) => {
            assert!(comm.comm().starts_with(comm.name()) && !comm.name().contains(&0));
        }
        Payload::Unknown(data) => assert_eq!(data, event.data()),
        _ => {}
    }
}

/// Encodes the event in both byte orders and as received. The record read back must be the same.
fn rewrite<O: ByteOrder>(event: Event<'_, O>) {
    fn round_trip<P: ByteOrder>(record: EventRecord<'_>) {
        let mut datagram = match record.data {
            EventData::Unknown { data, .. } => vec![0xff; 52 + data.len()],
            _ => vec![0xff; 76],
        };
        assert_eq!(record.encode::<P>(&mut datagram), Ok(datagram.len()));
        let mut again = Notifications::<P>::with_order(&datagram);
        let Some(Ok(Notification::Event(event))) = again.next() else { panic!("an event") };
        assert_eq!(EventRecord::from(event), record);
        assert!(again.next().is_none());
        let short = datagram.len() - 1;
        assert!(record.encode::<P>(&mut datagram[..short]).is_err());
    }
    let record = EventRecord::from(event);
    let mut datagram = vec![0xff; event.encoded_len()];
    assert_eq!(event.encode(&mut datagram), Ok(datagram.len()));
    let Some(Ok(Notification::Event(again))) = Notifications::<O>::with_order(&datagram).next()
    else {
        panic!("an event")
    };
    assert_eq!((EventRecord::from(again), again.data()), (record, event.data()));
    round_trip::<LittleEndian>(record);
    round_trip::<BigEndian>(record);
}

fn rewrite_ack<O: ByteOrder>(ack: Ack) {
    let mut datagram = [0xff; 76];
    assert_eq!(ack.encode::<O>(&mut datagram), Ok(76));
    let mut again = Notifications::<O>::with_order(&datagram);
    assert!(matches!(again.next(), Some(Ok(Notification::Ack(again))) if again == ack));
    assert!(again.next().is_none());
}

fn explain(error: &ParseError, len: usize) {
    assert!(error.offset() <= len);
    assert!(!error.to_string().is_empty());
    if let ParseError::Truncated { needed, actual, .. } = error {
        assert!(needed > actual, "{error}");
    }
}
