//! Functions for the program `proc-connector`: signals, and state that the process inherited.
//!
//! Not part of the API: this module may change in any release.

use std::io;
use std::process::Command;
use std::sync::Arc;

pub use crate::error::Chain;
pub use crate::sys::{EndRequest, TracedChild, was_closed};

use super::host::kernel::Version;
use super::shutdown::Shutdown;

/// Makes Ctrl-C, SIGTERM and SIGHUP end the receives of a connector, except for signals that this
/// process inherited as ignored.
///
/// # Errors
///
/// An error of `sigaction`.
pub fn end_on_signals(shutdown: &Shutdown) -> io::Result<()> {
    crate::sys::end_on_signals(&shutdown.event)
}

/// Starts a command. The receives that `ended` belongs to end when the command does.
///
/// SIGTERM and SIGHUP to this process are forwarded to the command while it runs. This process must
/// have a single thread.
///
/// # Errors
///
/// An error of the system if a handler cannot be installed or the command cannot be started.
pub fn start_traced(command: &mut Command, ended: &Shutdown) -> io::Result<TracedChild> {
    TracedChild::start(command, Arc::clone(&ended.event))
}

/// Whether a listener needs `CAP_NET_ADMIN` to stop listening. Before Linux 6.6 the kernel refuses
/// an IGNORE request without it (`cn_proc_mcast_ctl` in `drivers/connector/cn_proc.c`), and
/// continues to send events.
pub fn leaving_needs_net_admin() -> bool {
    Version::running().is_none_or(|version| version < Version(6, 6, 0))
}
