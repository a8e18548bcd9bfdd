//! The place of `proc_fs` on systems that have no `/proc` of Linux.

use std::io;

use super::facts::FactSource;

/// Fails: only Linux has the processes that events are about.
pub(super) fn open() -> io::Result<Box<dyn FactSource>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "process events require Linux"))
}
