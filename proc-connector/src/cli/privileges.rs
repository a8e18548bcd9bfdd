//! Privileges that only opening a connector takes.

use std::io;

use proc_connector::program::leaving_needs_net_admin;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::standard::complain;

/// Gives up all capabilities but those to read what `/proc` has of others, for good. To be called once
/// all is open, by what never changes its filter, which would load a program again; and before there
/// are other threads, which keep theirs.
pub(super) fn give_up() {
    if let Err(error) = keep(needed()) {
        complain(format_args!("cannot give up capabilities, and goes on with them: {error}"));
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
