//! Connector messages and what listeners send: any bytes are read or refused, and every request is
//! read as it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proc_connector_core::netlink::Messages;
use proc_connector_core::{
    Ack, BigEndian, ByteOrder, CnMsg, EventMask, LittleEndian, McastOp, Notification,
    Notifications, Request,
};

/// Whether it is a LISTEN, the mask, `ack`, and an errno of the answer.
type Wanted = (bool, Option<u32>, u32, u32);

fuzz_target!(|input: (Wanted, &[u8])| {
    let ((listen, mask, ack, err), bytes) = input;
    let op = if listen { McastOp::Listen } else { McastOp::Ignore };
    let request = Request { op, mask: mask.map(EventMask::from_bits_retain), ack };
    written_is_read::<LittleEndian>(&request, err);
    written_is_read::<BigEndian>(&request, err);
    read_is_written::<LittleEndian>(bytes);
    read_is_written::<BigEndian>(bytes);
});

fn written_is_read<O: ByteOrder>(request: &Request, err: u32) {
    let datagram = request.encode_order::<O>();
    let message = Messages::<O>::with_order(&datagram).next().and_then(Result::ok);
    let message = message.expect("a whole netlink message");
    let message = CnMsg::<O>::parse(message.payload()).expect("a whole connector message");
    assert_eq!(Request::parse(&message), Ok(*request));

    let ack = Ack { ack: request.ack.wrapping_add(1), err, cpu: err ^ 1, seq: err ^ 2 };
    assert!(ack.answers(request));
    assert!(!Ack { ack: request.ack, ..ack }.answers(request));
    let mut datagram = [0; 76];
    assert_eq!(ack.encode::<O>(&mut datagram), Ok(76));
    let mut read = Notifications::<O>::with_order(&datagram);
    assert!(matches!(read.next(), Some(Ok(Notification::Ack(read))) if read == ack));
    assert!(read.next().is_none());
}

fn read_is_written<O: ByteOrder>(bytes: &[u8]) {
    let Ok(message) = CnMsg::<O>::parse(bytes) else { return };
    assert_eq!((message.header().idx.get(), message.header().val.get()), (1, 1));
    let end = 20 + usize::from(message.header().len.get());
    assert_eq!(message.payload(), &bytes[20..end]);
    let Ok(request) = Request::parse(&message) else { return };
    let again = request.encode_order::<O>();
    assert_eq!(&again[36..], message.payload());
    assert_eq!(again[28..32], bytes[12..16], "the ack");
}
