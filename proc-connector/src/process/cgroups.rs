//! The paths of cgroups by the ids that the kernel notes at events, so that `/proc` has to be asked
//! for each only once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::facts::{Cgroup, FactSource};

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
        source: &dyn FactSource,
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::process::facts::{Facts, Unread, Wants};

    /// A machine whose cgroup `/a` has the id 7.
    #[derive(Debug)]
    struct OneCgroup;

    impl FactSource for OneCgroup {
        fn list(&self) -> io::Result<Vec<u32>> {
            Ok(Vec::new())
        }

        fn read(&self, _: u32, _: Wants) -> Result<Facts, Unread> {
            Err(Unread::Gone)
        }

        fn cgroup_id(&self, path: &Path) -> Option<u64> {
            (path == Path::new("/a")).then_some(7)
        }

        fn offset_ns(&self) -> u64 {
            0
        }

        fn now_ns(&self) -> u64 {
            0
        }
    }

    #[test]
    fn an_id_is_known_where_it_decides_and_the_file_system_agrees() {
        for (path, is_by_id, id, known) in [
            ("/a", true, Some(7), true),
            // Moved since the event, or in a hierarchy that is not mounted.
            ("/a", true, Some(8), false),
            ("/b", true, Some(7), false),
            // The id of another hierarchy.
            ("/a", false, Some(7), false),
            ("/a", true, None, false),
        ] {
            let mut cgroups = Cgroups::default();
            let cgroup = Cgroup { path: path.into(), is_by_id };
            assert_eq!(&*cgroups.learn(&OneCgroup, cgroup, id), Path::new(path));
            let found = cgroups.path(id.unwrap_or(7)).map(|path| &**path);
            assert_eq!(found, known.then_some(Path::new(path)), "{path} {is_by_id} {id:?}");
        }
    }
}
