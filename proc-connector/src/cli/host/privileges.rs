//! Privileges that only opening a connector requires.

use std::io;

use proc_connector::program::leaving_needs_net_admin;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::cli::shown::complain;

/// Gives up all capabilities except those for reading other processes' `/proc`, for good.
///
/// Call it once everything is open. It must come before any other thread starts, which would keep its
/// capabilities, and a filter cannot be changed afterwards, because that loads a program.
pub(crate) fn give_up() {
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
    // The ambient set is cut to the permitted one by the kernel.
    sets.permitted &= kept;
    sets.effective &= kept;
    sets.inheritable &= kept;
    Ok(set_capabilities(None, sets)?)
}
