//! Records the seeds: the first datagram of each kind that the kernel sends while a command runs,
//! as received and in variants.
//!
//! From `fuzz/`, as root:
//!
//!     cargo run --example record_seeds -- cargo test --manifest-path ../Cargo.toml --test live_actions
//!
//! With `--print` before the command, it prints the received datagrams as lines `seed: NAME HEX`
//! and writes no files. `cargo xtask seeds` reads these lines from a virtual machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use proc_connector::ProcConnector;
use proc_connector_core::{
    BigEndian, EventRecord, NativeEndian, Notification, Notifications, Payload, netlink,
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1).peekable();
    let print = words.next_if(|word| word == "--print").is_some();
    let program = words.next().ok_or("usage: record_seeds [--print] COMMAND [ARGUMENT]...")?;

    let connector = ProcConnector::builder().receive_buffer(128 << 20).open()?;
    // The kernel answers with an acknowledgement, which is also recorded.
    connector.subscribe()?;
    let mut child = Command::new(program).args(words).spawn()?;
    let mut seeds: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut buffer = [0; 4096];
    loop {
        let ended = child.try_wait()?.is_some();
        let wait = Duration::from_millis(if ended { 0 } else { 50 });
        match connector.recv_raw_timeout(&mut buffer, wait)? {
            Some(len) => {
                if let Some(name) = seed_name(&buffer[..len]) {
                    seeds.entry(name).or_insert_with(|| buffer[..len].to_vec());
                }
            }
            None if ended => break,
            None => {}
        }
    }
    if print {
        for (name, datagram) in &seeds {
            let hex: String = datagram.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("seed: {name} {hex}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    for (name, datagram) in &seeds {
        write(name, datagram)?;
        write(&format!("{name}-big"), &swapped(datagram)?)?;
    }
    // Before Linux 4.18, these two kinds had no parents.
    for (name, union) in [("exit", 16), ("coredump", 8)] {
        let datagram = seeds.get(name).ok_or("received no exit or no core dump")?;
        write(&format!("{name}-short"), &shortened(datagram, union))?;
    }
    write("several", &seeds.values().flatten().copied().collect::<Vec<_>>())?;
    println!("{} seeds: {}", seeds.len(), seeds.into_keys().collect::<Vec<_>>().join(", "));
    Ok(ExitCode::SUCCESS)
}

/// The name of the seed for a datagram: its kind, with distinctions such as threads.
fn seed_name(datagram: &[u8]) -> Option<&'static str> {
    let event = match Notifications::new(datagram).next()?.ok()? {
        Notification::Event(event) => event,
        Notification::Ack(_) => return Some("ack"),
        _ => return None,
    };
    Some(match event.payload() {
        Payload::Fork(fork) if fork.child_pid() != fork.child_tgid() => "fork-thread",
        Payload::Fork(_) => "fork",
        Payload::Exec(_) => "exec",
        Payload::Uid(_) => "uid",
        Payload::Gid(_) => "gid",
        Payload::Sid(_) => "sid",
        Payload::Ptrace(ptrace) if ptrace.tracer_pid() == 0 => "ptrace-detach",
        Payload::Ptrace(_) => "ptrace",
        Payload::Comm(comm) if comm.name().is_ascii() => "comm",
        Payload::Comm(_) => "comm-bytes",
        Payload::Coredump(_) => "coredump",
        Payload::Exit(exit) if exit.process_pid() != exit.process_tgid() => "exit-thread",
        // Reaped before the kernel recorded the parent.
        Payload::Exit(exit) if exit.parent_pid().is_none() => {
            return exit.status().success().then_some("exit-reaped");
        }
        Payload::Exit(exit) if exit.status().core_dumped() => "exit-core",
        Payload::Exit(exit) if exit.status().signal().is_some() => "exit-signal",
        Payload::Exit(exit) if exit.status().success() => "exit",
        Payload::Exit(_) => "exit-failure",
        _ => return None,
    })
}

/// The datagram as a big-endian machine sends it.
fn swapped(datagram: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = vec![0; datagram.len()];
    let len = match Notifications::<NativeEndian>::new(datagram).next() {
        Some(Ok(Notification::Event(event))) => {
            EventRecord::from(event).encode::<BigEndian>(&mut bytes)?
        }
        Some(Ok(Notification::Ack(ack))) => ack.encode::<BigEndian>(&mut bytes)?,
        other => return Err(format!("{other:?}").into()),
    };
    bytes.truncate(len);
    Ok(bytes)
}

/// The datagram with a shorter union and the matching lengths.
fn shortened(datagram: &[u8], union: u8) -> Vec<u8> {
    let payload = 16 + union;
    let before = netlink::HEADER_LEN + 20;
    let mut bytes = datagram[..before + usize::from(payload)].to_vec();
    bytes[..4].copy_from_slice(&u32::from(before as u8 + payload).to_ne_bytes());
    bytes[32..34].copy_from_slice(&u16::from(payload).to_ne_bytes());
    bytes
}

fn write(name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/datagrams");
    fs::create_dir_all(&directory)?;
    Ok(fs::write(directory.join(name), bytes)?)
}
