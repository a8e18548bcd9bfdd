//! Captures can be read again: by this crate, by other programs, and after the writer was killed.

mod captures;
#[path = "common/wire.rs"]
mod wire;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::SystemTime;

use captures::{
    CONNECTOR, DEMO, Delivered, NETLINK, Order, at, blocks, cooked, demo_datagrams, demo_events,
    enhanced, interface, option, read_all, section,
};
use proc_connector::capture::{Origin, Reader, Writer};
use proc_connector::{LossCause, Received};

/// The types of a section, an interface and a statistics block.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const ENHANCED: u32 = 6;

/// A file that can be read while it is written, and records where each write ended.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<(Vec<u8>, Vec<usize>)>>);

impl Write for Disk {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let (bytes, ends) = &mut *self.0.borrow_mut();
        bytes.extend(buffer);
        ends.push(bytes.len());
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk {
    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().0.clone()
    }
}

/// Calls a function with each item of a capture.
fn each(file: &[u8], mut function: impl FnMut(&Received<'_>, SystemTime)) {
    let mut reader = Reader::new(file).expect("a capture");
    while let Some(recorded) = reader.next().expect("no damage") {
        function(&recorded.received, recorded.time.expect("a time"));
    }
}

fn copy(file: &[u8]) -> Vec<u8> {
    let mut copy = Vec::new();
    let mut writer = Writer::new(&mut copy).expect("memory");
    each(file, |received, time| writer.write(received, time).expect("memory"));
    writer.finish().expect("memory");
    copy
}

/// A capture with every kind of loss, assembled by the tests.
fn with_losses() -> (Vec<u8>, Vec<Delivered>) {
    let order = Order::NATIVE;
    let native = |(time, bytes): &(u64, Vec<u8>)| match order {
        Order::Little => (*time, bytes.clone()),
        Order::Big => (*time, captures::swap(Order::Little, bytes)),
    };
    let datagrams: Vec<_> = demo_datagrams().iter().map(native).collect();
    let drop_count = |count: u64| option(order, 4, &order.numbers(&[captures::Number::U64(count)]));
    let end = option(order, 0, &[]);
    let comment = |text: &str| option(order, 1, text.as_bytes());
    let packet = |n: usize, options: &[Vec<u8>]| {
        let data = cooked(CONNECTOR, &datagrams[n].1);
        enhanced(order, 0, datagrams[n].0, &data, &options.concat())
    };
    let overrun = "17 events lost: the receive buffer was full";
    let unknown = "an unknown number of events lost: the receive buffer was full";
    let oversized = "1 events lost: a datagram was larger than any known event";
    let file = [
        section(order),
        interface(order, NETLINK, Some(9)),
        packet(0, &[]),
        packet(1, &[comment(overrun), drop_count(17), end.clone()]),
        packet(2, &[comment(unknown), end.clone()]),
        packet(3, &[drop_count(1), comment(oversized), end.clone()]),
        packet(4, &[drop_count(5), end.clone()]),
        packet(5, &[comment("nothing is missing here"), end.clone()]),
    ]
    .concat();
    let event = |n: usize| Delivered::Event(demo_events()[n].clone(), Some(datagrams[n].0.into()));
    let lost = |n: usize, count, cause| Delivered::Lost(count, cause, Some(datagrams[n].0.into()));
    let expected = vec![
        event(0),
        lost(1, Some(17), LossCause::Overrun),
        event(1),
        lost(2, None, LossCause::Overrun),
        event(2),
        lost(3, Some(1), LossCause::Oversized),
        event(3),
        lost(4, Some(5), LossCause::Recorded),
        event(4),
        event(5),
    ];
    (file, expected)
}

#[test]
fn a_copy_has_the_same_events_and_times() {
    assert_eq!(read_all(&copy(DEMO)).0, read_all(DEMO).0);
}

#[test]
fn a_copy_has_the_same_losses_with_their_causes() {
    let (file, expected) = with_losses();
    assert_eq!(read_all(&file).0, expected);
    assert_eq!(read_all(&copy(&file)).0, expected);
}

#[test]
fn a_final_loss_is_kept() {
    // With all events filtered out, each loss stands alone.
    let (file, expected) = with_losses();
    let losses: Vec<Delivered> =
        expected.into_iter().filter(|got| matches!(got, Delivered::Lost(..))).collect();
    for flushed in [false, true] {
        let disk = Disk::default();
        let mut writer = Writer::new(disk.clone()).expect("memory");
        each(&file, |received, time| {
            if matches!(received, Received::Lost(_)) {
                writer.write(received, time).expect("memory");
            }
            if flushed {
                writer.flush().expect("memory");
            }
        });
        writer.finish().expect("memory");
        assert_eq!(read_all(&disk.bytes()).0, losses, "{flushed}");
    }
}

#[test]
fn the_file_layout_matches_the_specification() {
    let mut file = Vec::new();
    let mut origin = Origin::default();
    origin.application = Some("a test".into());
    origin.host = Some("here".into());
    origin.os = Some("x".repeat(70_000));
    origin.filter = Some("--failed".into());
    let mut writer = Writer::with_origin(&mut file, &origin).expect("memory");
    let (losses, _) = with_losses();
    each(&losses, |received, time| writer.write(received, time).expect("memory"));
    writer.finish().expect("memory");

    let order = Order::NATIVE;
    let blocks: Vec<&[u8]> = blocks(order, &file).into_iter().map(|at| &file[at]).collect();
    let kinds: Vec<u32> = blocks.iter().map(|block| order.u32(block, 0)).collect();
    assert_eq!(kinds[..2], [SECTION, INTERFACE]);
    assert_eq!(kinds[2..8], [ENHANCED; 6]);
    assert_eq!(kinds[8..], [STATISTICS]);
    for block in &blocks {
        assert_eq!(block.len() % 4, 0);
        assert_eq!(order.u32(block, block.len() - 4) as usize, block.len(), "the length again");
    }
    let section = options(order, &blocks[0][24..]);
    assert_eq!(section[0], (1, b"recorded on here".to_vec()));
    assert_eq!(section[1], (3, b"x".repeat(1024)), "truncated to the limit");
    assert_eq!(section[2], (4, b"a test".to_vec()));
    assert_eq!(
        order.u32(blocks[1], 8),
        u32::from(NETLINK) << if order == Order::Big { 16 } else { 0 }
    );
    let interface = options(order, &blocks[1][16..]);
    assert_eq!(interface[0], (2, b"cn_proc".to_vec()));
    assert_eq!(interface[2], (9, vec![9]), "nanoseconds");
    assert_eq!(interface[3], (11, b"\0--failed".to_vec()));
    // A packet of 92 bytes, with a link header of 16 bytes.
    let packet = blocks[3];
    assert_eq!((order.u32(packet, 20), order.u32(packet, 24)), (92, 92));
    let header = [[0, 0].as_slice(), &824_u16.to_be_bytes(), &[0; 10], &11_u16.to_be_bytes()];
    assert_eq!(packet[28..44], header.concat());
    let time = u64::from(order.u32(packet, 12)) << 32 | u64::from(order.u32(packet, 16));
    assert_eq!(time, demo_datagrams()[1].0);
    let loss_options = options(order, &packet[120..]);
    let count = order.numbers(&[captures::Number::U64(17)]);
    assert_eq!(loss_options[0], (4, count), "epb_dropcount");
    assert_eq!(loss_options[1], (1, b"17 events lost: the receive buffer was full".to_vec()));
    // The totals: all received events, and the lost ones.
    let statistics = blocks[8];
    let time = u64::from(order.u32(statistics, 12)) << 32 | u64::from(order.u32(statistics, 16));
    assert_eq!(time, demo_datagrams()[5].0, "the upper half comes first");
    let totals = [6 + 23, 23].map(|total| order.numbers(&[captures::Number::U64(total)]));
    let [received, dropped] = totals;
    assert_eq!(options(order, &statistics[20..]), [(4, received), (5, dropped)]);
}

/// The options at the end of a block.
fn options(order: Order, mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut options = Vec::new();
    loop {
        let head = order.u32(bytes, 0);
        let (code, len) = match order {
            Order::Big => (head >> 16, head & 0xffff),
            Order::Little => (head & 0xffff, head >> 16),
        };
        if code == 0 {
            return options;
        }
        let len = len as usize;
        options.push((code, bytes[4..4 + len].to_vec()));
        bytes = &bytes[4 + len.next_multiple_of(4)..];
    }
}

#[test]
fn a_killed_recorder_leaves_whole_blocks() {
    let disk = Disk::default();
    let mut writer = Writer::new(disk.clone()).expect("memory");
    let (mut written, mut flushed) = (Vec::new(), 0);
    // Enough events to make the writer write without a flush.
    for round in 0..40_u32 {
        each(DEMO, |received, time| {
            writer.write(received, time).expect("memory");
            let Received::Event(event) = received else { panic!("no losses") };
            written.push(captures::Plain::from(*event));
        });
        if round % 20 == 19 {
            writer.flush().expect("memory");
            flushed = written.len();
        }
        // The current contents are those that a killed writer would leave.
        let (left, error) = read_all(&disk.bytes());
        assert!(error.is_none(), "{error:?}");
        assert!(left.len() >= flushed);
        let left: Vec<_> = left.iter().map(|got| got.event().clone()).collect();
        assert_eq!(left, written[..left.len()]);
    }
    std::mem::forget(writer);
    let (bytes, ends) = &*disk.0.borrow();
    let order = Order::NATIVE;
    let starts: Vec<usize> = blocks(order, bytes).iter().map(|at| at.end).collect();
    assert!(ends.iter().all(|end| starts.contains(end)), "{ends:?}");
    assert!(ends.len() > 1 + 40 / 20, "it wrote out between the flushes");
}

#[test]
fn a_dropped_writer_writes_its_buffer() {
    let disk = Disk::default();
    let mut writer = Writer::new(disk.clone()).expect("memory");
    each(DEMO, |received, time| writer.write(received, time).expect("memory"));
    drop(writer);
    assert_eq!(read_all(&disk.bytes()).0, read_all(DEMO).0);
}

#[test]
fn an_output_error_is_reported_and_nothing_is_written_twice() {
    /// Accepts this number of bytes, then fails once.
    struct Full(Vec<u8>, Option<usize>);
    impl Write for &mut Full {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            let left = self.1.unwrap_or(usize::MAX);
            if left == 0 {
                self.1 = None;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let len = buffer.len().min(left);
            self.1 = self.1.map(|left| left - len);
            self.0.extend(&buffer[..len]);
            Ok(len)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut output = Full(Vec::new(), Some(1000));
    let mut writer = Writer::new(&mut output).expect("an output that accepts the header");
    each(DEMO, |received, time| writer.write(received, time).expect("it is kept for now"));
    let error = writer.flush().expect_err("an output that failed");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    drop(writer);
    assert_eq!(output.0.len(), 1000);
}

#[test]
fn unknown_kinds_and_fields_are_kept() {
    // An unknown kind, and an exit with additional fields.
    let grown = wire::cn_msg(1, 1, &wire::proc_event(wire::EXIT, &[1; 40]));
    let grown = wire::message(wire::NLMSG_DONE, &grown);
    let short = wire::cn_msg(1, 1, &wire::proc_event(wire::EXIT, &[2; 16]));
    let short = wire::message(wire::NLMSG_DONE, &short);
    let new = wire::event(wire::NEW_KIND, &[1, 2, 3]);
    let datagrams = [&grown[..], &short, &new];
    let messages = datagrams.concat();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).expect("memory");
    let mut reader = Reader::new(&messages[..]).expect("messages");
    while let Some(recorded) = reader.next().expect("no damage") {
        writer.write(&recorded.received, at(7)).expect("memory");
    }
    writer.finish().expect("memory");
    let packets = blocks(Order::NATIVE, &file).into_iter().map(|at| &file[at]);
    let packets = packets.filter(|block| Order::NATIVE.u32(block, 0) == ENHANCED);
    let written: Vec<&[u8]> = packets
        .zip(datagrams)
        .map(|(block, datagram)| &block[28 + 16..28 + 16 + datagram.len()])
        .collect();
    assert_eq!(written, datagrams);
}
