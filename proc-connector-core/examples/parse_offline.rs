//! Parses captured process events with the core crate alone.
//!
//! `parse_offline FILE` reads consecutive netlink messages from a file, or from standard input if FILE
//! is `-`. Without an argument it parses a small capture of a big-endian machine.

use std::io::Read;
use std::process::ExitCode;
use std::{env, fs, io};

use proc_connector_core::{
    BigEndian, ByteOrder, EventData, EventRecord, LittleEndian, Notification, Notifications,
};

fn main() -> ExitCode {
    let Some(source) = env::args().nth(1) else { return print_all(&sample()) };
    let mut bytes = Vec::new();
    let read = match source.as_str() {
        "-" => io::stdin().read_to_end(&mut bytes).map(drop),
        path => fs::read(path).map(|contents| bytes = contents),
    };
    match read {
        Ok(()) => print_all(&bytes),
        Err(error) => fail(&format!("cannot read {source}: {error}")),
    }
}

fn print_all(bytes: &[u8]) -> ExitCode {
    // The type of the first message is NLMSG_DONE (3): the zero byte shows the byte order.
    let printed = match bytes.get(4..6) {
        Some([0, _]) => print::<BigEndian>(bytes),
        _ => print::<LittleEndian>(bytes),
    };
    printed.map_or_else(|error| fail(&error.to_string()), |()| ExitCode::SUCCESS)
}

fn print<O: ByteOrder>(bytes: &[u8]) -> Result<(), proc_connector_core::ParseError> {
    for notification in Notifications::<O>::with_order(bytes) {
        let Notification::Event(event) = notification? else { continue };
        let EventRecord { seq, cpu, timestamp_ns, data } = event.into();
        println!("{timestamp_ns} ns, cpu {cpu}, seq {seq}: {data:?}");
    }
    Ok(())
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("parse_offline: {reason}");
    ExitCode::FAILURE
}

fn sample() -> Vec<u8> {
    let exec = EventData::Exec { process_pid: 7, process_tgid: 7 };
    let sid = EventData::Sid { process_pid: 7, process_tgid: 7 };
    let record = |(seq, data)| {
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq, cpu: 0, timestamp_ns: 1_000 * u64::from(seq), data };
        record.encode::<BigEndian>(&mut datagram).map_or(vec![], |len| datagram[..len].to_vec())
    };
    [(1, exec), (2, sid)].into_iter().flat_map(record).collect()
}
