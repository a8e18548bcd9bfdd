//! Captures of other programs and other machines yield exactly their events.

mod captures;
#[path = "common/wire.rs"]
mod wire;

use captures::{
    CONNECTOR, DEMO, Delivered, ETHERNET, NETLINK, Order, Packet, Plain, blocks, cooked,
    demo_datagrams, demo_events, drain, enhanced, events, interface, option, pcap, pcapng,
    read_all, section, swap,
};
use proc_connector::capture::{Error, Format, Reader};
use proc_connector::parser::filter::TreeRoot;
use proc_connector::parser::{EventData, EventRecord};
use proc_connector::{EventMask, Filter, LossCause, Received};

const ROUTE: u16 = 0;
const GENERIC: u16 = 16;

/// The demo's packets in a byte order, as captured by another program.
fn packets(order: Order) -> Vec<Packet> {
    let of_machine = |bytes: &[u8]| match order {
        Order::Little => bytes.to_vec(),
        Order::Big => swap(Order::Little, bytes),
    };
    let packet = |(time, bytes): &Packet| (*time, cooked(CONNECTOR, &of_machine(bytes)));
    demo_datagrams().iter().map(packet).collect()
}

/// Adds packets of other netlink families before, between and after.
fn among_others(packets: &[Packet]) -> Vec<Packet> {
    let route = cooked(ROUTE, &wire::message(16, &[7; 33]));
    let generic = cooked(GENERIC, &wire::event(wire::EXEC, &[1, 1]));
    let mut mixed = vec![(1, generic.clone())];
    for (time, data) in packets {
        mixed.extend([(*time, route.clone()), (*time, data.clone())]);
    }
    mixed.extend([(2, route), (3, generic)]);
    mixed
}

#[test]
fn the_demo_contains_the_expected_events() {
    let expected = demo_datagrams().into_iter().map(|(time, datagram)| {
        Delivered::Event(Plain::read(Order::Little, &datagram), Some(time.into()))
    });
    let expected: Vec<Delivered> = expected.collect();
    let (got, error) = read_all(DEMO);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got, expected);
    assert_eq!(got.len(), 74);
}

#[test]
fn every_byte_order_of_file_and_machine_yields_the_same_events() {
    for file in Order::ALL {
        for machine in Order::ALL {
            let packets = packets(machine);
            assert_eq!(
                read_all(&pcapng(file, &packets)).0,
                read_all(DEMO).0,
                "{file:?} {machine:?}"
            );
            let nanoseconds = pcap(file, true, NETLINK, &packets);
            assert_eq!(read_all(&nanoseconds).0, read_all(DEMO).0, "{file:?} {machine:?}");
        }
    }
}

#[test]
fn packets_of_other_netlink_families_are_skipped_and_counted() {
    for file in Order::ALL {
        let mixed = among_others(&packets(Order::Little));
        for capture in [pcap(file, false, NETLINK, &mixed), pcapng(file, &mixed)] {
            assert_eq!(events(&capture), demo_events());
            let mut reader = Reader::new(&capture[..]).expect("a capture");
            while reader.next().expect("no damage").is_some() {}
            assert_eq!(reader.skipped(), 74 + 3);
        }
    }
}

#[test]
fn times_have_the_resolution_of_the_file() {
    let packets = packets(Order::Little);
    let whole = demo_datagrams().iter().map(|(time, _)| u128::from(*time)).collect::<Vec<_>>();
    let cut: Vec<u128> = whole.iter().map(|time| time / 1_000 * 1_000).collect();
    let times = |file: &[u8]| -> Vec<u128> {
        let time = |got: &Delivered| match got {
            Delivered::Event(_, time) | Delivered::Lost(.., time) => time.expect("a time"),
        };
        read_all(file).0.iter().map(time).collect()
    };
    assert_eq!(times(&pcap(Order::Big, true, NETLINK, &packets)), whole);
    assert_eq!(times(&pcap(Order::Big, false, NETLINK, &packets)), cut);
    let in_microseconds = |order| {
        let mut file = [section(order), interface(order, NETLINK, None)].concat();
        for (time, data) in &packets {
            file.extend(enhanced(order, 0, time / 1_000, data, &[]));
        }
        file
    };
    assert_eq!(times(&in_microseconds(Order::Little)), cut);
    assert_eq!(times(&in_microseconds(Order::Big)), cut);
}

#[test]
fn a_file_can_have_many_sections_and_interfaces() {
    let datagrams = packets(Order::Little);
    let (first, second) = (&datagrams[0].1, &datagrams[1].1);
    let (big, little) = (Order::Big, Order::Little);
    let file = [
        section(big),
        interface(big, ETHERNET, None),
        interface(big, NETLINK, Some(9)),
        // On an interface with another link type, these bytes are not an event.
        enhanced(big, 0, 1, second, &[]),
        enhanced(big, 1, 2, first, &[]),
        // A name resolution block, a custom block, and a block of an unknown kind.
        captures::block(big, 4, &[0; 4]),
        captures::block(big, 0xbad, &[1, 2, 3, 4, 5]),
        captures::block(big, 0x7777, &[1; 40]),
        // A new section ends the scope of the interfaces and of the byte order.
        section(little),
        interface(little, NETLINK, Some(9)),
        // A simple packet has neither interface nor time.
        captures::block(little, 3, &[&92_u32.to_le_bytes()[..], second].concat()),
    ]
    .concat();
    let (got, error) = read_all(&file);
    assert!(error.is_none(), "{error:?}");
    let expected = demo_events();
    assert_eq!(got[0], Delivered::Event(expected[0].clone(), Some(2)));
    assert_eq!(got[1..], [Delivered::Event(expected[1].clone(), None)]);
}

#[test]
fn obsolete_packet_blocks_are_read() {
    for order in Order::ALL {
        use captures::Number::{U16, U32};
        let data = &packets(Order::Little)[0].1;
        // The interface, the number of drops, and the halves of the time.
        let fields = [U16(0), U16(0), U32(1), U32(2), U32(92), U32(92)];
        let body = [order.numbers(&fields), data.clone()].concat();
        let file = [section(order), interface(order, NETLINK, Some(9))].concat();
        let file = [file, captures::block(order, 2, &body)].concat();
        let time = (1 << 32) + 2;
        assert_eq!(read_all(&file).0, [Delivered::Event(demo_events()[0].clone(), Some(time))]);
    }
}

#[test]
fn bare_messages_are_read_in_either_byte_order() {
    for (order, machine) in [(Order::Little, Order::Little), (Order::Little, Order::Big)] {
        let messages = demo_datagrams().into_iter().map(|(_, bytes)| match machine {
            Order::Little => bytes,
            Order::Big => swap(order, &bytes),
        });
        let file = messages.collect::<Vec<_>>().concat();
        let (got, error) = read_all(&file);
        assert!(error.is_none(), "{error:?}");
        let expected: Vec<Delivered> =
            demo_events().into_iter().map(|event| Delivered::Event(event, None)).collect();
        assert_eq!(got, expected, "{machine:?}");
        assert_eq!(Reader::new(&file[..]).expect("messages").format(), Format::Messages);
    }
}

#[test]
fn bare_messages_can_lack_the_last_padding_and_can_repeat() {
    let odd = wire::message(
        wire::NLMSG_DONE,
        &wire::cn_msg(1, 1, &wire::proc_event(wire::NEW_KIND, &[7; 23])),
    );
    assert_eq!(odd.len() % 4, 3);
    let file = [&odd[..], &[0], &odd, &[0], &odd].concat();
    assert_eq!(events(&file).len(), 3);
}

#[test]
fn all_messages_of_a_packet_are_delivered() {
    let datagrams: Vec<Vec<u8>> = demo_datagrams().into_iter().map(|(_, bytes)| bytes).collect();
    let packet = cooked(CONNECTOR, &datagrams.concat());
    assert_eq!(events(&pcapng(Order::Little, &[(9, packet)])), demo_events());
}

#[test]
fn requests_and_acknowledgements_are_not_events() {
    let (listen, ignore) = (1_u32.to_ne_bytes(), 2_u32.to_ne_bytes());
    let done = |payload: &[u8]| wire::message(wire::NLMSG_DONE, payload);
    let others = [
        done(&wire::cn_msg(1, 1, &listen)),
        done(&wire::cn_msg(1, 1, &ignore)),
        done(&wire::cn_msg(1, 1, &[listen, [0xff; 4]].concat())),
        // An operation that the kernel rejects.
        done(&wire::cn_msg(1, 1, &77_u32.to_ne_bytes())),
        // The acknowledgement, and a message of another connector.
        wire::event(wire::NONE, &[0]),
        done(&wire::cn_msg(3, 1, &[1, 2, 3])),
        wire::message(wire::NLMSG_NOOP, &[]),
        wire::message(wire::NLMSG_DONE, &[]),
        wire::message(wire::NLMSG_ERROR, &[0; 20]),
    ];
    let mut mixed: Vec<Packet> = others.iter().map(|bytes| (1, cooked(CONNECTOR, bytes))).collect();
    mixed.extend(packets(Order::NATIVE));
    mixed.extend(others.iter().map(|bytes| (1, cooked(CONNECTOR, bytes))));
    assert_eq!(events(&pcap(Order::Little, true, NETLINK, &mixed)), demo_events());
}

#[test]
fn an_overrun_message_is_a_loss() {
    let overrun = cooked(CONNECTOR, &wire::message(wire::NLMSG_OVERRUN, &[]));
    let lost = Delivered::Lost(None, LossCause::Overrun, Some(5));
    assert_eq!(read_all(&pcapng(Order::Big, &[(5, overrun)])).0, [lost]);
}

#[test]
fn a_filtered_reader_selects_the_matching_events() {
    let filters = vec![
        Filter::new(EventMask::EXEC | EventMask::EXIT),
        Filter::default().processes_only(),
        Filter::new(EventMask::EXIT).failures_only(),
        Filter::default().only_tgids(&[demo_events()[4].words[1]]).expect("few"),
    ];
    let expected: [&dyn Fn(&Plain) -> bool; 4] = [
        &|e| e.what == wire::EXEC || e.what == wire::EXIT,
        // Threads cause forks (with two different child ids), names and exits.
        &|e| match e.what {
            wire::FORK => e.words[2] == e.words[3],
            wire::COMM | wire::EXIT => e.words[0] == e.words[1],
            _ => true,
        },
        &|e| e.what == wire::EXIT && e.words[2] != 0,
        &|e| {
            let process = demo_events()[4].words[1];
            match e.what {
                wire::FORK if e.words[2] == e.words[3] => e.words[1] == process,
                wire::FORK => e.words[3] == process,
                _ => e.words[1] == process,
            }
        },
    ];
    for (filter, expected) in filters.into_iter().zip(expected) {
        let expected: Vec<Plain> = demo_events().into_iter().filter(|e| expected(e)).collect();
        assert!(!expected.is_empty() && expected.len() < 74);
        for machine in Order::ALL {
            let file = pcapng(Order::Big, &packets(machine));
            let reader = Reader::new(&file[..]).expect("a capture").with_filter(filter.clone());
            let (got, _) = drain(reader);
            let got: Vec<Plain> = got.iter().map(|got| got.event().clone()).collect();
            assert_eq!(got, expected, "{filter:?}");
        }
    }
}

#[test]
fn drops_in_the_final_statistics_are_reported() {
    for order in Order::ALL {
        let statistics = |dropped: u64| {
            use captures::Number::{U32, U64};
            let mut body = order.numbers(&[U32(0), U32(0), U32(77)]);
            body.extend(option(order, 5, &order.numbers(&[U64(dropped)])));
            body.extend(option(order, 0, &[]));
            captures::block(order, 5, &body)
        };
        let drops = option(order, 4, &order.numbers(&[captures::Number::U64(2)]));
        let drops = [drops, option(order, 0, &[])].concat();
        let packet = &packets(Order::Little)[0].1;
        let start = [section(order), interface(order, NETLINK, Some(9))].concat();
        let file = [start, enhanced(order, 0, 5, packet, &drops), statistics(9)].concat();
        let lost = |count, time| Delivered::Lost(Some(count), LossCause::Recorded, Some(time));
        let event = Delivered::Event(demo_events()[0].clone(), Some(5));
        let once = [lost(2, 5), event, lost(7, 77)];
        assert_eq!(read_all(&file).0, once, "{order:?}");
        // The counts are totals: the same total again reports no new loss.
        assert_eq!(read_all(&[file, statistics(9)].concat()).0, once);
    }
}

#[test]
fn input_that_is_not_a_capture_is_rejected() {
    let no_capture = [&b"#!/bin/sh\nexit 0\n"[..], &[0; 100], &[1], &[0x1f, 0x8b, 8, 0], b"{}"];
    for bytes in no_capture {
        let (_, error) = read_all(bytes);
        assert!(matches!(error, Some(Error::UnknownFormat)), "{error:?}");
    }
    assert!(matches!(read_all(&[]).1, Some(Error::Empty)));
    assert_eq!(blocks(Order::Little, DEMO).len(), 74 + 3);
}

#[test]
fn a_filter_with_a_tree_follows_its_processes() {
    let fork = |parent, child| EventData::Fork {
        parent_pid: parent,
        parent_tgid: parent,
        child_pid: child,
        child_tgid: child,
    };
    let exec = |tgid| EventData::Exec { process_pid: tgid, process_tgid: tgid };
    let mut messages = Vec::new();
    for (timestamp_ns, data) in (1..).zip([fork(7, 8), fork(1, 9), exec(9), exec(8), fork(8, 10)]) {
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns, data };
        let len = record.encode_native(&mut datagram).expect("capacity");
        messages.extend_from_slice(&datagram[..len]);
    }
    let filter = Filter::default().descendants_of(&[TreeRoot::new(7)]).expect("one");
    let mut reader = Reader::new(&messages[..]).expect("bare messages").with_filter(filter);
    let mut found = Vec::new();
    while let Some(recorded) = reader.next().expect("an event") {
        let Received::Event(event) = recorded.received else { panic!("a loss") };
        found.push(event.timestamp_ns());
    }
    assert_eq!(found, [1, 4, 5]);
}
