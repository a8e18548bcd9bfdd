//! Connector messages and requests: any bytes are parsed or rejected. Every request, its
//! acknowledgement and the text of its mask are read back as written.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use proc_connector_core::netlink::Messages;
use proc_connector_core::{
    Ack, BigEndian, ByteOrder, CnMsg, EventMask, LittleEndian, McastOp, Notification,
    Notifications, ParseError, Request,
};

/// A request, and the errno of its acknowledgement.
#[derive(Arbitrary, Debug)]
struct Input {
    listen: bool,
    mask: Option<u32>,
    ack: u32,
    err: u32,
    /// An operation and a length, valid or not, to write over the payload.
    op: u8,
    len: u8,
}

fuzz_target!(|input: &[u8]| {
    // The input as a connector message, and as a datagram that contains a connector message.
    for bytes in [input, input.get(16..).unwrap_or_default()] {
        read_is_written::<LittleEndian>(bytes);
        read_is_written::<BigEndian>(bytes);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        mask_round_trips_as_text(text.parse().ok());
    }
    let Ok(described) = Input::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let op = if described.listen { McastOp::Listen } else { McastOp::Ignore };
    let mask = described.mask.map(EventMask::from_bits_retain);
    mask_round_trips_as_text(mask);
    let request = Request { op, mask, ack: described.ack };
    written_is_read::<LittleEndian>(&request, described.err);
    written_is_read::<BigEndian>(&request, described.err);
    other_payload(&described);
});

fn mask_round_trips_as_text(mask: Option<EventMask>) {
    let Some(mask) = mask else { return };
    assert_eq!(mask.to_string().parse(), Ok(mask));
    assert_eq!(mask.to_string().to_uppercase().parse(), Ok(mask));
}

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
    assert_eq!((message.header().idx(), message.header().val()), (1, 1));
    let end = 20 + usize::from(message.header().len());
    assert_eq!(message.payload(), &bytes[20..end]);
    let Ok(request) = Request::parse(&message) else { return };
    let again = request.encode_order::<O>();
    assert_eq!(&again[36..], message.payload());
    assert_eq!(again[28..32], bytes[12..16], "the ack");
}

/// A request with another payload is parsed as in the kernel: the payload must have 4 or 8 bytes,
/// and start with the operation 1 or 2.
fn other_payload(described: &Input) {
    let datagram = Request::listen().with_mask(EventMask::empty()).encode_order::<LittleEndian>();
    let len = described.len % 16;
    let mut bytes = datagram[16..36].to_vec();
    bytes[16] = len;
    bytes.extend_from_slice(&[described.op, 0, 0, 0]);
    bytes.extend_from_slice(&described.mask.unwrap_or_default().to_le_bytes());
    bytes.resize(20 + 16, 0);
    let message = CnMsg::<LittleEndian>::parse(&bytes).expect("a whole connector message");
    let read = Request::parse(&message);
    match (len, described.op) {
        (4 | 8, 1 | 2) => {
            let request = read.expect("a request");
            let mask = (len == 8).then(|| described.mask.unwrap_or_default());
            assert_eq!(request.mask.map(|mask| mask.bits()), mask);
            assert_eq!(request.op == McastOp::Listen, described.op == 1);
        }
        (4 | 8, op) => {
            assert_eq!(read, Err(ParseError::UnknownOperation { offset: 20, op: op.into() }));
        }
        (len, _) => {
            assert_eq!(read, Err(ParseError::RequestLength { offset: 20, actual: len.into() }));
        }
    }
}
