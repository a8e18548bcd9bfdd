//! Leaves values out of what is read from `/proc`.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::identity::BootId;
use super::snapshot::{Arguments, Fields, Image, ReadError, Snapshot, SnapshotSource};

/// Decides which values of processes a [`ProcessTable`](super::ProcessTable::redacted) and a
/// [`Survey`](super::Survey::redacted) leave out. Values in events are not read from `/proc`: leave them
/// out of the events before applying these.
pub trait Redact: Debug + Send + Sync {
    /// Replaces secret values in arguments, each of which ends with a zero byte.
    fn args(&self, args: &[u8]) -> Vec<u8>;

    /// Whether names, arguments, users, groups and paths are left out.
    fn is_anonymous(&self) -> bool;
}

/// Reads a machine, and leaves values out.
#[derive(Debug)]
pub(super) struct Redacted {
    pub(super) source: Box<dyn SnapshotSource>,
    pub(super) redact: Arc<dyn Redact>,
}

impl SnapshotSource for Redacted {
    fn list(&self) -> io::Result<Vec<u32>> {
        self.source.list()
    }

    fn read(&self, tgid: u32, fields: Fields) -> Result<Snapshot, ReadError> {
        let mut snapshot = self.source.read(tgid, fields)?;
        if self.redact.is_anonymous() {
            snapshot.comm.clear();
            snapshot.image = None;
            snapshot.uid = None;
            snapshot.gid = None;
            snapshot.cgroup = None;
        } else if let Some(Image { args: Some(args), .. }) = &mut snapshot.image {
            *args = Arguments { bytes: self.redact.args(&args.bytes).into(), ..*args };
        }
        Ok(snapshot)
    }

    fn cgroup_id(&self, path: &Path) -> Option<u64> {
        self.source.cgroup_id(path)
    }

    fn boot_id(&self) -> Option<BootId> {
        self.source.boot_id().filter(|_| !self.redact.is_anonymous())
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        self.source.ticks(start_boottime_ns)
    }

    fn boottime_offset_ns(&self) -> u64 {
        self.source.boottime_offset_ns()
    }

    fn now_ns(&self) -> u64 {
        self.source.now_ns()
    }
}
