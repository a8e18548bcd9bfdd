//! The reader of captures: whatever the bytes, it comes to an end, never turns back, and reads the
//! same from a pipe that gives a byte at a time. What it reads can be written and read again, and a
//! table of processes takes it in.

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

/// One thing that a reader gave.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    /// An event, as the datagram that would carry it.
    Event(Vec<u8>),
    Lost(Option<u64>),
    Error(String),
}

/// All that can be read, errors after which it goes on included.
fn read(input: impl Read, filter: Filter) -> Vec<Seen> {
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader.with_filter(filter),
        Err(error) => return vec![Seen::Error(error.to_string())],
    };
    let (mut seen, mut offset) = (Vec::new(), 0);
    let mut table = ProcessTable::without_proc().keep_ended(8, Duration::from_secs(1));
    loop {
        let goes_on = match reader.next() {
            Ok(None) => return seen,
            Ok(Some(recorded)) => {
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
                let goes_on = error.is_of_one_packet();
                seen.push(Seen::Error(error.to_string()));
                goes_on
            }
        };
        assert!(reader.offset() >= offset, "it turned back");
        offset = reader.offset();
        if !goes_on {
            assert!(matches!(reader.next(), Ok(None)), "it goes on after the end");
            return seen;
        }
    }
}

fn datagram(record: &EventRecord<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 17];
    let len = record.encode::<NativeEndian>(&mut bytes).expect("an event that was read has room");
    bytes.truncate(len);
    bytes
}

/// The events of a capture in a new one; `None` if a time of it cannot be written.
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

/// Gives a byte at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.len().min(buffer.len()).min(1);
        self.0.read(&mut buffer[..len])
    }
}
