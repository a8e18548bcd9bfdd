//! Events of mixed kinds, which the benches read.

use alloc::vec::Vec;

use crate::{EventData, EventRecord};

/// Number of events.
pub const EVENTS: u32 = 64;

/// Datagrams of every kind in the proportions of a busy machine: mostly forks, execs and exits.
pub fn events() -> Vec<u8> {
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
