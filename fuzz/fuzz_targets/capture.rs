//! The reader of captures: for any bytes it ends, its offset never decreases, and it reads the same
//! from a pipe that delivers single bytes. Its output can be written and read again, and updates a
//! table of processes.

#![no_main]

use std::io::{self, Read};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use proc_connector::capture::{Reader, Writer};
use proc_connector::parser::{EventRecord, Filter, NativeEndian};
use proc_connector::process::ProcessTable;
use proc_connector::{EventMask, Received};

fuzz_target!(|input: &[u8]| {
    let whole = read(input, Filter::default());
    let pieces = read(Trickle(input), Filter::default());
    assert_eq!(whole, pieces);
    let exits = read(input, Filter::new(EventMask::EXIT));
    assert!(exits.len() <= whole.len());

    let Some(copy) = copy(input) else { return };
    let events = |read: &[Seen]| -> Vec<Seen> {
        read.iter().filter(|seen| matches!(seen, Seen::Event(..))).cloned().collect()
    };
    assert_eq!(events(&read(&copy[..], Filter::default())), events(&whole));
});

/// An item of the reader.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    /// An event, as its datagram.
    Event(Vec<u8>),
    Lost(Option<u64>),
    Error(String),
}

/// All items, including errors after which reading continues.
fn read(input: impl Read, filter: Filter) -> Vec<Seen> {
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader.with_filter(filter),
        Err(error) => return vec![Seen::Error(error.to_string())],
    };
    let (mut seen, mut offset) = (Vec::new(), 0);
    let mut table = ProcessTable::without_proc().keep_ended(8, Duration::from_secs(1));
    loop {
        let continues = match reader.next() {
            Ok(None) => return seen,
            Ok(Some(recorded)) => {
                table.apply_notes(recorded.notes).for_each(|_| ());
                table.apply(&recorded.received).for_each(|_| ());
                assert!(table.iter().all(|process| process.is_alive()));
                assert!(table.ended().all(|process| {
                    !process.is_alive() && table.by_serial(process.serial()).is_some()
                }));
                seen.push(match recorded.received {
                    Received::Event(event) => Seen::Event(datagram(&event.into())),
                    Received::Lost(lost) => Seen::Lost(lost.count),
                });
                true
            }
            Err(error) => {
                let continues = error.is_of_one_packet();
                seen.push(Seen::Error(error.to_string()));
                continues
            }
        };
        assert!(reader.offset() >= offset, "the offset decreased");
        offset = reader.offset();
        if !continues {
            assert!(matches!(reader.next(), Ok(None)), "an item after the end");
            return seen;
        }
    }
}

fn datagram(record: &EventRecord<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 17];
    let len = record.encode::<NativeEndian>(&mut bytes).expect("the buffer is large enough");
    bytes.truncate(len);
    bytes
}

/// A copy of the events of a capture; `None` if a timestamp cannot be written.
fn copy(input: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    let mut writer = Writer::new(&mut copy).expect("memory");
    if let Ok(mut reader) = Reader::new(input) {
        loop {
            match reader.next() {
                Ok(Some(recorded)) => {
                    let time = recorded.time.unwrap_or(std::time::SystemTime::UNIX_EPOCH);
                    writer.write(&recorded.received, time).ok()?;
                }
                Ok(None) => break,
                Err(error) if error.is_of_one_packet() => {}
                Err(_) => break,
            }
        }
    }
    writer.finish().ok()?;
    Some(copy)
}

/// Delivers single bytes.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.len().min(buffer.len()).min(1);
        self.0.read(&mut buffer[..len])
    }
}
