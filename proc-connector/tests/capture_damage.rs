//! Damaged captures: events before the damage are delivered, and an error gives its position.

mod captures;

use std::io::{self, Read};

use allocation_counter::measure;
use captures::random::Random;
use captures::{
    CONNECTOR, DEMO, NETLINK, Order, Packet, Plain, blocks, chain, cooked, demo_datagrams,
    demo_events, drain, pcap, pcapng, read_all, swap,
};
use proc_connector::Received;
use proc_connector::capture::{Error, Reader};

fn packets() -> Vec<Packet> {
    demo_datagrams().iter().map(|(time, data)| (*time, cooked(CONNECTOR, data))).collect()
}

/// The position of an error in the file.
fn offset(error: &Error) -> u64 {
    match error {
        Error::Io { offset, .. }
        | Error::Truncated { offset, .. }
        | Error::Length { offset, .. }
        | Error::Damaged { offset, .. }
        | Error::Message { offset, .. } => *offset,
        _ => 0,
    }
}

type Parts = Vec<(usize, usize)>;

/// The start of each part of a capture and the end of the capture, with the number of events before
/// each.
fn parts(file: &[u8], headers: usize, part: usize) -> Parts {
    let starts = (headers..=file.len()).step_by(part);
    [(0, 0)].into_iter().chain(starts.enumerate().map(|(n, at)| (at, n))).collect()
}

/// A capture in each format, and its parts.
fn captures() -> Vec<(&'static str, Vec<u8>, Parts)> {
    let mut demo = Vec::new();
    let mut events = 0;
    for block in blocks(Order::Little, DEMO) {
        demo.push((block.start, events));
        events += usize::from(Order::Little.u32(&DEMO[block.clone()], 0) == 6);
        if block.end == DEMO.len() {
            demo.push((block.end, events));
        }
    }
    // Every packet of the other two formats has the same structure, so a few suffice.
    let few = 24;
    let pcap = pcap(Order::Big, true, NETLINK, &packets()[..few]);
    let pcap_parts = parts(&pcap, 24, 16 + 92);
    let bare: Vec<u8> =
        demo_datagrams().into_iter().take(few).flat_map(|(_, bytes)| bytes).collect();
    let bare_parts = parts(&bare, 76, 76);
    let bare_parts =
        bare_parts.iter().map(|&(at, n)| (at, if at == 0 { 0 } else { n + 1 })).collect();
    vec![("pcapng", DEMO.to_vec(), demo), ("pcap", pcap, pcap_parts), ("bare", bare, bare_parts)]
}

#[test]
fn every_truncation_delivers_whole_events_and_reports_where_it_ends() {
    let expected = demo_events();
    for (format, file, parts) in captures() {
        for len in 0..file.len() {
            let (events, error) = count(&file[..len], &expected);
            let &(start, whole) = parts.iter().rfind(|(at, _)| *at <= len).expect("0");
            assert_eq!(events, whole, "{format} of {len} bytes");
            match error {
                None => assert_eq!(start, len, "{format} of {len} bytes"),
                Some(Error::Empty) => assert_eq!(len, 0),
                // Too few bytes to detect the format.
                Some(Error::UnknownFormat) => assert!(len < 6, "{format} of {len} bytes"),
                Some(error) => {
                    assert_ne!(start, len, "{format} of {len} bytes: {error}");
                    let place = format!("at byte {start}:");
                    assert!(error.to_string().contains(&place), "{format} of {len} bytes: {error}");
                    let missing = matches!(error, Error::Truncated { needed, actual, .. }
                        if actual == len - start && needed > actual);
                    assert!(missing, "{error}");
                }
            }
        }
    }
}

/// Counts how many of the expected events a capture yields, without storing them, and returns its
/// error.
fn count(file: &[u8], expected: &[Plain]) -> (usize, Option<Error>) {
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    loop {
        let event = match reader.next() {
            Ok(Some(recorded)) => match recorded.received {
                Received::Event(event) => event,
                Received::Lost(lost) => panic!("{lost}"),
            },
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        };
        let Plain { seq, what, cpu, timestamp_ns, .. } = expected[count];
        assert_eq!((event.seq(), event.what(), event.cpu()), (seq, what, cpu));
        assert_eq!(event.timestamp_ns(), timestamp_ns);
        count += 1;
    }
}

#[test]
fn a_corruption_does_not_affect_earlier_events() {
    let mut random = Random(0x5eed);
    let mut failed = 0;
    for (format, file, parts) in captures() {
        let whole = read_all(&file).0;
        for _ in 0..1_000 {
            let mut damaged = file.clone();
            // Changes up to eight bytes at one position; the first always changes.
            let at = random.below(file.len());
            damaged[at] ^= 1 << random.below(8);
            let most = (file.len() - at).min(8);
            for byte in &mut damaged[at + 1..at + 1 + random.below(most)] {
                *byte = random.below(256).try_into().expect("a byte");
            }
            let (got, error) = read_all(&damaged);
            let &(start, events) = parts.iter().rfind(|(from, _)| *from <= at).expect("0");
            assert!(got.len() >= events, "{format} at {at}: {} of {events}", got.len());
            assert_eq!(got[..events], whole[..events], "{format} at {at}");
            if let Some(error) = error {
                failed += 1;
                assert!(offset(&error) >= start as u64, "{format} at {at}: {error}");
                assert!(error.to_string().contains("byte"), "{error}");
                assert!(chain(&error).len() < 300, "{error}");
            }
        }
    }
    // Most corruptions change the contents of an event, which cannot be detected.
    assert!(failed > 300, "{failed}");
}

#[test]
fn corruptions_in_the_other_byte_order_are_handled() {
    let swapped: Vec<Packet> = demo_datagrams()
        .iter()
        .map(|(time, data)| (*time, cooked(CONNECTOR, &swap(Order::Little, data))))
        .collect();
    let file = pcapng(Order::Big, &swapped);
    let mut random = Random(0xb19_e4d);
    for _ in 0..1_000 {
        let mut damaged = file.clone();
        for _ in 0..4 {
            let at = random.below(file.len());
            damaged[at] = random.below(256).try_into().expect("a byte");
        }
        let Ok(mut reader) = Reader::new(&damaged[..]) else { continue };
        // Reading continues after recoverable errors, and always ends.
        let mut calls = 0;
        while !matches!(reader.next(), Ok(None)) {
            calls += 1;
            assert!(calls <= 2 * 74 + 2);
        }
    }
}

#[test]
fn a_damaged_message_affects_only_its_packet() {
    let mut file = DEMO.to_vec();
    let packet = blocks(Order::Little, DEMO)[2 + 10].clone();
    // The length of the `cn_msg`, which then ends within the event.
    let messages = packet.start + 28 + 16;
    file[messages + 32] = 17;
    let mut reader = Reader::new(&file[..]).expect("a capture");
    let mut events = Vec::new();
    let mut errors = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(recorded)) => match recorded.received {
                Received::Event(event) => events.push(Plain::from(event)),
                Received::Lost(lost) => panic!("{lost}"),
            },
            Ok(None) => break,
            Err(error) => errors.push(error),
        }
    }
    let mut expected = demo_events();
    expected.remove(10);
    assert_eq!(events, expected);
    assert_eq!(errors.len(), 1);
    assert_eq!(offset(&errors[0]), messages as u64);
    assert!(errors[0].to_string().contains(&format!("at byte {messages} ")), "{}", errors[0]);
}

#[test]
fn other_damage_ends_the_capture() {
    let mut file = DEMO.to_vec();
    let block = blocks(Order::Little, DEMO)[2 + 10].clone();
    file[block.end - 4] ^= 4;
    let mut reader = Reader::new(&file[..]).expect("a capture");
    let mut events = 0;
    let error = loop {
        match reader.next() {
            Ok(Some(_)) => events += 1,
            Ok(None) => panic!("the damage went unnoticed"),
            Err(error) => break error,
        }
    };
    assert_eq!(events, 10);
    assert_eq!(offset(&error), block.start as u64);
    assert!(matches!(reader.next(), Ok(None)));
}

#[test]
fn a_declared_length_allocates_nothing_before_the_bytes_arrive() {
    let mut block = DEMO.to_vec();
    block.truncate(blocks(Order::Little, DEMO)[0].end);
    for length in [16_u32 << 20, (16 << 20) + 4, 0x7fff_fffc, 0xffff_fffc, 0, 8, 13, 0xffff_ffff] {
        let head = [&6_u32.to_le_bytes()[..], &length.to_le_bytes(), &[0; 40]].concat();
        let file = [&block[..], &head].concat();
        let record = [&[0; 8][..], &length.to_be_bytes(), &[0; 40]].concat();
        let record = [pcap(Order::Big, true, NETLINK, &[]), record].concat();
        let message = [&length.to_ne_bytes()[..], &3_u16.to_ne_bytes(), &[0; 40]].concat();
        let message = [demo_datagrams()[0].1.clone(), message].concat();
        for (file, lengths) in [(file, 12..), (record, 41..), (message, 0..)] {
            let measured = measure(|| {
                let (_, error) = read_all(&file);
                assert!(error.is_some() || !lengths.contains(&length), "{length:#x}");
            });
            assert!(measured.bytes_max < 1 << 20, "{length:#x}: {} bytes", measured.bytes_max);
        }
    }
}

#[test]
fn an_excessive_length_is_rejected_even_if_the_bytes_exist() {
    let section = &DEMO[blocks(Order::Little, DEMO)[0].clone()];
    for length in [(16_u32 << 20) + 4, 0x7fff_fffc] {
        let head = [section, &6_u32.to_le_bytes(), &length.to_le_bytes()].concat();
        let record = [&[0; 8][..], &length.to_be_bytes()].concat();
        let record = [pcap(Order::Big, true, NETLINK, &[]), record].concat();
        let message = [&length.to_ne_bytes()[..], &3_u16.to_ne_bytes()].concat();
        let message = [demo_datagrams()[0].1.clone(), message].concat();
        for file in [&head[..], &record, &message] {
            let measured = measure(|| {
                let mut reader = Reader::new(file.chain(io::repeat(0))).expect("a capture");
                let error = loop {
                    if let Err(error) = reader.next() {
                        break error;
                    }
                };
                assert!(matches!(error, Error::Length { .. }), "{error}");
            });
            assert!(measured.bytes_max < 1 << 20, "{length:#x}: {} bytes", measured.bytes_max);
        }
    }
}

#[test]
fn a_failed_read_can_be_repeated() {
    /// Yields the demo byte by byte, with a failure in the middle.
    struct Flaky(usize, bool);
    impl Read for Flaky {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 5_000 && !std::mem::replace(&mut self.1, true) {
                return Err(io::Error::other("unplugged"));
            }
            let Some(&byte) = DEMO.get(self.0) else { return Ok(0) };
            self.0 += 1;
            buffer[0] = byte;
            Ok(1)
        }
    }
    let mut reader = Reader::new(Flaky(0, false)).expect("a capture");
    let mut got = 0;
    let error = loop {
        match reader.next() {
            Ok(recorded) => got += usize::from(recorded.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(offset(&error), 5_000);
    assert!(chain(&error).ends_with(": unplugged"), "{error}");
    // The input works again.
    let (rest, error) = drain(reader);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got + rest.len(), 74);
}
