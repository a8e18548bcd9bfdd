//! What the program `proc-connector` needs beside the API: signals, and the state it was started with.
//!
//! Not part of the API: it may change in any release.

use std::io;
use std::process::Command;
use std::sync::Arc;

pub use crate::error::Chain;
pub use crate::sys::{EndRequest, TracedChild, was_closed};

use super::host::kernel::Version;
use super::shutdown::Shutdown;

/// Has Ctrl-C, SIGTERM and SIGHUP end the receives of a connector, except those that this process was
/// started to ignore.
///
/// # Errors
///
/// The system refuses the handlers.
pub fn end_on_signals(shutdown: &Shutdown) -> io::Result<()> {
    crate::sys::end_on_signals(&shutdown.event)
}

/// Starts a command as `TracedChild::start` does. Its end ends the receives.
///
/// # Errors
///
/// Those of `TracedChild::start`.
pub fn start_traced(command: &mut Command, ended: &Shutdown) -> io::Result<TracedChild> {
    TracedChild::start(command, Arc::clone(&ended.event))
}

/// Whether a listener needs `CAP_NET_ADMIN` to stop listening: before Linux 6.6 the kernel refuses that
/// request without it (`cn_proc_mcast_ctl` in `drivers/connector/cn_proc.c`), and keeps making events.
pub fn leaving_needs_net_admin() -> bool {
    Version::running().is_none_or(|version| version < Version(6, 6, 0))
}
