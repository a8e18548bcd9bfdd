//! Serialization of events: a map whose keys are the kernel's names, written without an allocation.

use core::fmt::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use zerocopy::byteorder::ByteOrder;

use crate::proc_event::{Comm, Event, Payload};

/// The keys are `event`, the kind in lower case, then the fields of the kind, then `timestamp_ns`, `cpu`
/// and `seq`. An exit also has its decoded status: `code`, `signal` and `core_dumped`. If a name is
/// not UTF-8, or has bytes after its NUL, `raw_comm` has all 16 bytes.
impl<O: ByteOrder> Serialize for Event<'_, O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.payload() {
            Payload::Fork(e) => {
                kind(&mut map, "fork")?;
                map.serialize_entry("parent_pid", &e.parent_pid())?;
                map.serialize_entry("parent_tgid", &e.parent_tgid())?;
                map.serialize_entry("child_pid", &e.child_pid())?;
                map.serialize_entry("child_tgid", &e.child_tgid())?;
            }
            Payload::Exec(e) => task(&mut map, "exec", e.process_pid(), e.process_tgid())?,
            Payload::Uid(e) => {
                task(&mut map, "uid", e.process_pid(), e.process_tgid())?;
                map.serialize_entry("ruid", &e.ruid())?;
                map.serialize_entry("euid", &e.euid())?;
            }
            Payload::Gid(e) => {
                task(&mut map, "gid", e.process_pid(), e.process_tgid())?;
                map.serialize_entry("rgid", &e.rgid())?;
                map.serialize_entry("egid", &e.egid())?;
            }
            Payload::Sid(e) => task(&mut map, "sid", e.process_pid(), e.process_tgid())?,
            Payload::Ptrace(e) => {
                task(&mut map, "ptrace", e.process_pid(), e.process_tgid())?;
                map.serialize_entry("tracer_pid", &e.tracer_pid())?;
                map.serialize_entry("tracer_tgid", &e.tracer_tgid())?;
            }
            Payload::Comm(e) => {
                task(&mut map, "comm", e.process_pid(), e.process_tgid())?;
                comm(&mut map, e)?;
            }
            Payload::Coredump(e) => {
                task(&mut map, "coredump", e.process_pid(), e.process_tgid())?;
                parent(&mut map, e.parent_pid(), e.parent_tgid())?;
            }
            Payload::Exit(e) => {
                task(&mut map, "exit", e.process_pid(), e.process_tgid())?;
                map.serialize_entry("exit_code", &e.exit_code())?;
                map.serialize_entry("exit_signal", &e.exit_signal())?;
                map.serialize_entry("code", &e.status().code())?;
                map.serialize_entry("signal", &e.status().signal())?;
                map.serialize_entry("core_dumped", &e.status().core_dumped())?;
                parent(&mut map, e.parent_pid(), e.parent_tgid())?;
            }
            Payload::Unknown(data) => {
                kind(&mut map, "unknown")?;
                map.serialize_entry("what", &self.what())?;
                map.serialize_entry("raw_data", data)?;
            }
        }
        map.serialize_entry("timestamp_ns", &self.timestamp_ns())?;
        map.serialize_entry("cpu", &self.cpu())?;
        map.serialize_entry("seq", &self.seq())?;
        map.end()
    }
}

fn kind<M: SerializeMap>(map: &mut M, name: &str) -> Result<(), M::Error> {
    map.serialize_entry("event", name)
}

fn task<M: SerializeMap>(map: &mut M, name: &str, pid: u32, tgid: u32) -> Result<(), M::Error> {
    kind(map, name)?;
    map.serialize_entry("pid", &pid)?;
    map.serialize_entry("tgid", &tgid)
}

fn parent<M: SerializeMap>(
    map: &mut M,
    pid: Option<u32>,
    tgid: Option<u32>,
) -> Result<(), M::Error> {
    map.serialize_entry("parent_pid", &pid)?;
    map.serialize_entry("parent_tgid", &tgid)
}

fn comm<M: SerializeMap, O: ByteOrder>(map: &mut M, comm: &Comm<O>) -> Result<(), M::Error> {
    let (all, name) = (comm.comm(), comm.name());
    map.serialize_entry("comm", &Text(name))?;
    let behind = all.get(name.len()..).unwrap_or_default();
    let is_complete = behind.iter().all(|&byte| byte == 0) && core::str::from_utf8(name).is_ok();
    if is_complete { Ok(()) } else { map.serialize_entry("raw_comm", all) }
}

/// Bytes as text, with U+FFFD in place of invalid UTF-8.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "no public API")]
pub struct Text<'a>(pub &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match core::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_str(self),
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}
