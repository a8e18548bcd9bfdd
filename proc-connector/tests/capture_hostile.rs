//! Malicious captures: whatever lengths they declare, reading uses little memory, always ends, and
//! does not panic.

mod captures;

use std::io::{self, Read};

use allocation_counter::measure;
use captures::Number::{U16, U32, U64};
use captures::random::Random;
use captures::{
    Delivered, EXEC, NETLINK, Order, block, enhanced, interface, option, packet, read_all, section,
};
use proc_connector::Received;
use proc_connector::capture::Reader;
#[cfg(feature = "process")]
use proc_connector::process::ProcessTable;

/// The maximum memory for reading in bytes, unless a packet is larger.
const MEMORY: u64 = 1 << 20;

/// A block of about 16 MiB, mostly options.
fn huge(order: Order, kind: u32, fixed: &[u8]) -> Vec<u8> {
    let mut body = fixed.to_vec();
    let comment = option(order, 1, &vec![b'x'; 65_532]);
    while body.len() + comment.len() < (16 << 20) - 16 {
        body.extend(&comment);
    }
    body.extend(option(order, 0, &[]));
    block(order, kind, &body)
}

/// Reads an input to its end. Returns the number of events and the memory used, in bytes.
fn read(input: impl Read) -> (usize, u64) {
    let mut events = 0;
    let measured = measure(|| {
        let mut reader = Reader::new(input).expect("a capture");
        while let Some(recorded) = reader.next().expect("no damage") {
            events += usize::from(matches!(recorded.received, Received::Event(_)));
        }
    });
    (events, measured.bytes_max)
}

#[test]
fn interface_descriptions_of_any_length_use_no_memory() {
    for order in Order::ALL {
        let interface_fields = order.numbers(&[U16(NETLINK), U16(0), U32(0)]);
        let interfaces = huge(order, 1, &interface_fields);
        let header = order.numbers(&[U32(0x1a2b_3c4d), U16(1), U16(0), U64(u64::MAX)]);
        let sections = huge(order, 0x0a0d_0d0a, &header);
        let statistics = huge(order, 5, &order.numbers(&[U32(0), U32(0), U32(9)]));
        let (names, unknown) = (huge(order, 4, &[]), huge(order, 0x7777, &[]));
        let packet = enhanced(order, 0, 5, &packet(EXEC, &[7, 7]), &[]);
        let start = [section(order), interface(order, NETLINK, None)].concat();
        // Sixty interfaces, as in a file that once required a gigabyte.
        let mut input: Box<dyn Read> = Box::new(&start[..]);
        for _ in 0..12 {
            let blocks = [&interfaces, &names, &statistics, &interfaces, &unknown];
            input =
                blocks.into_iter().fold(input, |input, block| Box::new(input.chain(&block[..])));
        }
        input = Box::new(input.chain(&packet[..]).chain(&sections[..]).chain(&start[28..]));
        let (events, memory) = read(input.chain(&packet[..]));
        assert_eq!(events, 2);
        assert!(memory < MEMORY, "{memory} bytes");
    }
}

#[test]
fn an_unneeded_block_of_any_length_is_skipped() {
    for order in Order::ALL {
        let len: u32 = 200 << 20;
        for kind in [4, 9, 10, 0xbad, 0x7777, 0] {
            let start = [section(order), interface(order, NETLINK, None)].concat();
            let head = order.numbers(&[U32(kind), U32(len)]);
            let body = io::repeat(0xff).take(u64::from(len) - 12);
            let packet = enhanced(order, 0, 5, &packet(EXEC, &[7, 7]), &[]);
            let tail = [order.numbers(&[U32(len)]), packet].concat();
            let input = start.chain(&head[..]).chain(body).chain(&tail[..]);
            let (events, memory) = read(input);
            assert_eq!(events, 1);
            assert!(memory < MEMORY, "{memory} bytes");
        }
    }
}

#[test]
fn the_number_of_interfaces_is_limited() {
    let order = Order::NATIVE;
    let described = interface(order, NETLINK, None).repeat(60_000);
    let packet = enhanced(order, 59_999, 5, &packet(EXEC, &[7, 7]), &[]);
    let (events, memory) = read(&[section(order), described, packet].concat()[..]);
    assert_eq!(events, 1);
    assert!(memory < 8 << 20, "{memory} bytes");
    let too_many = interface(order, NETLINK, None).repeat(70_000);
    let (_, error) = read_all(&[section(order), too_many].concat());
    assert!(error.is_some_and(|error| error.to_string().contains("65536 interfaces")));
}

#[test]
fn a_failed_read_within_a_skipped_block_continues_there() {
    /// Fails after every thousand bytes.
    struct Flaky<'a>(&'a [u8], usize, bool);
    impl Read for Flaky<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1 % 1_000 == 0 && !std::mem::replace(&mut self.2, true) {
                return Err(io::Error::other("unplugged"));
            }
            self.2 = false;
            let len = buffer.len().min(1_000 - self.1 % 1_000).min(self.0.len());
            let (now, later) = self.0.split_at(len);
            buffer[..len].copy_from_slice(now);
            (self.0, self.1) = (later, self.1 + len);
            Ok(len)
        }
    }
    for order in Order::ALL {
        let long = [option(order, 1, &[b'x'; 3_000]), option(order, 9, &[9])].concat();
        let fields = order.numbers(&[U16(NETLINK), U16(0), U32(0)]);
        let described = block(order, 1, &[fields, long].concat());
        let packet = enhanced(order, 0, 5, &packet(EXEC, &[7, 7]), &[]);
        let skipped = block(order, 0x7777, &[7; 5_000]);
        let file = [section(order), described, skipped.clone(), packet, skipped].concat();
        let mut failures = 0;
        let mut reader = loop {
            match Reader::new(Flaky(&file, 1, false)) {
                Ok(reader) => break reader,
                Err(_) => failures += 1,
            }
        };
        let mut got = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(recorded)) => got.push(recorded.time.map(captures::nanos)),
                Ok(None) => break,
                Err(_) => failures += 1,
            }
        }
        assert_eq!(got, [Some(5)]);
        assert!(failures >= 12, "{failures}");
    }
}

/// Arbitrary parts of a capture.
impl Random {
    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.byte()).collect()
    }

    /// A number that is often close to an overflow.
    fn word(&mut self) -> u32 {
        const EDGES: [u32; 8] = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, u32::MAX - 3, 92, 76];
        match self.below(3) {
            0 => EDGES[self.below(8)],
            1 => u32::from(self.byte()) % 8,
            _ => u32::try_from(self.next() >> 32).expect("half of it"),
        }
    }

    /// A block whose form is approximately valid.
    fn block(&mut self, order: Order) -> Vec<u8> {
        let kinds = [1, 1, 2, 3, 4, 5, 5, 6, 6, 6, 6, 9, 10, 0xbad, 0x0a0d_0d0a, 0x7777];
        let kind = kinds[self.below(16)];
        let mut body = match kind {
            1 => order.numbers(&[U16(NETLINK), U16(0), U32(self.word())]),
            2 => order.numbers(&[U16(0), U16(0xfffe), U32(self.word()), U32(self.word())]),
            5 => order.numbers(&[U32(0), U32(self.word()), U32(self.word())]),
            6 => order.numbers(&[U32(self.word() % 2), U32(self.word()), U32(self.word())]),
            0x0a0d_0d0a => order.numbers(&[U32(0x1a2b_3c4d), U16(1), U16(0), U64(0)]),
            _ => Vec::new(),
        };
        if matches!(kind, 2 | 3 | 6) {
            let what = 1 << self.below(32);
            let data = packet(what, &[self.word(), self.word(), self.word(), self.word()]);
            let cut = 92 - self.below(4) * self.below(40).min(30);
            let lengths = order.numbers(&[U32(u32::try_from(cut).expect("a few")), U32(92)]);
            body.extend(if kind == 3 { &lengths[4..] } else { &lengths[..] });
            body.extend(&data[..cut]);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        for _ in 0..self.below(4) {
            let len = [0, 1, 4, 8, 11][self.below(5)];
            let value: Vec<u8> = (0..len).map(|_| self.byte() | 0xf0).collect();
            body.extend(option(order, u16::from(self.byte()) % 16, &value));
        }
        body.extend(self.bytes(6));
        let mut block = block(order, kind, &body);
        if self.below(8) == 0 {
            let at = self.below(block.len());
            block[at] = self.byte();
        }
        block
    }
}

#[test]
fn blocks_with_arbitrary_contents_are_handled() {
    let mut random = Random(0x0bad_5eed);
    let (mut events, mut losses) = (0, 0);
    for round in 0..3_000 {
        let order = Order::ALL[round % 2];
        let mut file = [section(order), interface(order, NETLINK, Some(random.byte()))].concat();
        for _ in 0..random.below(12) {
            file.extend(random.block(order));
        }
        let Ok(mut reader) = Reader::new(&file[..]) else { continue };
        #[cfg(feature = "process")]
        let mut table = ProcessTable::without_proc();
        let mut calls = 0;
        loop {
            calls += 1;
            assert!(calls < 100, "it does not end");
            match reader.next() {
                Ok(Some(recorded)) => {
                    match recorded.received {
                        Received::Event(_) => events += 1,
                        Received::Lost(_) => losses += 1,
                    }
                    #[cfg(feature = "process")]
                    table.apply(&recorded.received).for_each(|_| ());
                }
                Ok(None) => break,
                Err(error) => assert!(error.to_string().len() < 300, "{error}"),
            }
        }
    }
    assert!(events > 1_000 && losses > 300, "{events} events and {losses} losses");
}

#[test]
fn the_result_does_not_depend_on_the_size_of_reads() {
    /// Yields one byte at a time.
    struct Trickle<'a>(&'a [u8]);
    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(1);
            self.0.read(&mut buffer[..len])
        }
    }
    let mut random = Random(0x7121_c71e);
    for round in 0..300 {
        let order = Order::ALL[round % 2];
        let mut file = [section(order), interface(order, NETLINK, None)].concat();
        for _ in 0..8 {
            file.extend(random.block(order));
        }
        let all = |(got, error): (Vec<Delivered>, Option<proc_connector::capture::Error>)| {
            (got, error.map(|error| error.to_string()))
        };
        let reader = Reader::new(Trickle(&file)).expect("a capture");
        assert_eq!(all(captures::drain(reader)), all(read_all(&file)));
    }
}
