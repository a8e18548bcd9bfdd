//! Cgroups of the version 2 hierarchy.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::common::skip;

/// A cgroup that a test created, removed on drop.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    pub(crate) id: u64,
}

impl Cgroup {
    /// A cgroup below the root of the hierarchy. Skips the test where it cannot be created.
    pub(crate) fn new(name: &str) -> Self {
        let Some(root) = root() else { skip("no version 2 hierarchy is mounted") };
        Self::create(root.join(format!("proc-connector-{}-{name}", std::process::id())))
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self::create(self.path.join(name))
    }

    fn create(path: PathBuf) -> Self {
        if let Err(error) = fs::create_dir(&path) {
            skip(&format!("no cgroup can be created: {error}"));
        }
        let id = fs::metadata(&path).expect("a directory").ino();
        Self { path, id }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves a process into the cgroup.
    pub(crate) fn add(&self, pid: u32) {
        move_to(&self.path, pid);
    }
}

/// Moves a process into the cgroup of a directory.
pub(crate) fn move_to(cgroup: &Path, pid: u32) {
    fs::write(cgroup.join("cgroup.procs"), pid.to_string()).expect("a cgroup for processes");
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Fails while a process of a failed test is left.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The directory of the root of the version 2 hierarchy.
pub(crate) fn root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    Some(mount.split(' ').nth(1)?.into())
}

/// The ids of all cgroups, each with those above it.
pub(crate) fn all() -> HashMap<u64, Vec<u64>> {
    let mut cgroups = HashMap::new();
    if let Some(root) = root() {
        add(&root, &[], &mut cgroups);
    }
    cgroups
}

fn add(directory: &Path, above: &[u64], cgroups: &mut HashMap<u64, Vec<u64>>) {
    let Ok(id) = fs::metadata(directory).map(|directory| directory.ino()) else { return };
    let ids: Vec<u64> = above.iter().copied().chain([id]).collect();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        add(&entry.path(), &ids, cgroups);
    }
    cgroups.insert(id, ids);
}
