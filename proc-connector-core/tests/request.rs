//! The bytes of LISTEN and IGNORE, laid out by hand, and requests that the kernel refuses.

mod common;

use common::{ACK, LEN, NLMSG_DONE, Order, put};
use proc_connector_core::{
    BigEndian, ByteOrder, CnMsg, EventMask, LittleEndian, McastOp, NativeEndian, ParseError,
    Request,
};

/// A request as `nlmsghdr`, `cn_msg` and the words of its payload.
fn laid_out(order: Order, ack: u32, input: &[u32]) -> Vec<u8> {
    let mut bytes = order.message(NLMSG_DONE, &order.cn_msg(1, 1, &order.words(input)));
    put(&mut bytes, ACK, &order.u32(ack));
    bytes
}

#[test]
fn requests_have_the_bytes_that_the_kernel_reads() {
    requests::<NativeEndian>(Order::Native);
    requests::<LittleEndian>(Order::Little);
    requests::<BigEndian>(Order::Big);
}

fn requests<O: ByteOrder>(order: Order) {
    let mask = EventMask::EXEC | EventMask::EXIT;
    let cases: [(Request, u32, &[u32]); 5] = [
        (Request::listen(), 0, &[1]),
        (Request::ignore(), 0, &[2]),
        (Request::listen().with_ack(0x5eed_0001), 0x5eed_0001, &[1]),
        (Request::listen().with_mask(mask), 0, &[1, 0x8000_0002]),
        (Request::ignore().with_mask(EventMask::empty()).with_ack(9), 9, &[2, 0]),
    ];
    for (request, ack, input) in cases {
        let expected = laid_out(order, ack, input);
        assert_eq!(expected.len(), 36 + 4 * input.len());
        assert_eq!(&*request.encode_order::<O>(), expected, "{request:?}, {order:?}");
        let message = CnMsg::<O>::parse(&expected[16..]).expect("a whole message");
        assert_eq!(Request::parse(&message), Ok(request), "{order:?}");
    }
    assert_eq!(&*Request::listen().encode(), laid_out(Order::Native, 0, &[1]));
}

#[test]
fn a_mask_keeps_unnamed_bits() {
    let bytes = laid_out(Order::Native, 0, &[1, 0x0000_0c02]);
    let message = CnMsg::<NativeEndian>::parse(&bytes[16..]).unwrap();
    let request = Request::parse(&message).unwrap();
    assert_eq!(request.mask.map(|mask| mask.bits()), Some(0x0000_0c02));
    assert_eq!(request.op, McastOp::Listen);
}

#[test]
fn a_request_that_the_kernel_ignores_or_refuses_is_an_error() {
    for len in (0..20u16).filter(|len| ![4, 8].contains(len)) {
        let mut bytes = laid_out(Order::Native, 0, &[1, 0, 0, 0, 0]);
        put(&mut bytes, LEN, &len.to_ne_bytes());
        let message = CnMsg::<NativeEndian>::parse(&bytes[16..]).unwrap();
        let expected = ParseError::RequestLength { offset: 20, actual: len.into() };
        assert_eq!(Request::parse(&message), Err(expected));
    }
    for op in [0, 3, 0x0100_0000, u32::MAX] {
        for input in [&[op][..], &[op, 2]] {
            let bytes = laid_out(Order::Native, 0, input);
            let message = CnMsg::<NativeEndian>::parse(&bytes[16..]).unwrap();
            let expected = ParseError::UnknownOperation { offset: 20, op };
            assert_eq!(Request::parse(&message), Err(expected));
        }
    }
    let error = ParseError::RequestLength { offset: 20, actual: 5 };
    assert_eq!(error.to_string(), "invalid length of request at byte 20: 5 bytes, expected 4 or 8");
    let error = ParseError::UnknownOperation { offset: 20, op: 3 };
    assert_eq!(error.to_string(), "unknown operation 3 in request at byte 20");
}
