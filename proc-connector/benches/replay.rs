//! Replays a recording with names, by the program: events a second, the median of several runs.
//!
//! `cargo bench --bench replay --all-features`. `PROC_CONNECTOR_BENCH_RECORDING` names another recording
//! than the one that this bench writes.

#![allow(missing_docs, reason = "a bench has no API")]

#[path = "common/compiler.rs"]
mod compiler;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use proc_connector::Received;
use proc_connector::capture::{Origin, Writer};
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};

/// The number of recorded processes. Each has three events: a fork, an exec and an exit.
const PROCESSES: u32 = 300_000;

/// The ids that the kernel assigns by default.
const PID_MAX: u32 = 32_768;

/// The first time in the recording, in nanoseconds since boot.
const START: u64 = 354_711_123_456_789;

const RUNS: usize = 9;

fn main() {
    let recording = std::env::var_os("PROC_CONNECTOR_BENCH_RECORDING").map(PathBuf::from);
    let written = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("replay.pcapng");
    let file = recording.as_ref().unwrap_or(&written);
    if recording.is_none() {
        record(&written);
    }
    let bytes = std::fs::metadata(file).expect("a recording").len();
    for options in [&[][..], &["--json"], &["--json", "--context"], &["--json", "--who"]] {
        let mut runs: Vec<_> = (0..RUNS).map(|_| replay(file, options)).collect();
        runs.sort_by_key(|&(_, time)| time);
        let (events, time) = runs[RUNS / 2];
        let rate = events * 1_000_000_000 / time.as_nanos();
        let each = time.as_nanos() / events;
        let size = u128::from(bytes) / events;
        println!(
            "replay {}: {rate} events/s, {each} ns/event, {size} bytes/event",
            options.join(" ")
        );
    }
    if recording.is_none() {
        std::fs::remove_file(written).expect("it was written");
    }
}

/// The number of events, and the time from the start of the program to its end.
fn replay(file: &Path, options: &[&str]) -> (u128, Duration) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_proc-connector"));
    program.arg("replay").args(options).arg(file).stdout(Stdio::null());
    let started = Instant::now();
    let output = program.output().expect("the program");
    let time = started.elapsed();
    let summary = String::from_utf8(output.stderr).expect("a summary");
    let events = summary.split(' ').next().and_then(|number| number.parse().ok());
    (events.unwrap_or_else(|| panic!("no summary: {summary}")), time)
}

/// Records a build: `make` runs compilers, of which eight run at a time.
fn record(file: &Path) {
    const AT_ONCE: u32 = 8;
    let output = std::fs::File::create(file).expect("a file");
    let mut writer = Writer::with_origin(output, &Origin::default()).expect("a recording");
    let mut now = START;
    let mut write = |data, context: RawContext, mut extension: RawExtension| {
        now += 10_000;
        // The kernel's program reads this clock after the connector has read the other one.
        extension.task.boot_ns = (now + 3_000).into();
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: now, data };
        record.encode_native(&mut datagram).expect("a known kind");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
            panic!("an event")
        };
        let context = context.with_extension(extension).bytes();
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_000 + now);
        writer.write(&Received::Event(event.with_context(&context)), time).expect("a file");
    };
    for number in 0..PROCESSES + AT_ONCE {
        if number < PROCESSES {
            start(number, &mut write);
        }
        if let Some(ended) = number.checked_sub(AT_ONCE) {
            end(ended, &mut write);
        }
    }
    writer.finish().expect("a file");
}

const MAKE: (u32, u64) = (500, START - 1_000_000_000);

/// The id and the creation time of a process.
fn identity(number: u32) -> (u32, u64) {
    (1_000 + number % (PID_MAX - 1_000), START + u64::from(number) * 30_000)
}

fn start(number: u32, write: &mut impl FnMut(EventData<'static>, RawContext, RawExtension)) {
    let (tgid, start) = identity(number);
    let fork = EventData::Fork {
        parent_pid: MAKE.0,
        parent_tgid: MAKE.0,
        child_pid: tgid,
        child_tgid: tgid,
    };
    let make = RawContext::of_process(MAKE, (1, 1)).with_child_start(start);
    write(fork, make, compiler::task(MAKE.0, b"make"));
    let args =
        format!("gcc\0-O2\0-Wall\0-Iinclude\0-c\0src/file{number}.c\0-o\0build/file{number}.o\0");
    let compiler = compiler::executed(compiler::task(tgid, b"gcc"), args.as_bytes());
    let context = RawContext::of_process((tgid, start), MAKE);
    write(EventData::Exec { process_pid: tgid, process_tgid: tgid }, context, compiler);
}

fn end(number: u32, write: &mut impl FnMut(EventData<'static>, RawContext, RawExtension)) {
    let (tgid, start) = identity(number);
    let exit = EventData::Exit {
        process_pid: tgid,
        process_tgid: tgid,
        exit_code: 0,
        exit_signal: 17,
        parent_pid: MAKE.0,
        parent_tgid: MAKE.0,
    };
    let compiler = compiler::ended(compiler::task(tgid, b"gcc"));
    let context = RawContext::of_process((tgid, start), MAKE).with_end(Some(0));
    write(exit, context, compiler);
}
