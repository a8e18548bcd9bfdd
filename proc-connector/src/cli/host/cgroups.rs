//! The version 2 cgroups of this machine, by path and by container.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::mounts::{Mount, mounts};
use crate::cli::shown::shown;
use crate::cli::values;

/// How deep the search for containers goes.
const DEPTH: usize = 16;

/// The ids of the selected cgroups, if the version 2 hierarchy has each of them and no other hierarchy
/// does. Otherwise `None`: patterns and missing cgroups can match later ones, and in a hierarchy of
/// version 1 a process can be in another cgroup.
pub(crate) fn ids(selected: &[Pattern]) -> Option<Vec<u64>> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (new, old): (Vec<_>, Vec<_>) =
        mounts(&mountinfo).into_iter().partition(|mount| mount.is_version_2);
    let mut ids = Vec::new();
    for pattern in selected {
        let text = pattern.as_str();
        let find = |mounts: &[Mount<'_>]| {
            if values::is_container(text) { containers(mounts, text) } else { paths(mounts, text) }
        };
        let found = find(&new);
        if found.is_empty() || !find(&old).is_empty() {
            return None;
        }
        for path in found {
            ids.push(fs::metadata(path).ok()?.st_ino());
        }
    }
    Some(ids)
}

/// The directories of the cgroup with this path. None for a pattern, and for a path out of the cgroup
/// namespace.
fn paths(mounts: &[Mount<'_>], path: &str) -> Vec<PathBuf> {
    if path.contains(['*', '?', '[']) || path.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let directories = mounts.iter().filter_map(|mount| mount.directory(path));
    directories.filter(|directory| directory.is_dir()).collect()
}

/// The directories of the containers whose ids start with this text.
fn containers(mounts: &[Mount<'_>], start: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in mounts {
        search(Path::new(mount.place), start, DEPTH, &mut found);
    }
    found
}

/// The path of the cgroup with this id, from the root of a mounted hierarchy.
pub(crate) fn path(id: u64) -> Option<String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mounts(&mountinfo).into_iter().filter(|mount| mount.is_version_2);
    for mount in mounts {
        let place = Path::new(mount.place);
        let found = directory_with_id(place, id, DEPTH);
        if let Some(below) = found.as_deref().and_then(|found| found.strip_prefix(place).ok()) {
            return Some(shown(Path::new("/").join(below).as_os_str().as_encoded_bytes()));
        }
    }
    None
}

fn directory_with_id(directory: &Path, id: u64, depth: usize) -> Option<PathBuf> {
    if fs::metadata(directory).ok()?.st_ino() == id {
        return Some(directory.to_owned());
    }
    let depth = depth.checked_sub(1)?;
    let entries = fs::read_dir(directory).ok()?.flatten();
    let mut directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.find_map(|entry| directory_with_id(&entry.path(), id, depth))
}

fn search(directory: &Path, start: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| is_of_container(name, start)) {
            found.push(entry.path());
        } else {
            search(&entry.path(), start, depth, found);
        }
    }
}

/// Whether a cgroup is that of a container: its name is the id, possibly between the names of the
/// runtime and of the kind of unit (`docker-ID.scope`).
fn is_of_container(name: &str, start: &str) -> bool {
    let id = name.strip_suffix(".scope").unwrap_or(name);
    let id = id.rsplit(['-', ':']).next().unwrap_or(id);
    id.len() == 64 && id.starts_with(start) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::is_of_container;

    #[test]
    fn cgroups_of_containers_have_their_ids() {
        let id = "4f1c0a9e".repeat(8);
        for (name, expected) in [
            (id.clone(), true),
            (format!("docker-{id}.scope"), true),
            (format!("cri-containerd-{id}.scope"), true),
            (format!("cri-containerd:x:{id}"), true),
            (format!("{id}.mount"), false),
            (format!("{id}0"), false),
            ("4f1c0a9e4f1c".to_owned(), false),
        ] {
            assert_eq!(is_of_container(&name, "4f1c0a9e4f1c"), expected, "{name}");
        }
    }
}
