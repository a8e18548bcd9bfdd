//! Datagrams that a kernel sent during known actions, and variants of them: the seeds of the fuzz
//! targets. The name of each file describes its content.

mod common;

use std::fs;
use std::path::Path;

use common::{
    COMM, COREDUMP, EXEC, EXIT, FORK, Found, GID, NONE, Order, PTRACE, SID, UID, WHAT, walk,
};
use proc_connector_core::{BigEndian, EventData, ExitStatus, LittleEndian};

/// The first part of a name, and its kind.
const KINDS: [(&str, u32); 10] = [
    ("ack", NONE),
    ("comm", COMM),
    ("coredump", COREDUMP),
    ("exec", EXEC),
    ("exit", EXIT),
    ("fork", FORK),
    ("gid", GID),
    ("ptrace", PTRACE),
    ("sid", SID),
    ("uid", UID),
];

#[test]
fn each_datagram_is_read_as_its_name_describes() {
    let seeds = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/datagrams"));
    if !seeds.exists() {
        eprintln!("skipped: only the repository contains fuzz/seeds");
        return;
    }
    let mut seen = [0; KINDS.len()];
    for file in fs::read_dir(seeds).expect("a directory") {
        let path = file.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let bytes = fs::read(&path).expect("a file");
        if name == "several" {
            assert_eq!(walk::<LittleEndian>(&bytes).len(), bytes.len() / 76);
            assert!(walk::<LittleEndian>(&bytes).iter().all(Result::is_ok));
            continue;
        }
        let kind = KINDS.iter().position(|(kind, _)| name.split('-').next() == Some(kind));
        let kind = kind.unwrap_or_else(|| panic!("{name} names no kind"));
        seen[kind] += 1;
        let order = if name.ends_with("-big") { Order::Big } else { Order::Little };
        assert_eq!(bytes[WHAT..WHAT + 4], order.u32(KINDS[kind].1), "{name}");
        let found = match order {
            Order::Big => walk::<BigEndian>(&bytes),
            _ => walk::<LittleEndian>(&bytes),
        };
        let [Ok(found)] = found[..] else { panic!("{name} is {found:?}") };
        assert_matches_name(&name, &found);
    }
    assert!(seen.iter().all(|&files| files >= 2), "{seen:?} of {KINDS:?}");
}

fn assert_matches_name(name: &str, found: &Found<'_>) {
    let data = match found {
        Found::Event(record) => record.data,
        Found::Ack(ack) => {
            assert_eq!((name.split('-').next(), ack.err), (Some("ack"), 0));
            return;
        }
        Found::Control(control) => panic!("{name} is {control:?}"),
    };
    let is = |word: &str| name.split('-').any(|part| part == word);
    match data {
        EventData::Fork { parent_pid, child_pid, child_tgid, .. } => {
            assert_eq!(child_pid != child_tgid, is("thread"), "{name}");
            assert_ne!(parent_pid, child_pid, "{name}");
        }
        EventData::Exit {
            process_pid, process_tgid, exit_code, exit_signal, parent_pid, ..
        } => {
            let status = ExitStatus::from_raw(exit_code);
            assert_eq!(process_pid != process_tgid, is("thread"), "{name}");
            assert_eq!(exit_signal, if is("thread") { u32::MAX } else { 17 }, "{name}");
            let parentless = ["thread", "short", "reaped"].into_iter().any(is);
            assert_eq!(parent_pid == 0, parentless, "{name}");
            assert_eq!(status.core_dumped(), is("core"), "{name}");
            assert_eq!(status.signal().is_some(), is("core") || is("signal"), "{name}");
            assert_eq!(status.code().is_some_and(|code| code != 0), is("failure"), "{name}");
        }
        EventData::Coredump { process_pid, process_tgid, parent_pid, .. } => {
            assert_eq!(process_pid, process_tgid, "{name}");
            assert_eq!(parent_pid == 0, is("short"), "{name}");
        }
        EventData::Ptrace { tracer_pid, tracer_tgid, .. } => {
            assert_eq!((tracer_pid == 0, tracer_tgid == 0), (is("detach"), is("detach")));
        }
        EventData::Comm { comm, .. } => {
            assert_eq!(comm[15], 0, "{name}: the kernel ends names with a NUL");
            assert_eq!(std::str::from_utf8(&comm).is_err(), is("bytes"), "{name}");
        }
        EventData::Uid { ruid, euid, .. } => assert_ne!(ruid, euid, "{name}: as was set"),
        EventData::Gid { rgid, egid, .. } => assert_ne!(rgid, egid, "{name}: as was set"),
        EventData::Exec { process_pid, process_tgid }
        | EventData::Sid { process_pid, process_tgid } => assert_eq!(process_pid, process_tgid),
        other => panic!("{name} is {other:?}"),
    }
}
