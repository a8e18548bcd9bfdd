//! Captures of other programs: the reader accepts all files that tshark accepts, and skips
//! irrelevant contents.
//!
//! tshark 4.0.17 reads the same packets and times from the files of
//! `files_that_tshark_accepts_are_accepted`, except for those in [`STRICTER`], which it rejects.

mod captures;

use captures::Number::{U16, U32, U64};
use captures::{
    CONNECTOR, Delivered, ETHERNET, EXEC, NETLINK, Number, Order, block, chain, enhanced,
    interface, option, packet, read_all, section, with_options,
};
use proc_connector::LossCause;
use proc_connector::capture::Reader;

/// Cases in which tshark 4.0.17 rejects the file because of contents that no reader needs.
const STRICTER: [&str; 5] = [
    "a reserved minor version",
    "empty options of a packet",
    "name resolution that is damaged",
    "statistics that are too short",
    "an option longer than its block",
];

fn exec() -> Vec<u8> {
    packet(EXEC, &[7, 7])
}

/// The number of events in a file that can be read to its end.
fn count(name: &str, file: &[u8]) -> usize {
    let (got, error) = read_all(file);
    assert!(error.is_none(), "{name}: {error:?}");
    got.iter().filter(|got| matches!(got, Delivered::Event(..))).count()
}

/// A section, an interface with these options, and a packet.
fn with_interface(order: Order, options: &[u8]) -> Vec<u8> {
    let interface = with_options(order, &interface(order, NETLINK, None), options);
    [section(order), interface, enhanced(order, 0, 5, &exec(), &[])].concat()
}

/// The same with a block before and after the packet.
fn with_block(order: Order, block: &[u8]) -> Vec<u8> {
    let packet = enhanced(order, 0, 5, &exec(), &[]);
    [section(order), interface(order, NETLINK, None), block.to_vec(), packet, block.to_vec()]
        .concat()
}

fn version(order: Order, minor: u16) -> Vec<u8> {
    block(order, 0x0a0d_0d0a, &order.numbers(&[U32(0x1a2b_3c4d), U16(1), U16(minor), U64(0)]))
}

type Files = Vec<(&'static str, usize, Vec<u8>)>;

/// Files by their special feature, with their number of events.
fn files(order: Order) -> Files {
    let numbers = |numbers: &[Number]| order.numbers(numbers);
    let option = |code, value: &[u8]| option(order, code, value);
    let end = option(0, &[]);
    let list = |options: &[Vec<u8>]| [options.concat(), end.clone()].concat();
    let in_interface = |options: &[u8]| with_interface(order, options);
    let in_packet = |options: &[u8]| {
        let packet = enhanced(order, 0, 5, &exec(), options);
        [section(order), interface(order, NETLINK, None), packet.clone(), packet].concat()
    };
    let with = |kind, body: &[u8]| with_block(order, &block(order, kind, body));
    let latin1 = with_options(order, &section(order), &list(&[option(4, b"caf\xe9")]));
    let minor = |minor| [version(order, minor), with_interface(order, &[])[28..].to_vec()].concat();
    let mut unpadded = numbers(&[U32(0x7777), U32(17)]);
    unpadded.extend(b"abcde\0\0\0");
    unpadded.extend(numbers(&[U32(17)]));
    vec![
        ("a time zone", 1, in_interface(&list(&[option(10, &numbers(&[U32(3600)]))]))),
        ("names in Latin-1", 1, in_interface(&list(&[option(2, b"\xff\xfe"), option(3, b"\xe9")]))),
        ("a comment in Latin-1", 2, in_packet(&list(&[option(1, b"\xe9t\xe9"), option(1, b"b")]))),
        ("an application in Latin-1", 1, [latin1, with_interface(order, &[])].concat()),
        ("options that end with the block", 1, in_interface(&option(2, b"eth0"))),
        ("options of a packet that end with the block", 2, in_packet(&option(1, b"hi"))),
        ("bytes after the end mark", 1, in_interface(&[&end[..], &[0xff; 9]].concat())),
        ("bytes after a packet's end mark", 2, in_packet(&[&end[..], &[0xde, 0xad]].concat())),
        ("empty options", 1, in_interface(&list(&[2, 9, 10, 11, 14].map(|it| option(it, b""))))),
        ("empty options of a packet", 2, in_packet(&list(&[1, 2, 4, 7].map(|it| option(it, b""))))),
        (
            "unknown, reserved and custom options",
            1,
            in_interface(&list(&[0x7fff, 0x8001, 2988, 19373].map(|it| option(it, b"1234xyz")))),
        ),
        ("an option longer than its block", 1, in_interface(&numbers(&[U16(2), U16(0xffff)]))),
        ("a minor version", 1, minor(2)),
        ("a reserved minor version", 1, minor(9)),
        ("name resolution", 1, with(4, &list(&[option(1, b"\x7f\0\0\x01caf\xe9\0")]))),
        ("name resolution that is damaged", 1, with(4, &[0xff; 12])),
        ("a systemd journal entry", 1, with(9, b"__REALTIME_TIMESTAMP=1\nMESSAGE=\xe9\xff\n\n")),
        (
            "decryption secrets",
            1,
            with(10, &[&numbers(&[U32(0x544c_534b), U32(3)]), &b"\xff\0\xff"[..]].concat()),
        ),
        ("custom blocks", 1, with(0xbad, &numbers(&[U32(32_473), U32(9)]))),
        ("custom blocks not to be copied", 1, with(0x4000_0bad, &numbers(&[U32(32_473)]))),
        ("unknown blocks", 1, with(0x7777, &[])),
        ("local blocks", 1, with(0x8000_0001, b"\xff")),
        ("statistics that are too short", 1, with(5, &[])),
        ("statistics of an unknown interface", 1, with(5, &numbers(&[U32(9), U32(0), U32(0)]))),
        ("a length without the padding", 1, with_block(order, &unpadded)),
        (
            "empty sections",
            1,
            [section(order), section(order), with_interface(order, &[])].concat(),
        ),
    ]
}

#[test]
fn files_that_tshark_accepts_are_accepted() {
    for order in Order::ALL {
        let files = files(order);
        for (name, events, file) in &files {
            assert_eq!(count(name, file), *events, "{name}, {order:?}");
        }
        assert!(STRICTER.iter().all(|name| files.iter().any(|file| file.0 == *name)));
        // Concatenated files are a valid file, whatever their byte orders.
        let all: Vec<u8> = files.iter().flat_map(|file| file.2.clone()).collect();
        let other = if order == Order::Big { Order::Little } else { Order::Big };
        let all = [all, with_interface(other, &[])].concat();
        assert_eq!(count("all", &all), files.iter().map(|file| file.1).sum::<usize>() + 1);
    }
}

#[test]
fn the_time_zone_option_does_not_hide_the_resolution() {
    for order in Order::ALL {
        let zone = option(order, 10, &order.numbers(&[U32(3600)]));
        let options = [zone, option(order, 9, &[9]), option(order, 0, &[])].concat();
        let (got, error) = read_all(&with_interface(order, &options));
        assert!(
            matches!(got[..], [Delivered::Event(_, Some(5))]) && error.is_none(),
            "{got:?} {error:?}"
        );
    }
}

/// The losses of a file that can be read to its end.
fn losses(file: &[u8]) -> Vec<(Option<u64>, LossCause)> {
    let (got, error) = read_all(file);
    assert!(error.is_none(), "{error:?}");
    let lost =
        |got| if let Delivered::Lost(count, cause, _) = got { Some((count, cause)) } else { None };
    got.into_iter().filter_map(lost).collect()
}

#[test]
fn drop_counts_of_every_kind_are_reported_once() {
    for order in Order::ALL {
        let obsolete = |drops| {
            let fields = [U16(0), U16(drops), U32(0), U32(5), U32(92), U32(92)];
            block(order, 2, &[order.numbers(&fields), exec()].concat())
        };
        let statistics = |code, dropped| {
            let totals = option(order, code, &order.numbers(&[U64(dropped)]));
            block(order, 5, &[order.numbers(&[U32(0), U32(0), U32(9)]), totals].concat())
        };
        let dropped = |options: &[u8]| enhanced(order, 0, 5, &exec(), options);
        let count = |count| option(order, 4, &order.numbers(&[U64(count)]));
        let start = [section(order), interface(order, NETLINK, None)].concat();
        let file = |blocks: &[Vec<u8>]| [start.clone(), blocks.concat()].concat();
        let recorded = |count| (Some(count), LossCause::Recorded);
        // All ones denote an unknown number.
        let of_obsolete = file(&[obsolete(3), obsolete(0), obsolete(0xffff), statistics(5, 3)]);
        assert_eq!(losses(&of_obsolete), [recorded(3)]);
        let of_all = file(&[dropped(&count(2)), obsolete(3), statistics(5, 9), statistics(7, 10)]);
        assert_eq!(losses(&of_all), [2, 3, 4, 1].map(recorded));
        // Counts of a wrong length are ignored.
        assert_eq!(losses(&file(&[dropped(&option(order, 4, &[1; 4])), dropped(&[])])), []);
        let most = u64::MAX;
        let huge = file(&[dropped(&count(most)), dropped(&count(most)), statistics(5, most)]);
        assert_eq!(losses(&huge), [most, most].map(recorded));
        // An earlier comment of another program does not hide the cause.
        let comments = [&b"odd \xff"[..], b"2 events lost: the receive buffer was full"];
        let comments = comments.map(|text| option(order, 1, text)).concat();
        let file = file(&[dropped(&[comments, count(2)].concat())]);
        assert_eq!(losses(&file), [(Some(2), LossCause::Overrun)]);
    }
}

#[test]
fn sections_and_interfaces_can_have_any_byte_order_and_link_type() {
    const SLL: u16 = 113;
    const SLL2: u16 = 276;
    for order in Order::ALL {
        let sll2 = [
            Order::Big.numbers(&[U16(CONNECTOR), U16(0), U32(1), U16(824), U16(0), U64(0)]),
            exec()[16..].to_vec(),
        ]
        .concat();
        // With another hardware type, the bytes at the same offset are not a netlink family.
        let mut other = exec();
        other[3] = 1;
        let links = [ETHERNET, NETLINK, SLL, SLL2].map(|link| interface(order, link, Some(9)));
        let packets = [exec(), exec(), exec(), sll2.clone(), other.clone(), sll2[..19].to_vec()];
        let on = [0, 1, 2, 3, 2, 3];
        let packets: Vec<u8> = packets
            .iter()
            .zip(on)
            .flat_map(|(data, id)| enhanced(order, id, 5, data, &[]))
            .collect();
        let file = [section(order), links.concat(), packets].concat();
        assert_eq!(count("links", &file), 3);
        let mut reader = Reader::new(&file[..]).expect("a capture");
        while reader.next().expect("no damage").is_some() {}
        assert_eq!((reader.skipped(), reader.cut()), (3, 0));
    }
}

/// All results of a reader, including recoverable errors.
fn results(file: &[u8]) -> (Vec<Option<String>>, u64) {
    let mut reader = Reader::new(file).expect("a capture");
    let mut results = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(_)) => results.push(None),
            Ok(None) => return (results, reader.cut()),
            Err(error) => {
                assert!(error.is_of_one_packet(), "{error}");
                results.push(Some(chain(&error)));
            }
        }
    }
}

#[test]
fn an_unreadable_packet_affects_no_other_packet() {
    for order in Order::ALL {
        let cut = |len: u32| {
            let fields = [U32(0), U32(0), U32(5), U32(len), U32(92)];
            let data = exec()[..usize::try_from(len).expect("a few")].to_vec();
            block(order, 6, &[order.numbers(&fields), data].concat())
        };
        let simple = block(order, 3, &[order.numbers(&[U32(92)]), exec()[..60].to_vec()].concat());
        let too_long = [U32(0), U32(0), U32(5), U32(500), U32(500)];
        let too_long = block(order, 6, &[order.numbers(&too_long), exec()].concat());
        let mut blocks = vec![
            (cut(60), "truncated"),
            (cut(3), "truncated"),
            (cut(0), "truncated"),
            (simple, "truncated"),
            (enhanced(order, 7, 5, &exec(), &[]), "interface 7"),
            (too_long, "500 bytes"),
            (block(order, 6, &[0; 8]), "too short"),
        ];
        let whole = enhanced(order, 0, 5, &exec(), &[]);
        let mut file = [section(order), interface(order, NETLINK, None), whole.clone()].concat();
        for (block, _) in &blocks {
            file.extend([&block[..], &whole].concat());
        }
        let (results, cut) = results(&file);
        assert_eq!(cut, 4);
        assert_eq!(results.len(), 1 + 2 * blocks.len(), "{results:?}");
        for (result, (_, message)) in results[1..].chunks(2).zip(blocks.drain(..)) {
            assert!(result[0].as_ref().is_some_and(|it| it.contains(message)), "{result:?}");
            assert!(result[1].is_none());
        }
    }
}
