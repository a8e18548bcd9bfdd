//! Converting 64 events of mixed kinds to `ProcEvent`, beside the released 0.3.0 in the same run.
//!
//! `cargo bench --bench convert`; each figure is for the whole buffer.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proc_connector::NetlinkMessageIter;
use proc_connector::core::{EventData, EventRecord};

const EVENTS: u32 = 64;

fn convert(c: &mut Criterion) {
    let buffer = mixed_events();
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

fn mixed_events() -> Vec<u8> {
    let mut buffer = Vec::new();
    for n in 0..EVENTS {
        let (process_pid, process_tgid) = (1_000 + n, 1_000 + n);
        let (parent_pid, parent_tgid) = (1, 1);
        let data = match n % 8 {
            0 | 4 => EventData::Fork {
                parent_pid,
                parent_tgid,
                child_pid: process_pid,
                child_tgid: process_tgid,
            },
            1 | 5 => EventData::Exec { process_pid, process_tgid },
            2 => EventData::Comm { process_pid, process_tgid, comm: *b"kworker/u8:1\0\0\0\0" },
            6 => EventData::Uid { process_pid, process_tgid, ruid: 1000, euid: 1000 },
            _ => EventData::Exit {
                process_pid,
                process_tgid,
                exit_code: 256,
                exit_signal: 17,
                parent_pid,
                parent_tgid,
            },
        };
        let record = EventRecord { seq: n, cpu: n % 2, timestamp_ns: 1 << 40, data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("a kernel's event fits");
        buffer.extend_from_slice(&datagram[..len]);
    }
    buffer
}

criterion_group!(benches, convert);
criterion_main!(benches);
