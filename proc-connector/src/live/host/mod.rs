//! Facts about this machine: its kernel, `/proc`, clocks and namespaces.

pub(crate) mod kernel;
pub(crate) mod namespace;
pub(crate) mod proc_mount;
pub(crate) mod time_namespace;

use std::io;

#[cfg(feature = "capture")]
use crate::sys::uname;

/// Checks that time stamps of events can be compared with the clocks of this process.
///
/// # Errors
///
/// As [`time_namespace::offsets`].
pub(crate) fn check_clock() -> io::Result<()> {
    time_namespace::offsets().map(drop)
}

/// The present time on the clock of the time stamps, in nanoseconds.
pub(crate) fn clock_ns() -> u64 {
    time_namespace::monotonic_ns()
}

/// The host name and the kernel's release. Each is `None` if unknown.
#[cfg(feature = "capture")]
pub(crate) fn host_names() -> (Option<String>, Option<String>) {
    let Ok(names) = uname() else { return (None, None) };
    let known = |name: String| Some(name).filter(|name| !name.is_empty());
    (known(names.node), known(names.release))
}
