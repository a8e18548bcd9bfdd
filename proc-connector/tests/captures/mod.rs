//! Builds captures as other programs write them, and parses captures without the crate.

#![allow(dead_code, reason = "every test binary that includes this directory uses a part of it")]

pub(crate) mod demo;
pub(crate) mod random;

use std::ops::Range;
use std::time::{Duration, SystemTime};

use proc_connector::capture::{Error, Reader};
use proc_connector::{Event, LossCause, Received};

/// A recording of a build by an earlier version, from a little-endian machine: its events have only ids.
pub(crate) const DEMO: &[u8] = include_bytes!("build.pcapng");

const COMM: u32 = 0x200;

/// An event with all of its fields as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) seq: u32,
    pub(crate) what: u32,
    pub(crate) cpu: u32,
    pub(crate) timestamp_ns: u64,
    pub(crate) words: Vec<u32>,
    pub(crate) comm: Vec<u8>,
}

impl Plain {
    /// Reads a datagram of 76 bytes at the offsets of the kernel's headers.
    pub(crate) fn read(order: Order, datagram: &[u8]) -> Self {
        assert_eq!(order.u32(datagram, 0), 76, "one event");
        let (low, high) = if order == Order::Little { (44, 48) } else { (48, 44) };
        let timestamp_ns =
            u64::from(order.u32(datagram, low)) | u64::from(order.u32(datagram, high)) << 32;
        Self {
            seq: order.u32(datagram, 24),
            cpu: order.u32(datagram, 40),
            timestamp_ns,
            ..Self::of_data(order, order.u32(datagram, 36), &datagram[52..])
        }
    }

    fn of_data(order: Order, what: u32, data: &[u8]) -> Self {
        let (numbers, comm) = data.split_at(if what == COMM { 8 } else { data.len() / 4 * 4 });
        let words = (0..numbers.len()).step_by(4).map(|at| order.u32(numbers, at)).collect();
        Self { seq: 0, what, cpu: 0, timestamp_ns: 0, words, comm: comm.to_vec() }
    }
}

impl From<Event<'_>> for Plain {
    fn from(event: Event<'_>) -> Self {
        Self {
            seq: event.seq(),
            cpu: event.cpu(),
            timestamp_ns: event.timestamp_ns(),
            ..Self::of_data(Order::NATIVE, event.what(), event.data())
        }
    }
}

/// An item that a reader returned, and its time in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    Event(Plain, Option<u128>),
    Lost(Option<u64>, LossCause, Option<u128>),
}

impl Delivered {
    pub(crate) fn event(&self) -> &Plain {
        match self {
            Self::Event(event, _) => event,
            Self::Lost(..) => panic!("a loss: {self:?}"),
        }
    }
}

/// Reads a capture to its end or its first error.
pub(crate) fn read_all(file: &[u8]) -> (Vec<Delivered>, Option<Error>) {
    match Reader::new(file) {
        Ok(reader) => drain(reader),
        Err(error) => (Vec::new(), Some(error)),
    }
}

/// The items that a reader returns before its end or its first error.
pub(crate) fn drain<R: std::io::Read>(mut reader: Reader<R>) -> (Vec<Delivered>, Option<Error>) {
    let mut got = Vec::new();
    loop {
        let recorded = match reader.next() {
            Ok(Some(recorded)) => recorded,
            Ok(None) => return (got, None),
            Err(error) => return (got, Some(error)),
        };
        let time = recorded.time.map(nanos);
        got.push(match recorded.received {
            Received::Event(event) => Delivered::Event(event.into(), time),
            Received::Lost(lost) => Delivered::Lost(lost.count, lost.cause, time),
        });
    }
}

/// All events of a capture without losses or damage.
pub(crate) fn events(file: &[u8]) -> Vec<Plain> {
    let (got, error) = read_all(file);
    assert!(error.is_none(), "{error:?}");
    got.iter().map(|got| got.event().clone()).collect()
}

pub(crate) fn nanos(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("after it").as_nanos()
}

pub(crate) fn at(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// A byte order for reading or writing integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Big,
    Little,
}

impl Order {
    pub(crate) const NATIVE: Self =
        if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
    pub(crate) const ALL: [Self; 2] = [Self::Big, Self::Little];

    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = bytes[at..at + 4].try_into().expect("four bytes");
        if self == Self::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The bytes of an integer given in big-endian.
    fn bytes(self, big_endian: &[u8]) -> Vec<u8> {
        let mut bytes = big_endian.to_vec();
        if self == Self::Little {
            bytes.reverse();
        }
        bytes
    }

    /// Consecutive integers of 16, 32 or 64 bits.
    pub(crate) fn numbers(self, numbers: &[Number]) -> Vec<u8> {
        let bytes = |number: &Number| match *number {
            Number::U16(number) => self.bytes(&number.to_be_bytes()),
            Number::U32(number) => self.bytes(&number.to_be_bytes()),
            Number::U64(number) => self.bytes(&number.to_be_bytes()),
        };
        numbers.iter().flat_map(bytes).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    U16(u16),
    U32(u32),
    U64(u64),
}
use Number::{U16, U32, U64};

/// A packet of a capture: its time in nanoseconds since 1970, and its bytes.
pub(crate) type Packet = (u64, Vec<u8>);

/// The packets of the demo without link headers, parsed by the pcapng specification.
pub(crate) fn demo_datagrams() -> Vec<Packet> {
    let (order, mut packets) = (Order::Little, Vec::new());
    for block in blocks(order, DEMO) {
        let block = &DEMO[block];
        if order.u32(block, 0) == 6 {
            let time = u64::from(order.u32(block, 12)) << 32 | u64::from(order.u32(block, 16));
            assert_eq!((order.u32(block, 20), order.u32(block, 24)), (92, 92));
            packets.push((time, block[28 + 16..28 + 92].to_vec()));
        }
    }
    packets
}

/// The events of the demo.
pub(crate) fn demo_events() -> Vec<Plain> {
    demo_datagrams().iter().map(|(_, bytes)| Plain::read(Order::Little, bytes)).collect()
}

/// The positions of the blocks in a pcapng file.
pub(crate) fn blocks(order: Order, file: &[u8]) -> Vec<Range<usize>> {
    let mut blocks = vec![];
    let mut start = 0;
    while start < file.len() {
        let end = start + order.u32(file, start + 4) as usize;
        blocks.push(start..end);
        start = end;
    }
    blocks
}

/// The same datagram in the other byte order.
pub(crate) fn swap(order: Order, datagram: &[u8]) -> Vec<u8> {
    let is_comm = order.u32(datagram, 36) == COMM;
    let mut widths = vec![4, 2, 2, 4, 4, 4, 4, 4, 4, 2, 2, 4, 4, 8, 4, 4];
    widths.extend(if is_comm { [1; 16].as_slice() } else { &[4; 4] });
    let mut swapped = datagram.to_vec();
    let mut start = 0;
    for width in widths {
        swapped[start..start + width].reverse();
        start += width;
    }
    assert_eq!(start, datagram.len());
    swapped
}

/// A packet as a packet socket returns it: sent by this machine (4), of a netlink protocol.
pub(crate) fn cooked(protocol: u16, messages: &[u8]) -> Vec<u8> {
    let header = [U16(4), U16(824), U64(0), U16(0), U16(protocol)];
    [Order::Big.numbers(&header), messages.to_vec()].concat()
}

pub(crate) const CONNECTOR: u16 = 11;
pub(crate) const NETLINK: u16 = 253;
pub(crate) const ETHERNET: u16 = 1;

/// A pcap file with time stamps in microseconds or nanoseconds.
pub(crate) fn pcap(order: Order, nanoseconds: bool, link: u16, packets: &[Packet]) -> Vec<u8> {
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let snaplen = 262_144;
    let header = [U32(magic), U16(2), U16(4), U32(0), U32(0), U32(snaplen), U32(link.into())];
    let mut file = order.numbers(&header);
    for (time, data) in packets {
        let seconds = u32::try_from(time / 1_000_000_000).expect("before 2106");
        let fraction = time % 1_000_000_000 / if nanoseconds { 1 } else { 1_000 };
        let fraction = u32::try_from(fraction).expect("less than a second");
        let len = u32::try_from(data.len()).expect("a short packet");
        file.extend(order.numbers(&[U32(seconds), U32(fraction), U32(len), U32(len)]));
        file.extend(data);
    }
    file
}

/// A block of a pcapng file.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = U32(u32::try_from(padded + 12).expect("a short block"));
    let mut block = order.numbers(&[U32(kind), len]);
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(order.numbers(&[len]));
    block
}

/// An option of a block, padded.
pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("a short option");
    let mut option = order.numbers(&[U16(code), U16(len)]);
    option.extend(value);
    option.resize(4 + value.len().next_multiple_of(4), 0);
    option
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let body = order.numbers(&[U32(0x1a2b_3c4d), U16(1), U16(0), U64(u64::MAX)]);
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface with an `if_tsresol` option, or with the default of microseconds.
pub(crate) fn interface(order: Order, link: u16, resolution: Option<u8>) -> Vec<u8> {
    let mut body = order.numbers(&[U16(link), U16(0), U32(262_144)]);
    if let Some(resolution) = resolution {
        body.extend(option(order, 9, &[resolution]));
        body.extend(option(order, 0, &[]));
    }
    block(order, 1, &body)
}

/// A packet on an interface, with a time in the interface's units.
pub(crate) fn enhanced(order: Order, id: u32, time: u64, data: &[u8], options: &[u8]) -> Vec<u8> {
    let len = U32(u32::try_from(data.len()).expect("a short packet"));
    let [high, low] =
        [time >> 32, time & 0xffff_ffff].map(|half| U32(u32::try_from(half).expect("half of it")));
    let mut body = order.numbers(&[U32(id), high, low, len, len]);
    body.extend(data);
    body.resize(20 + data.len().next_multiple_of(4), 0);
    body.extend(options);
    block(order, 6, &body)
}

/// A pcapng file with one interface, in nanoseconds.
pub(crate) fn pcapng(order: Order, packets: &[Packet]) -> Vec<u8> {
    let mut file = [section(order), interface(order, NETLINK, Some(9))].concat();
    for (time, data) in packets {
        file.extend(enhanced(order, 0, *time, data, &[]));
    }
    file
}

/// `PROC_EVENT_EXEC` of `linux/cn_proc.h`.
pub(crate) const EXEC: u32 = 2;

/// A packet of the connector with one event, in this machine's byte order.
pub(crate) fn packet(what: u32, words: &[u32]) -> Vec<u8> {
    let order = Order::NATIVE;
    let mut datagram = order.numbers(&[U32(76), U16(3), U16(0), U32(0), U32(0)]);
    datagram.extend(order.numbers(&[U32(1), U32(1), U32(0), U32(0), U16(40), U16(0)]));
    datagram.extend(order.numbers(&[U32(what), U32(0), U64(1)]));
    datagram.extend(words.iter().flat_map(|&word| order.numbers(&[U32(word)])));
    datagram.resize(76, 0);
    cooked(CONNECTOR, &datagram)
}

/// A section header or interface block with the given options.
pub(crate) fn with_options(order: Order, block: &[u8], options: &[u8]) -> Vec<u8> {
    let body = [&block[8..block.len() - 4], options].concat();
    self::block(order, order.u32(block, 0), &body)
}

/// An error and its sources. No error may repeat the text of its source.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    match error.source() {
        Some(source) => {
            let source = chain(source);
            assert!(!text.contains(&source), "{text:?} repeats {source:?}");
            format!("{text}: {source}")
        }
        None => text,
    }
}
