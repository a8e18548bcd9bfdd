//! What this program uses, under the names that all exporters have.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{SysconfVar, sysconf};

use super::family::{Family, Unit, Value, seconds};

pub(super) fn families(started: Value) -> impl Iterator<Item = Family> {
    let cpu = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
        let time = usage.user_time() + usage.system_time();
        seconds(u64::try_from(time.num_microseconds()).unwrap_or_default() * 1_000)
    });
    let cpu = cpu.map(|cpu| {
        Family::counter("process_cpu", "CPU time of this exporter, user and system.")
            .in_unit(Unit::Seconds)
            .of(cpu)
    });
    let memory = resident().map(|bytes| {
        Family::gauge("process_resident_memory", "Resident memory of this exporter.")
            .in_unit(Unit::Bytes)
            .of(Value::Integer(bytes))
    });
    let start =
        Family::gauge("process_start_time", "Start of this exporter, as a Unix time stamp.")
            .in_unit(Unit::Seconds)
            .of(started);
    cpu.into_iter().chain(memory).chain([start])
}

/// The resident memory in bytes.
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let size = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(size).ok()?)
}
