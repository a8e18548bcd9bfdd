//! The file descriptors that the program requires.

use std::io;

use nix::unistd::dup;

use crate::cli::failure::Failure;

/// More than the ring transport, an output file, a read of `/proc` and the lookup of a user's name
/// require together.
const NEEDED: usize = 16;

/// Checks that [`NEEDED`] descriptors can be opened.
pub(crate) fn check_available() -> Result<(), Failure> {
    let opened: Result<Vec<_>, _> = (0..NEEDED).map(|_| dup(io::stdin())).collect();
    opened.map(drop).map_err(|error| Failure::Descriptors { needed: NEEDED, error: error.into() })
}
