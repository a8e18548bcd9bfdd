//! Maps the cgroup ids that the kernel records at events to paths, so that `/proc` is read only
//! once for each cgroup.

use std::path::Path;
use std::sync::Arc;

use super::hasher::ById;
use super::snapshot::{Cgroup, SnapshotSource};

/// Exceeds the number of cgroups of any machine, except those that create cgroups continuously.
const MAX_PATHS: usize = 10_000;

/// Paths by id. The kernel does not reuse ids until it restarts.
#[derive(Debug, Default)]
pub(super) struct CgroupPaths {
    paths: ById<u64, Arc<Path>>,
    /// Whether a hierarchy of version 1 determines paths, so that no id is recorded for them.
    has_version_1: bool,
}

impl CgroupPaths {
    pub(super) fn path(&self, id: u64) -> Option<&Arc<Path>> {
        self.paths.get(&id)
    }

    /// Records whether ids determine paths on this machine.
    pub(super) fn note_hierarchies(&mut self, cgroup: &Cgroup) {
        self.has_version_1 = !cgroup.id_determines_path;
    }

    /// Whether no recorded id determines the path of a cgroup.
    pub(super) fn has_version_1(&self) -> bool {
        self.has_version_1
    }

    /// Records the path of the cgroup `id`, in which a process was at its event, and returns the
    /// path. The process may have moved since, so the cgroup file system must confirm the id. A
    /// path in a hierarchy of version 1 is not recorded, because `id` belongs to version 2.
    pub(super) fn learn(
        &mut self,
        source: &dyn SnapshotSource,
        cgroup: Cgroup,
        id: Option<u64>,
    ) -> Arc<Path> {
        let path: Arc<Path> = cgroup.path.into();
        let id = id.filter(|_| cgroup.id_determines_path);
        if let Some(id) = id.filter(|&id| source.cgroup_id(&path) == Some(id)) {
            self.insert(id, Arc::clone(&path));
        }
        path
    }

    /// Records the path of the cgroup `id`.
    pub(super) fn insert(&mut self, id: u64, path: Arc<Path>) {
        if self.paths.len() >= MAX_PATHS {
            self.paths.clear();
        }
        self.paths.insert(id, path);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::process::identity::BootId;
    use crate::process::snapshot::{Fields, ReadError, Snapshot};

    /// A machine whose cgroup `/a` has the id 7.
    #[derive(Debug)]
    struct OneCgroup;

    impl SnapshotSource for OneCgroup {
        fn list(&self) -> io::Result<Vec<u32>> {
            Ok(Vec::new())
        }

        fn read(&self, _: u32, _: Fields) -> Result<Snapshot, ReadError> {
            Err(ReadError::Gone)
        }

        fn cgroup_id(&self, path: &Path) -> Option<u64> {
            (path == Path::new("/a")).then_some(7)
        }

        fn boot_id(&self) -> Option<BootId> {
            None
        }

        fn ticks(&self, _: u64) -> u64 {
            0
        }

        fn boottime_offset_ns(&self) -> u64 {
            0
        }

        fn now_ns(&self) -> u64 {
            0
        }
    }

    #[test]
    fn an_id_is_recorded_if_it_determines_the_path_and_is_confirmed() {
        for (path, id_determines_path, id, known) in [
            ("/a", true, Some(7), true),
            // The process moved after the event, or the hierarchy is not mounted.
            ("/a", true, Some(8), false),
            ("/b", true, Some(7), false),
            // The id belongs to another hierarchy.
            ("/a", false, Some(7), false),
            ("/a", true, None, false),
        ] {
            let mut cgroups = CgroupPaths::default();
            let cgroup = Cgroup { path: path.into(), id_determines_path };
            assert_eq!(&*cgroups.learn(&OneCgroup, cgroup, id), Path::new(path));
            let found = cgroups.path(id.unwrap_or(7)).map(|path| &**path);
            assert_eq!(
                found,
                known.then_some(Path::new(path)),
                "{path} {id_determines_path} {id:?}"
            );
        }
    }
}
