//! The mounts of cgroup hierarchies.

use std::path::{Path, PathBuf};

/// A mount of a cgroup hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mount<'a> {
    /// The cgroup at the mount point.
    root: &'a str,
    pub(super) place: &'a str,
    pub(super) is_version_2: bool,
}

/// The mounts of cgroup hierarchies in `/proc/PID/mountinfo`.
pub(super) fn mounts(mountinfo: &str) -> Vec<Mount<'_>> {
    mountinfo.lines().filter_map(Mount::parse).collect()
}

impl<'a> Mount<'a> {
    /// Parses a line that describes a cgroup mount of either version.
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let kind = kind.split(' ').next()?;
        if !["cgroup", "cgroup2"].contains(&kind) {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        Some(Self { root, place, is_version_2: kind == "cgroup2" })
    }

    /// The directory of a cgroup. `None` if it lies outside of this mount.
    pub(super) fn directory(self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(self.root.trim_end_matches('/'));
        let below = below.filter(|below| below.is_empty() || below.starts_with('/'))?;
        Some(Path::new(self.place).join(below.trim_start_matches('/')))
    }

    /// Whether a cgroup exists below this mount, or lies outside of it.
    pub(super) fn may_contain(self, path: &str) -> bool {
        self.directory(path).is_none_or(|directory| directory.is_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::Mount;

    #[test]
    fn mounts_of_cgroups_are_found_among_others() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        let v1 = "35 31 0:30 /docker/1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu";
        let mount = |root, place, is_version_2| Some(Mount { root, place, is_version_2 });
        assert_eq!(Mount::parse(v2), mount("/", "/sys/fs/cgroup", true));
        assert_eq!(Mount::parse(v1), mount("/docker/1", "/sys/fs/cgroup/cpu,cpuacct", false));
        for other in ["31 30 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro", "", "a - cgroup"] {
            assert_eq!(Mount::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_cgroup_outside_of_the_mount_may_exist() {
        let mount = Mount { root: "/docker/1", place: "/proc/self", is_version_2: true };
        for (path, may) in [
            ("/docker/1", true),
            ("/docker/1/fd", true),
            ("/docker/1/fd/", true),
            ("/docker/1/none", false),
            ("/docker/10", true),
            ("/elsewhere", true),
        ] {
            assert_eq!(mount.may_contain(path), may, "{path}");
        }
    }
}
