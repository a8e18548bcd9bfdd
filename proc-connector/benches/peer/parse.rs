//! Parsing of 64 events of mixed kinds, compared with the released 0.3.0 in the same run.
//!
//! `cargo bench --bench parse` in this directory; each figure is for the whole buffer.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proc_connector_core::testing::mixed::{self, EVENTS};
use proc_connector_core::{Notification, Notifications, Payload};

fn parse(c: &mut Criterion) {
    let buffer = mixed::events();
    assert_eq!(fields(&buffer), peer_fields(&buffer), "both read the same");

    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(EVENTS.into()));
    group.bench_function("walk and read every field", |b| b.iter(|| fields(black_box(&buffer))));
    group.bench_function("0.3.0: walk and read every field", |b| {
        b.iter(|| peer_fields(black_box(&buffer)));
    });
    group.finish();
}

/// The sum of every field of every event, which proves that each was read.
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

/// The same sum, over the events that 0.3.0 decodes.
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

criterion_group!(benches, parse);
criterion_main!(benches);
