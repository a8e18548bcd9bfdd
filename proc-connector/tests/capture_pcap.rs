//! The variants of pcap. tshark 4.0.17 reads the same packets and times from each.

mod captures;

use captures::Number::{U16, U32};
use captures::{Delivered, EXEC, NETLINK, Number, Order, packet, pcap, read_all};
use proc_connector::capture::{Error, Reader};

/// A file of one variant.
struct Variant {
    magic: u32,
    minor: u16,
    snaplen: u32,
    link: u32,
    /// The fields after the lengths in a record's header.
    extra: &'static [Number],
    original_first: bool,
    /// In units of the variant.
    fraction: u32,
}

const PLAIN: Variant = Variant {
    magic: 0xa1b2_c3d4,
    minor: 4,
    snaplen: 65_535,
    link: 253,
    extra: &[],
    original_first: false,
    fraction: 7_000,
};

impl Variant {
    /// Two packets; a part of each may not have been captured.
    fn file(&self, order: Order) -> Vec<u8> {
        let Self { magic, minor, snaplen, link, .. } = *self;
        let header = [U32(magic), U16(2), U16(minor), U32(0), U32(0), U32(snaplen), U32(link)];
        let mut file = order.numbers(&header);
        for _ in 0..2 {
            let data = packet(EXEC, &[7, 7]);
            let mut lengths = [U32(u32::try_from(data.len()).expect("a few")), U32(500)];
            if self.original_first {
                lengths.reverse();
            }
            file.extend(order.numbers(&[&[U32(1), U32(self.fraction)], &lengths[..]].concat()));
            file.extend(order.numbers(self.extra));
            file.extend(data);
        }
        file
    }
}

#[test]
fn every_variant_yields_the_same_events() {
    let variants = [
        ("microseconds", PLAIN),
        ("nanoseconds", Variant { magic: 0xa1b2_3c4d, fraction: 7_000_000, ..PLAIN }),
        (
            "modified, with interface, protocol and direction",
            Variant { magic: 0xa1b2_cd34, extra: &[U32(1), U16(0), U16(0)], ..PLAIN },
        ),
        ("no snap length", Variant { snaplen: 0, ..PLAIN }),
        ("check sequences of two bytes", Variant { link: 0x2400_00fd, ..PLAIN }),
        ("cooked, of all interfaces", Variant { link: 113, ..PLAIN }),
        ("version 2.3", Variant { minor: 3, ..PLAIN }),
        ("version 2.3, lengths exchanged", Variant { minor: 3, original_first: true, ..PLAIN }),
        ("version 2.2", Variant { minor: 2, original_first: true, ..PLAIN }),
    ];
    for order in Order::ALL {
        for (name, variant) in &variants {
            let (got, error) = read_all(&variant.file(order));
            assert!(error.is_none(), "{name}, {order:?}: {error:?}");
            let is_right =
                |got: &Delivered| matches!(got, Delivered::Event(_, Some(1_007_000_000)));
            assert!(got.len() == 2 && got.iter().all(is_right), "{name}, {order:?}: {got:?}");
        }
    }
}

#[test]
fn a_packet_captured_in_part_affects_no_other_packet() {
    for order in Order::ALL {
        let whole = packet(EXEC, &[7, 7]);
        let mut file = pcap(order, false, NETLINK, &[(1, whole.clone())]);
        for len in [60, 10, 0] {
            let kept = U32(u32::try_from(len).expect("a few"));
            file.extend(order.numbers(&[U32(1), U32(1), kept, U32(92)]));
            file.extend(&whole[..len]);
        }
        file.extend(&pcap(order, false, NETLINK, &[(1, whole.clone())])[24..]);
        let mut reader = Reader::new(&file[..]).expect("a capture");
        let (mut events, mut errors) = (0, Vec::new());
        loop {
            match reader.next() {
                Ok(Some(_)) => events += 1,
                Ok(None) => break,
                Err(error) => errors.push(error),
            }
        }
        assert_eq!((events, errors.len(), reader.cut()), (2, 3, 3));
        assert!(errors.iter().all(Error::is_of_one_packet), "{errors:?}");
    }
}

#[test]
fn zeros_after_the_last_packet_are_skipped() {
    for order in Order::ALL {
        let mut file = pcap(order, false, NETLINK, &[(1, packet(EXEC, &[7, 7]))]);
        file.extend([0; 4096]);
        let (got, error) = read_all(&file);
        assert!(got.len() == 1 && error.is_none(), "{got:?} {error:?}");
    }
}
