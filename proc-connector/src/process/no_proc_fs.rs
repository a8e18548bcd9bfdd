//! Replaces `proc_fs` on systems without Linux's `/proc`.

use std::io;

use super::snapshot::SnapshotSource;
use super::time::Start;

/// Always fails.
pub(super) fn open() -> io::Result<Box<dyn SnapshotSource>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "process events require Linux"))
}

/// Nothing is read.
pub(super) fn start(_: u32) -> Option<Start> {
    None
}

/// Nothing is read.
pub(super) fn ticks(_: u64) -> Option<u64> {
    None
}
