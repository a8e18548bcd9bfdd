//! What the program `proc-connector` needs beside the API: signals, and what it was started with.
//!
//! Not part of the API: it may change in any release.

pub use crate::error::Chain;
pub use crate::sys::{EndRequest, TracedChild, end_on_signals, was_closed};

use crate::kernel::Version;

/// Whether a listener needs `CAP_NET_ADMIN` to stop listening: before Linux 6.6 the kernel refuses that
/// request without it (`cn_proc_mcast_ctl` in `drivers/connector/cn_proc.c`), and goes on making events.
pub fn leaving_needs_net_admin() -> bool {
    Version::running().is_none_or(|version| version < Version(6, 6, 0))
}
