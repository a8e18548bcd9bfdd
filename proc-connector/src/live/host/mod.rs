//! Facts about this machine and this process: the kernel, `/proc`, capabilities, clocks and
//! namespaces.

pub(crate) mod capabilities;
pub(crate) mod cgroup_mounts;
pub(crate) mod kernel;
pub(crate) mod namespace;
pub(crate) mod proc_mount;
pub(crate) mod processes;
pub(crate) mod stat;
pub(crate) mod time_namespace;

use std::io;

pub(crate) use self::time_namespace::monotonic_ns as clock_ns;
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

/// The host name and the kernel's release. Each is `None` if unknown.
#[cfg(feature = "capture")]
pub(crate) fn host_names() -> (Option<String>, Option<String>) {
    let Ok(names) = uname() else { return (None, None) };
    let known = |name: String| Some(name).filter(|name| !name.is_empty());
    (known(names.node), known(names.release))
}
