//! Replaces `proc_fs` on systems without Linux's `/proc`.

use std::io;

use super::snapshot::SnapshotSource;

/// Always fails.
pub(super) fn open() -> io::Result<Box<dyn SnapshotSource>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "process events require Linux"))
}
