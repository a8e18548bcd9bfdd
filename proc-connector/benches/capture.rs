//! Replays and records a million events, compared with the cost of reading memory alone in the same
//! run.
//!
//! `cargo bench --bench capture --features capture`; each figure is for the whole file.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::io;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proc_connector::capture::{Origin, Reader, Writer};
use proc_connector::parser::{Notification, Notifications};
use proc_connector::{EventMask, Filter, ProcEvent, Received};
use proc_connector_core::testing::mixed::{self, EVENTS};

const COUNT: u32 = 1_000_000;

/// The demo's events as consecutive messages, repeated up to the required number.
fn messages() -> Vec<u8> {
    mixed::events().repeat((COUNT / EVENTS) as usize)
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
