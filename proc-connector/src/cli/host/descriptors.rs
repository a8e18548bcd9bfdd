//! How many descriptors the program needs.

use std::io;

use nix::unistd::dup;

use crate::cli::failure::Failure;

/// More than a connector over the ring, an output file, reading `/proc` and looking up a user's name use
/// together.
const NEEDED: usize = 16;

/// Opens that many, and closes them again.
pub(crate) fn make_sure_of_enough() -> Result<(), Failure> {
    let opened: Result<Vec<_>, _> = (0..NEEDED).map(|_| dup(io::stdin())).collect();
    opened.map(drop).map_err(|error| Failure::Descriptors { needed: NEEDED, error: error.into() })
}
