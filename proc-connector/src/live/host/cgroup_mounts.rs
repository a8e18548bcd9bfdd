//! The mount points of the version 2 hierarchy, and the ids of cgroups below them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use crate::sys::FileSystem;

/// A mount of the version 2 hierarchy, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// The cgroup that is mounted.
    root: PathBuf,
    point: PathBuf,
}

/// All mounts of version 2: `/sys/fs/cgroup`, a directory below it on a hybrid machine, or none.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Parses `/proc/self/mountinfo`.
    pub(crate) fn parse(mountinfo: &[u8]) -> Self {
        Self(mountinfo.split(|&byte| byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// The id of the cgroup with this path: the inode number of its directory.
    pub(crate) fn id(&self, cgroup: &Path) -> Option<u64> {
        self.0.iter().filter_map(|mount| mount.directory(cgroup)).find_map(|path| {
            let mut options = OpenOptions::new();
            let options = options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY);
            let directory = options.open(path).ok()?;
            // Another file system may be mounted over it, with the same inode numbers.
            let is_cgroup = FileSystem::containing(directory.as_fd()).ok()? == FileSystem::CGROUP2;
            is_cgroup.then_some(directory.metadata().ok()?.st_ino())
        })
    }
}

impl Mount {
    /// Parses `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS`
    /// (`Documentation/filesystems/proc.rst`).
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        fields.find(|&field| field == b"-")?;
        (fields.next()? == b"cgroup2")
            .then(|| Self { root: unescape(root), point: unescape(point) })
    }

    /// The directory of a cgroup, if this mount contains it. Both paths start at the root of this
    /// process's cgroup namespace, and can contain `..`.
    fn directory(&self, cgroup: &Path) -> Option<PathBuf> {
        let below = cgroup.strip_prefix(&self.root).ok()?;
        let leads_out = below.components().any(|part| part == Component::ParentDir);
        (!leads_out).then(|| self.point.join(below))
    }
}

/// Decodes a backslash and three octal digits, as the kernel writes spaces, tabs, line feeds and
/// backslashes.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::os::linux::fs::MetadataExt;
    use std::path::Path;

    use super::Mounts;

    fn places(mountinfo: &str, cgroup: &str) -> Vec<String> {
        let mounts = Mounts::parse(mountinfo.as_bytes());
        let places = mounts.0.iter().filter_map(|mount| mount.directory(Path::new(cgroup)));
        places.map(|path| path.to_str().expect("UTF-8").to_owned()).collect()
    }

    const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw shared:1 master:2 - cgroup2 cgroup2 rw\n";
    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
    const SUBTREE: &str = "50 1 0:26 /a/b /mnt/some\\040where rw - cgroup2 none rw\n";
    const OUTSIDE: &str = "50 1 0:26 /../.. /host rw - cgroup2 none rw\n";

    #[test]
    fn the_directory_of_a_cgroup_is_below_a_version_2_mount() {
        for (mountinfo, cgroup, expected) in [
            (V2, "/", vec!["/sys/fs/cgroup/"]),
            (V2, "/a/b:c", vec!["/sys/fs/cgroup/a/b:c"]),
            (HYBRID, "/a", vec!["/sys/fs/cgroup/unified/a"]),
            (V1, "/a", vec![]),
            ("", "/a", vec![]),
            // A part of the hierarchy, mounted elsewhere.
            (SUBTREE, "/a/b/c", vec!["/mnt/some where/c"]),
            (SUBTREE, "/a/bc", vec![]),
            (SUBTREE, "/", vec![]),
            // From within a cgroup namespace.
            (V2, "/../x", vec![]),
            (OUTSIDE, "/../../x", vec!["/host/x"]),
            (OUTSIDE, "/../x", vec![]),
            (OUTSIDE, "/x", vec![]),
            (OUTSIDE, "/../../../x", vec![]),
        ] {
            assert_eq!(places(mountinfo, cgroup), expected, "{mountinfo}{cgroup}");
        }
        let both = format!("{V2}{SUBTREE}");
        assert_eq!(places(&both, "/a/b/c"), ["/sys/fs/cgroup/a/b/c", "/mnt/some where/c"]);
    }

    #[test]
    fn the_root_of_another_file_system_has_no_id() {
        // The root of a tmpfs has the same inode number as the root of the cgroup hierarchy.
        let mountinfo = "50 1 0:26 / /tmp rw - cgroup2 none rw\n";
        assert_eq!(Mounts::parse(mountinfo.as_bytes()).id(Path::new("/")), None);
    }

    #[test]
    fn the_root_has_the_inode_number_of_its_directory() {
        let mountinfo = std::fs::read("/proc/self/mountinfo").expect("/proc is mounted");
        let mounts = Mounts::parse(&mountinfo);
        let Some(root) = mounts.0.iter().find(|mount| mount.root == Path::new("/")) else { return };
        let id = std::fs::metadata(&root.point).map(|metadata| metadata.st_ino()).ok();
        assert_eq!(mounts.id(Path::new("/")), id);
        assert_eq!(mounts.id(Path::new("/no/such")), None);
    }
}
