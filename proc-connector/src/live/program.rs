//! Functions for the program `proc-connector`: signals, and state that the process inherited.
//!
//! Not part of the API: this module may change in any release.

use std::io;
use std::process::Command;
use std::sync::Arc;

pub use crate::error::Chain;
pub use crate::sys::{EndRequest, TracedChild, was_closed};

use super::host::kernel;
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

/// The same, for a program that ends by the signal that arrived.
///
/// # Errors
///
/// An error of `sigaction`.
pub fn request_end_on_signals(shutdown: &Shutdown) -> io::Result<EndRequest> {
    EndRequest::raising(Arc::clone(&shutdown.event))
}

/// Starts a command, and uses `ended` to end the receives of a connector when the command ends.
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

/// Whether a listener requires `CAP_NET_ADMIN` to end its subscription, as before Linux 6.6.
pub fn leaving_needs_net_admin() -> bool {
    kernel::requires_net_admin()
}
