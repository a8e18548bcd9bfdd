//! Parsing 64 events of mixed kinds, beside the released 0.3.0 in the same run.
//!
//! `cargo bench -p proc-connector-core --bench parse`; each figure is for the whole buffer.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proc_connector_core::{EventData, EventRecord, Notification, Notifications, Payload};

const EVENTS: u32 = 64;

fn parse(c: &mut Criterion) {
    let buffer = mixed_events();
    assert_eq!(fields(&buffer), peer_fields(&buffer), "both read the same");

    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(EVENTS.into()));
    group.bench_function("walk and read every field", |b| b.iter(|| fields(black_box(&buffer))));
    group.bench_function("0.3.0: walk and read every field", |b| {
        b.iter(|| peer_fields(black_box(&buffer)));
    });
    group.finish();
}

/// The sum of every field of every event, so that none of them is left unread.
fn fields(buffer: &[u8]) -> u64 {
    let mut sum = 0;
    for notification in Notifications::new(buffer) {
        let Ok(Notification::Event(event)) = notification else { continue };
        let data = match event.payload() {
            Payload::Fork(e) => {
                words([e.parent_pid(), e.parent_tgid(), e.child_pid(), e.child_tgid()])
            }
            Payload::Exec(e) => words([e.process_pid(), e.process_tgid()]),
            Payload::Uid(e) => words([e.process_pid(), e.process_tgid(), e.ruid(), e.euid()]),
            Payload::Gid(e) => words([e.process_pid(), e.process_tgid(), e.rgid(), e.egid()]),
            Payload::Sid(e) => words([e.process_pid(), e.process_tgid()]),
            Payload::Ptrace(e) => {
                words([e.process_pid(), e.process_tgid(), e.tracer_pid(), e.tracer_tgid()])
            }
            Payload::Comm(e) => words([e.process_pid(), e.process_tgid()]) + comm(*e.comm()),
            Payload::Coredump(e) => words([
                e.process_pid(),
                e.process_tgid(),
                e.parent_pid().unwrap_or_default(),
                e.parent_tgid().unwrap_or_default(),
            ]),
            Payload::Exit(e) => words([
                e.process_pid(),
                e.process_tgid(),
                e.exit_code(),
                e.exit_signal(),
                e.parent_pid().unwrap_or_default(),
                e.parent_tgid().unwrap_or_default(),
            ]),
            _ => 0,
        };
        sum += data + words([event.cpu(), event.seq()]) + event.timestamp_ns();
    }
    sum
}

/// The same sum, over what 0.3.0 decodes.
fn peer_fields(buffer: &[u8]) -> u64 {
    use proc_connector_peer::{NetlinkMessageIter, ProcEvent as E};
    let mut sum = 0;
    for event in NetlinkMessageIter::new(buffer, buffer.len()) {
        let Ok(Some(event)) = event else { continue };
        let (data, cpu, seq, timestamp_ns) = match event {
            E::Fork { cpu, seq, parent_pid, parent_tgid, child_pid, child_tgid, timestamp_ns } => {
                (words([parent_pid, parent_tgid, child_pid, child_tgid]), cpu, seq, timestamp_ns)
            }
            E::Exec { cpu, seq, pid, tgid, timestamp_ns }
            | E::Sid { cpu, seq, pid, tgid, timestamp_ns } => {
                (words([pid, tgid]), cpu, seq, timestamp_ns)
            }
            E::Uid { cpu, seq, pid, tgid, ruid, euid, timestamp_ns } => {
                (words([pid, tgid, ruid, euid]), cpu, seq, timestamp_ns)
            }
            E::Gid { cpu, seq, pid, tgid, rgid, egid, timestamp_ns } => {
                (words([pid, tgid, rgid, egid]), cpu, seq, timestamp_ns)
            }
            E::Ptrace { cpu, seq, pid, tgid, tracer_pid, tracer_tgid, timestamp_ns } => {
                (words([pid, tgid, tracer_pid, tracer_tgid]), cpu, seq, timestamp_ns)
            }
            E::Comm { cpu, seq, pid, tgid, comm: name, timestamp_ns } => {
                (words([pid, tgid]) + comm(name), cpu, seq, timestamp_ns)
            }
            E::Coredump { cpu, seq, pid, tgid, parent_pid, parent_tgid, timestamp_ns } => {
                (words([pid, tgid, parent_pid, parent_tgid]), cpu, seq, timestamp_ns)
            }
            E::Exit {
                cpu,
                seq,
                pid,
                tgid,
                exit_code,
                exit_signal,
                parent_pid,
                parent_tgid,
                timestamp_ns,
            } => (
                words([pid, tgid, exit_code, exit_signal, parent_pid, parent_tgid]),
                cpu,
                seq,
                timestamp_ns,
            ),
            E::Unknown { .. } => continue,
        };
        sum += data + words([cpu, seq]) + timestamp_ns;
    }
    sum
}

fn words<const N: usize>(words: [u32; N]) -> u64 {
    words.into_iter().map(u64::from).sum()
}

fn comm(comm: [u8; 16]) -> u64 {
    let (low, high) = (comm.first_chunk(), comm.last_chunk());
    [low, high].into_iter().flatten().map(|half: &[u8; 8]| u64::from_ne_bytes(*half) >> 16).sum()
}

/// Every kind in the proportions of a busy machine: forks, execs and exits, few of the rest.
fn mixed_events() -> Vec<u8> {
    let mut buffer = Vec::new();
    for n in 0..EVENTS {
        let (process_pid, process_tgid) = (1_000 + n, 1_000 + n);
        let (parent_pid, parent_tgid) = (1, 1);
        let data = match n % 16 {
            0 | 4 | 8 | 12 => EventData::Fork {
                parent_pid,
                parent_tgid,
                child_pid: process_pid,
                child_tgid: process_tgid,
            },
            1 | 5 | 9 => EventData::Exec { process_pid, process_tgid },
            2 => EventData::Comm { process_pid, process_tgid, comm: *b"kworker/u8:1\0\0\0\0" },
            6 => EventData::Uid { process_pid, process_tgid, ruid: 1000, euid: 1000 },
            10 => EventData::Gid { process_pid, process_tgid, rgid: 1000, egid: 1000 },
            11 => EventData::Sid { process_pid, process_tgid },
            13 => EventData::Ptrace { process_pid, process_tgid, tracer_pid: 7, tracer_tgid: 7 },
            14 => EventData::Coredump { process_pid, process_tgid, parent_pid, parent_tgid },
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

criterion_group!(benches, parse);
criterion_main!(benches);
