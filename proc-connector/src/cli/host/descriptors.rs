//! The number of file descriptors that the program needs.

use std::io;

use nix::unistd::dup;

use crate::cli::failure::Failure;

/// More than a connector with the ring transport, an output file, a read of `/proc` and a lookup of a
/// user's name need together.
const NEEDED: usize = 16;

/// Opens [`NEEDED`] descriptors, and closes them again.
pub(crate) fn make_sure_of_enough() -> Result<(), Failure> {
    let opened: Result<Vec<_>, _> = (0..NEEDED).map(|_| dup(io::stdin())).collect();
    opened.map(drop).map_err(|error| Failure::Descriptors { needed: NEEDED, error: error.into() })
}
