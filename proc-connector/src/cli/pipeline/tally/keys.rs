//! The properties of a process by which events are counted.

use proc_connector::process::Process;

use crate::cli::output::names::Comm;
use crate::cli::output::statistics::rows::Name;

/// The user whose rights the process has, as in `ps`.
pub(super) fn user(process: &Process) -> Option<u32> {
    process.uid().map(|ids| ids.effective)
}

/// A name without its padding.
pub(super) fn name(comm: Option<Comm>) -> Name {
    let bytes = |comm: Comm| {
        let len = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
        comm[..len].to_vec()
    };
    Name(comm.map(bytes))
}
