//! Parses `/proc/PID/cgroup`, which lists the cgroup of a process in each hierarchy.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::process::container::container_depth;
use crate::process::snapshot::Cgroup;

/// Controllers whose hierarchies do not show how processes are grouped: tools mount them beside the
/// version 1 hierarchies that systemd or a container runtime uses.
const IGNORED_CONTROLLERS: [&[u8]; 6] =
    [b"net_cls", b"net_prio", b"perf_event", b"hugetlb", b"rdma", b"misc"];

/// Finds the cgroup in the lines `ID:CONTROLLERS:PATH` of a process. `has_ended`: it is a zombie.
///
/// The line of the version 2 hierarchy names no controllers; it is the only line if no version 1
/// hierarchy is mounted. On a hybrid machine, version 2 or systemd's hierarchy (`name=systemd`,
/// without controllers) groups the processes; the hierarchies of controllers count if neither
/// exists. A container runtime may use any single hierarchy, so the path with the deepest nesting
/// of containers takes precedence.
pub(super) fn find_cgroup(lines: &[u8], has_ended: bool) -> Option<Cgroup> {
    let mut lines: Vec<Line<'_>> = lines
        .split(|&byte| byte == b'\n')
        .filter_map(|line| Line::parse(line, has_ended))
        .collect();
    // Ignored controllers still count if no others exist.
    if lines.iter().any(|line| !line.is_ignored()) {
        lines.retain(|line| !line.is_ignored());
    }
    let id_determines_path = lines.iter().all(Line::is_unified);
    let has_grouping = lines.iter().any(Line::is_for_grouping);
    let preference = |line: &Line<'_>| {
        let groups = line.is_for_grouping() || !has_grouping;
        let is_below = line.path != b"/";
        (container_depth(line.path), groups, is_below, Reverse(line.rank()))
    };
    let line = lines.iter().max_by_key(|line| preference(line))?;
    Some(Cgroup { path: OsStr::from_bytes(line.path).into(), id_determines_path })
}

struct Line<'a> {
    controllers: &'a [u8],
    path: &'a [u8],
}

impl<'a> Line<'a> {
    /// A path may contain colons, but no line feed.
    fn parse(line: &'a [u8], has_ended: bool) -> Option<Self> {
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let mut line = Self { controllers, path };
        // A cgroup can be removed while it still has zombies (`proc_cgroup_show` in
        // `kernel/cgroup/cgroup.c`). For other processes, the suffix is part of the name.
        if has_ended && line.is_unified() {
            line.path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        }
        line.path.starts_with(b"/").then_some(line)
    }

    fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Version 2, or a named hierarchy without controllers.
    fn is_for_grouping(&self) -> bool {
        self.is_unified() || self.controllers.starts_with(b"name=")
    }

    fn has(&self, controller: &[u8]) -> bool {
        self.controllers.split(|&byte| byte == b',').any(|own| own == controller)
    }

    fn is_ignored(&self) -> bool {
        !self.is_unified()
            && self
                .controllers
                .split(|&byte| byte == b',')
                .all(|own| IGNORED_CONTROLLERS.contains(&own))
    }

    /// The order of preference; lower is better.
    fn rank(&self) -> usize {
        const ORDER: [&[u8]; 6] =
            [b"name=systemd", b"pids", b"memory", b"cpu", b"devices", b"freezer"];
        if self.is_unified() {
            return 0;
        }
        let place = ORDER.iter().position(|controller| self.has(controller));
        1 + place.unwrap_or(ORDER.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cgroup, find_cgroup};

    fn path(lines: &str) -> Option<String> {
        let path = find_cgroup(lines.as_bytes(), false)?.path;
        Some(path.into_os_string().into_string().expect("UTF-8"))
    }

    #[test]
    fn the_hierarchy_in_use_determines_the_cgroup() {
        let (outer, inner) = ("a1".repeat(32), "b2".repeat(32));
        let docker = format!("/docker/{outer}");
        let nested = format!("/docker/{outer}/docker/{inner}");
        let cases: &[(&str, String, Option<&str>)] = &[
            ("version 2", "0::/user.slice/a:b\n".into(), Some("/user.slice/a:b")),
            ("version 2, at the root", "0::/\n".into(), Some("/")),
            ("version 2, another namespace", "0::/../x.scope\n".into(), Some("/../x.scope")),
            (
                "hybrid, systemd in version 1",
                "4:cpu:/x\n1:name=systemd:/y\n0::/\n".into(),
                Some("/y"),
            ),
            ("hybrid, systemd in both", "1:name=systemd:/s\n0::/s\n".into(), Some("/s")),
            (
                "hybrid, the runtime uses version 1 only",
                format!(
                    "5:memory:{docker}\n1:name=systemd:{docker}\n0::/system.slice/docker.service\n"
                ),
                Some(&docker),
            ),
            (
                "hybrid, the runtime uses version 2",
                format!("5:memory:/\n1:name=systemd:/system.slice/d.service\n0::{docker}\n"),
                Some(&docker),
            ),
            (
                "hybrid, the nested runtime uses another hierarchy than the outer one",
                format!("5:pids:{nested}\n1:name=systemd:{docker}\n0::{docker}\n"),
                Some(&nested),
            ),
            (
                "version 1 with systemd",
                "12:pids:/a.slice\n4:memory:/b.slice\n1:name=systemd:/a.slice/c.service\n".into(),
                Some("/a.slice/c.service"),
            ),
            (
                "version 1 without systemd",
                "4:memory:/m\n3:pids:/p\n2:cpuset:/\n".into(),
                Some("/p"),
            ),
            ("version 1, one controller", "4:cpu,cpuacct:/x\n".into(), Some("/x")),
            (
                "hierarchies of limits do not group processes",
                "9:name=systemd:/\n4:memory:/x\n0::/\n".into(),
                Some("/"),
            ),
            ("the same without version 2", "9:name=systemd:/\n4:memory:/x\n".into(), Some("/")),
            (
                "a container in a hierarchy of limits only",
                format!("9:name=systemd:/\n4:memory:{docker}\n0::/\n"),
                Some(&docker),
            ),
            ("version 1, all at the root", "9:name=systemd:/\n4:memory:/\n".into(), Some("/")),
            (
                "the hierarchy of another service manager",
                "3:name=openrc:/sshd\n2:cpu:/\n".into(),
                Some("/sshd"),
            ),
            (
                "an ignored controller does not count",
                "1:net_cls:/vpn\n0::/a.scope\n".into(),
                Some("/a.scope"),
            ),
            (
                "an ignored controller does not count, at the root",
                "1:net_cls,net_prio:/vpn\n0::/\n".into(),
                Some("/"),
            ),
            (
                "an ignored controller counts if it is the only one",
                "1:net_cls:/vpn\n".into(),
                Some("/vpn"),
            ),
            ("a colon and spaces", "0::/a:b c:d (x)\n".into(), Some("/a:b c:d (x)")),
            (
                "a name that ends like the mark of a removed cgroup",
                "0::/a (deleted)\n".into(),
                Some("/a (deleted)"),
            ),
            ("no line feed at the end", "0::/a".into(), Some("/a")),
            ("no path", "0::\n1:cpu\n".into(), None),
            ("nothing", String::new(), None),
        ];
        for (what, lines, expected) in cases {
            assert_eq!(path(lines).as_deref(), *expected, "{what}");
        }
    }

    #[test]
    fn an_id_determines_the_path_if_version_2_alone_counts() {
        for (lines, id_determines_path) in [
            ("0::/a\n", true),
            ("1:net_cls:/\n0::/a\n", true),
            ("1:name=systemd:/a\n0::/a\n", false),
            ("4:memory:/\n0::/a\n", false),
            ("4:memory:/a\n", false),
        ] {
            let found = find_cgroup(lines.as_bytes(), false);
            assert_eq!(
                found.map(|found| found.id_determines_path),
                Some(id_determines_path),
                "{lines}"
            );
        }
    }

    #[test]
    fn the_mark_of_a_removed_cgroup_is_stripped_for_zombies() {
        let expected = Cgroup { path: "/a".into(), id_determines_path: true };
        assert_eq!(find_cgroup(b"0::/a (deleted)\n", true), Some(expected.clone()));
        assert_eq!(find_cgroup(b"0::/a\n", true), Some(expected));
    }

    #[test]
    fn a_path_longer_than_a_page_is_complete() {
        let long = "/x".repeat(3000);
        let lines = format!("9:pids:{long}\n1:name=systemd:/\n0::{long}\n");
        assert_eq!(path(&lines), Some(long));
    }
}
