//! The paths of cgroups by the ids that the kernel notes at events, so that `/proc` has to be asked
//! for each only once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::facts::{Cgroup, Source};

/// More than a machine has, but for one that makes new ones all the time.
const MANY: usize = 10_000;

/// Paths by id. The kernel gives an id to one cgroup only, for as long as it runs.
#[derive(Debug, Default)]
pub(super) struct Cgroups(HashMap<u64, Arc<Path>>);

impl Cgroups {
    pub(super) fn path(&self, id: u64) -> Option<&Arc<Path>> {
        self.0.get(&id)
    }

    /// Takes note of the path of a process that was in the cgroup `id` at its event, and gives it
    /// back. It may be in another by now, so the file system of cgroups has to agree. Where version 1
    /// is in use too, an id says nothing: it is that of version 2.
    pub(super) fn learn(
        &mut self,
        source: &dyn Source,
        cgroup: Cgroup,
        id: Option<u64>,
    ) -> Arc<Path> {
        let path: Arc<Path> = cgroup.path.into();
        let id = id.filter(|_| cgroup.is_by_id);
        if let Some(id) = id.filter(|&id| source.cgroup_id(&path) == Some(id)) {
            if self.0.len() >= MANY {
                self.0.clear();
            }
            self.0.insert(id, Arc::clone(&path));
        }
        path
    }
}
