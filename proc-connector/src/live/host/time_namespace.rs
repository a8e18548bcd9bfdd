//! Converting the clocks of this process's time namespace to the clocks of the time stamps.
//!
//! The kernel stamps events with `CLOCK_MONOTONIC` of the initial time namespace.
//! `clock_gettime(2)` adds the offsets of the caller's namespace, and `/proc/PID/stat` those of its
//! reader's (`kernel/time/namespace.c`, `fs/proc/array.c`). The offsets are in
//! `/proc/self/timens_offsets` since Linux 5.6.

use std::io;
use std::sync::OnceLock;

use crate::live::host::namespace;
use crate::live::host::proc_mount;
use crate::sys::own_monotonic;

/// How far the clocks of this process's time namespace are ahead of the initial ones, in
/// nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) monotonic_ns: i64,
    pub(crate) boottime_ns: i64,
}

/// The offsets of this process's time namespace, which are read once.
///
/// # Errors
///
/// The process may be in another time namespace than the initial one, and its offsets cannot be
/// read. A process without a usable `/proc` is assumed to be in the initial one.
pub(crate) fn offsets() -> io::Result<Offsets> {
    // A child of fork(2) inherits this memory but may be in another namespace than its parent.
    static KNOWN: OnceLock<(u32, Offsets)> = OnceLock::new();
    let process = std::process::id();
    if let Some((_, offsets)) = KNOWN.get().filter(|(known, _)| *known == process) {
        return Ok(*offsets);
    }
    let Some(offsets) = read()? else { return Ok(Offsets::default()) };
    KNOWN.get_or_init(|| (process, offsets));
    Ok(offsets)
}

/// `CLOCK_MONOTONIC` of the initial time namespace, the clock of the time stamps, in nanoseconds.
/// Unknown offsets are assumed to be zero.
pub(crate) fn monotonic_ns() -> u64 {
    let offset = offsets().unwrap_or_default().monotonic_ns;
    nanoseconds(own_monotonic()).saturating_add_signed(offset.saturating_neg())
}

/// `CLOCK_BOOTTIME` of the initial time namespace, in nanoseconds.
pub(crate) fn boottime_ns() -> u64 {
    let offset = offsets().unwrap_or_default().boottime_ns;
    nanoseconds(crate::sys::own_boottime()).saturating_add_signed(offset.saturating_neg())
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads the offsets. `None` without a usable `/proc`.
fn read() -> io::Result<Option<Offsets>> {
    let unknown = |why: &str| {
        let why = format!(
            "this process is in a time namespace whose clocks cannot be compared with the kernel's: \
             {why}; run in the host's time namespace"
        );
        io::Error::new(io::ErrorKind::Unsupported, why)
    };
    let own = match namespace::inode_number("time") {
        Ok(own) => own,
        // The kernel has no time namespaces, or `/proc` is unusable.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(proc_mount::open().ok().map(|_| Offsets::default()));
        }
        Err(error) => return Err(error),
    };
    if own == namespace::INITIAL_TIME {
        return Ok(Some(Offsets::default()));
    }
    // The file has the offsets of the namespace in which this process creates children.
    if namespace::inode_number("time_for_children")? != own {
        return Err(unknown("/proc/self/timens_offsets describes another namespace"));
    }
    let text = proc_mount::read_own(c"timens_offsets")?;
    let offsets = parse(&text);
    offsets.map(Some).ok_or_else(|| unknown("/proc/self/timens_offsets has an unknown format"))
}

/// Parses lines that consist of a clock, seconds and nanoseconds. Only seconds may be negative. The
/// clock is a name or a number, which the kernel accepts as well when the file is written.
fn parse(text: &str) -> Option<Offsets> {
    let offset = |names: [&str; 2]| {
        let mut fields = text.lines().find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            fields.next().filter(|name| names.contains(name)).map(|_| fields)
        })?;
        let (seconds, ns): (i64, i64) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        seconds.checked_mul(1_000_000_000)?.checked_add(ns)
    };
    Some(Offsets {
        monotonic_ns: offset(["monotonic", "1"])?,
        boottime_ns: offset(["boottime", "7"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Offsets, parse};

    #[test]
    fn offsets_are_parsed_as_the_kernel_writes_them() {
        for (text, offsets) in [
            ("monotonic           0         0\nboottime            0         0\n", Some((0, 0))),
            (
                "monotonic        5000       250\nboottime       -100 999999999\n",
                Some((5_000_000_000_250, -99_000_000_001)),
            ),
            ("boottime 7 0\nmonotonic -3 0\n", Some((-3_000_000_000, 7_000_000_000))),
            ("1 1 0\n7 2 0\n", Some((1_000_000_000, 2_000_000_000))),
            ("monotonic 1 0\n", None),
            ("monotonic x 0\nboottime 0 0\n", None),
            ("monotonic 99999999999999 0\nboottime 0 0\n", None),
            ("", None),
        ] {
            let offsets =
                offsets.map(|(monotonic_ns, boottime_ns)| Offsets { monotonic_ns, boottime_ns });
            assert_eq!(parse(text), offsets, "{text:?}");
        }
    }
}
