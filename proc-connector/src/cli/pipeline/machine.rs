//! The processes that this machine shows.

use std::io;

use proc_connector::process::ProcessTable;

use crate::cli::Failure;
use crate::cli::shown::complain;

/// The processes of this machine. Call it after the connector was opened. Without a usable `/proc` it
/// warns, and processes are known by their events alone.
pub(crate) fn processes() -> Result<ProcessTable, Failure> {
    match ProcessTable::new() {
        Err(error) if is_lasting(error.kind()) => {
            complain(format_args!("warning: processes are known by their events alone: {error}"));
            Ok(ProcessTable::without_proc())
        }
        table => table.map_err(Failure::Proc),
    }
}

/// Whether there is no use in trying again, as there would be with files closed or memory freed.
fn is_lasting(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, Unsupported};
    matches!(kind, NotFound | PermissionDenied | Unsupported)
}
