//! Converts 64 events of mixed kinds to `ProcEvent`, compared with the released 0.3.0 in the same
//! run.
//!
//! `cargo bench --bench convert` in this directory; each figure is for the whole buffer.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proc_connector::NetlinkMessageIter;
use proc_connector_core::testing::mixed::{self, EVENTS};

fn convert(c: &mut Criterion) {
    let buffer = mixed::events();
    let mut group = c.benchmark_group("convert");
    group.throughput(Throughput::Elements(EVENTS.into()));
    group.bench_function("to ProcEvent", |b| {
        b.iter(|| {
            let buffer = black_box(&buffer[..]);
            for event in NetlinkMessageIter::new(buffer, buffer.len()) {
                black_box(event.is_ok_and(|event| black_box(event).is_some()));
            }
        });
    });
    group.bench_function("0.3.0: to ProcEvent", |b| {
        b.iter(|| {
            let buffer = black_box(&buffer[..]);
            for event in proc_connector_peer::NetlinkMessageIter::new(buffer, buffer.len()) {
                black_box(event.is_ok_and(|event| black_box(event).is_some()));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, convert);
criterion_main!(benches);
