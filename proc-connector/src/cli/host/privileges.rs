//! Drops the privileges that only opening a connector requires.

use std::io;

use proc_connector::program::leaving_needs_net_admin;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::cli::shown::complain;

/// Permanently drops all capabilities except those for reading other processes' `/proc` and, on kernels
/// that require it, for closing the connector.
///
/// Call it when everything is open, and before another thread starts, which would keep its
/// capabilities. Afterwards the filter cannot be changed, because that loads a BPF program.
pub(crate) fn drop_most() {
    if let Err(error) = keep(needed()) {
        complain(format_args!("cannot drop capabilities, continuing with them: {error}"));
    }
}

fn needed() -> CapabilitySet {
    let reading = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    if leaving_needs_net_admin() { reading | CapabilitySet::NET_ADMIN } else { reading }
}

fn keep(kept: CapabilitySet) -> io::Result<()> {
    let mut sets = capabilities(None)?;
    // The kernel limits the ambient set to the permitted set.
    sets.permitted &= kept;
    sets.effective &= kept;
    sets.inheritable &= kept;
    Ok(set_capabilities(None, sets)?)
}
