//! Replays and records a million events, compared with the cost of reading memory alone in the same
//! run.
//!
//! `cargo bench --bench capture --features capture`; each figure is for the whole file.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[path = "common/compiler.rs"]
mod compiler;

use std::hint::black_box;
use std::io;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proc_connector::capture::{Origin, Reader, Writer};
use proc_connector::parser::{Notification, Notifications};
use proc_connector::{EventMask, Filter, ProcEvent, Received};
use proc_connector_core::testing::context::RawContext;
use proc_connector_core::testing::mixed::{self, EVENTS};

const COUNT: u32 = 1_000_000;

/// The demo's events as consecutive messages, repeated up to the required number.
fn messages() -> Vec<u8> {
    mixed::events().repeat((COUNT / EVENTS) as usize)
}

/// The context of an event, with the parts that the ring records at an event of this kind.
fn context(what: u32) -> Vec<u8> {
    const START: u64 = 354_711_123_456_789;
    let mut extension = compiler::task(123_456, b"x86_64-linux-gnu");
    extension.task.boot_ns = (START + 5_000_000).into();
    let context = RawContext::of_process((123_456, START), (120_000, START - 7_000_000_000));
    let context = match what {
        1 => context.with_child_start(START + 4_000_000),
        0x8000_0000 => {
            extension = compiler::ended(extension);
            context.with_end(Some(0))
        }
        2 => {
            let args = b"gcc\0-O2\0-Wall\0-Iinclude\0-c\0src/main.c\0-o\0build/main.o\0";
            extension = compiler::executed(extension, args);
            context
        }
        _ => context,
    };
    context.with_extension(extension).bytes()
}

/// Records with the context of each event.
fn record_whole(messages: &[u8], output: impl io::Write) -> io::Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let [fork, exec, exit, other] = [1, 2, 0x8000_0000, 4].map(context);
    let mut writer = Writer::with_origin(output, &Origin::default())?;
    for notification in Notifications::new(messages) {
        let Ok(Notification::Event(event)) = notification else { continue };
        let context = match event.what() {
            1 => &fork,
            2 => &exec,
            0x8000_0000 => &exit,
            _ => &other,
        };
        writer.write(&Received::Event(event.with_context(context)), time)?;
    }
    writer.finish()
}

fn record(messages: &[u8], output: impl io::Write) -> io::Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut writer = Writer::with_origin(output, &Origin::default())?;
    for notification in Notifications::new(messages) {
        let Ok(Notification::Event(event)) = notification else { continue };
        writer.write(&Received::Event(event), time)?;
    }
    writer.finish()
}

/// The number of events that pass the filter; each is converted to its owned form.
fn replay(file: &[u8], filter: &Filter) -> u64 {
    let reader = Reader::new(black_box(file)).expect("a capture");
    let mut reader = reader.with_filter(filter.clone());
    let mut events = 0;
    while let Some(recorded) = reader.next().expect("no damage") {
        if let Received::Event(event) = recorded.received {
            black_box(ProcEvent::from(event));
            black_box(event.context());
            black_box(recorded.time);
            events += 1;
        }
    }
    events
}

fn capture(c: &mut Criterion) {
    let messages = messages();
    let events = u64::try_from(messages.len() / 76).expect("a count");
    let mut file = Vec::new();
    record(&messages, &mut file).expect("memory");
    let all = Filter::default();
    let some = Filter::new(EventMask::EXEC | EventMask::EXIT).processes_only();
    assert_eq!(replay(&file, &all), events);

    let mut group = c.benchmark_group("capture");
    group.sample_size(10).throughput(Throughput::Elements(events));
    group.bench_function("replay all", |b| b.iter(|| replay(&file, &all)));
    group.bench_function("replay execs and exits of processes", |b| {
        b.iter(|| replay(&file, &some));
    });
    group.bench_function("record", |b| b.iter(|| record(black_box(&messages), io::sink())));
    let mut whole = Vec::new();
    record_whole(&messages, &mut whole).expect("memory");
    assert_eq!(replay(&whole, &all), events);
    println!(
        "{} bytes an event with contexts, {} without",
        whole.len() as u64 / events,
        file.len() as u64 / events
    );
    group.bench_function("replay all with contexts", |b| b.iter(|| replay(&whole, &all)));
    group.bench_function("replay execs and exits of processes with contexts", |b| {
        b.iter(|| replay(&whole, &some));
    });
    group.bench_function("record with contexts", |b| {
        b.iter(|| record_whole(black_box(&messages), io::sink()));
    });
    let mut copy = vec![0; file.len()];
    group.bench_function("a copy of the file in memory", |b| {
        b.iter(|| copy.copy_from_slice(black_box(&file)));
    });
    group.bench_function("the messages alone, walked", |b| {
        b.iter(|| Notifications::new(black_box(&messages)).flatten().count());
    });
    group.finish();
}

criterion_group!(benches, capture);
criterion_main!(benches);
