//! Reading `/proc`: one folder opened for a process, and all files relative to it, so that they are
//! all of the same process.

use std::io;
use std::os::linux::fs::MetadataExt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use proc_connector_core::ExitStatus;

use super::facts::{Arguments, Facts, Ids, Image, Source, Wants};
use crate::sys::{ProcDir, boottime, monotonic, process_ids};

/// More than `stat`, `status` and the path of a cgroup or program have, and one byte more than is kept
/// of the arguments, which shows whether there are more.
const ENOUGH: usize = ARGUMENTS + 1;

/// Bytes of arguments that are kept.
const ARGUMENTS: usize = 4096;

/// Where systems mount the cgroups, and those of version 2 if they have no others.
const CGROUPS: &str = "/sys/fs/cgroup";

/// `PF_KTHREAD` of the kernel's `sched.h`, which `/proc/PID/stat` shows among the flags.
const PF_KTHREAD: u32 = 0x0020_0000;

/// This machine's `/proc`.
#[derive(Debug)]
pub(super) struct ProcFs;

impl Source for ProcFs {
    fn list(&self) -> io::Result<Vec<u32>> {
        process_ids()
    }

    fn read(&self, tgid: u32, wants: Wants) -> Option<Facts> {
        let seen_ns = self.now_ns();
        let folder = ProcDir::open(tgid).ok()?;
        let mut buffer = [0; ENOUGH];
        let stat = Stat::parse(folder.read(c"stat", &mut buffer).ok()?)?;
        // A first thread that has ended stays until the others have, and then for its parent.
        let has_ended = matches!(stat.state, b'Z' | b'X' | b'x');
        let mut facts = Facts {
            seen_ns,
            offset_ns: self.offset_ns(),
            start_ticks: stat.start_ticks,
            parent: Some(stat.ppid).filter(|&parent| parent != 0),
            session: stat.session,
            is_kernel_thread: stat.flags & PF_KTHREAD != 0,
            first: if has_ended { Err(ExitStatus::from_raw(0)) } else { Ok(()) },
            is_alive: !has_ended || stat.num_threads > 1,
            others: None,
            image: None,
            uid: None,
            gid: None,
            cgroup: None,
            comm: stat.comm.to_vec(),
        };
        if wants.contains(Wants::THREADS) {
            facts.others = others(&folder, tgid, stat.num_threads);
        }
        if wants.contains(Wants::IMAGE) && !facts.is_kernel_thread {
            facts.image = image(&folder, &mut buffer);
        }
        if wants.contains(Wants::CGROUP) {
            let cgroups = folder.read(c"cgroup", &mut buffer).unwrap_or_default();
            facts.cgroup = cgroup(cgroups).map(Path::to_owned);
        }
        if wants.contains(Wants::IDS) {
            let status = folder.read(c"status", &mut buffer).unwrap_or_default();
            facts.uid = ids(status, b"Uid:");
            facts.gid = ids(status, b"Gid:");
        }
        Some(facts)
    }

    fn cgroup_id(&self, path: &Path) -> Option<u64> {
        let folder = Path::new(CGROUPS).join(path.strip_prefix("/").ok()?);
        // The id is the number of the folder's inode.
        folder.metadata().ok().map(|folder| folder.st_ino())
    }

    fn offset_ns(&self) -> u64 {
        let monotonic = monotonic();
        u64::try_from(boottime().saturating_sub(monotonic).as_nanos()).unwrap_or(u64::MAX)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The threads but the first.
fn others(folder: &ProcDir, tgid: u32, num_threads: u32) -> Option<Vec<u32>> {
    if num_threads <= 1 {
        return Some(Vec::new());
    }
    let mut threads = folder.numbers("task").ok()?;
    threads.retain(|&pid| pid != tgid);
    Some(threads)
}

fn image(folder: &ProcDir, buffer: &mut [u8; ENOUGH]) -> Option<Image> {
    let exe = folder.read_link(c"exe", buffer).ok();
    let exe = exe.map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)));
    let args = folder.read(c"cmdline", buffer).ok().filter(|args| !args.is_empty());
    let args = args.map(arguments);
    (exe.is_some() || args.is_some()).then_some(Image { args, exe })
}

/// The arguments at the start of `/proc/PID/cmdline`. The kernel ends each with a zero; without one at
/// the end the read was short (`get_mm_cmdline` in `fs/proc/base.c`).
fn arguments(cmdline: &[u8]) -> Arguments {
    let bytes = &cmdline[..cmdline.len().min(ARGUMENTS)];
    Arguments { bytes: bytes.into(), is_cut: bytes.len() < cmdline.len() || !bytes.ends_with(&[0]) }
}

/// The fields of `/proc/PID/stat` that are of use.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    comm: &'a [u8],
    state: u8,
    ppid: u32,
    session: u32,
    flags: u32,
    num_threads: u32,
    start_ticks: u64,
}

impl<'a> Stat<'a> {
    /// `PID (COMM) STATE PPID ...`, where the name may have spaces and parentheses.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let start = line.iter().position(|&byte| byte == b'(')? + 1;
        let end = line.iter().rposition(|&byte| byte == b')')?;
        let comm = line.get(start..end)?;
        let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
        // Fields as `proc(5)` counts them, of which this starts with the third.
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.bytes().next()?;
        let ppid = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let flags = fields.nth(2)?.parse().ok()?;
        let num_threads = fields.nth(10)?.parse().ok()?;
        let start_ticks = fields.nth(1)?.parse().ok()?;
        Some(Self { comm, state, ppid, session, flags, num_threads, start_ticks })
    }
}

/// The real and the effective id of a line of `/proc/PID/status`.
fn ids(status: &[u8], name: &[u8]) -> Option<Ids> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    let mut ids = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    Some(Ids { real: ids.next()?.parse().ok()?, effective: ids.next()?.parse().ok()? })
}

/// The path of a process in the hierarchy of version 2, or of version 1 in the one of systemd.
///
/// Lines are `ID:CONTROLLERS:PATH`; where both versions are in use, version 2's may be empty.
fn cgroup(lines: &[u8]) -> Option<&Path> {
    let path_in = |hierarchy: &[u8]| {
        let mut lines = lines.split(|&byte| byte == b'\n');
        lines.find_map(|line| {
            let line = &line[line.iter().position(|&byte| byte == b':')?..];
            line.strip_prefix(hierarchy)
        })
    };
    let (unified, named) = (path_in(b"::"), path_in(b":name=systemd:"));
    let path = unified.filter(|path| *path != b"/").or(named).or(unified)?;
    Some(Path::new(std::ffi::OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_its_line() {
        let line = b"42 (a) Z 1 (b) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 10500 99 100\n";
        let stat = Stat::parse(line).expect("a line of stat");
        let expected = Stat {
            comm: b"a) Z 1 (b",
            state: b'S',
            ppid: 7,
            session: 9,
            flags: 4_194_560,
            num_threads: 3,
            start_ticks: 10_500,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn lines_cut_short_are_nothing() {
        let line = b"42 (a) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 10500";
        assert!(Stat::parse(line).is_some());
        for len in 0..line.len() - "10500".len() {
            assert_eq!(Stat::parse(&line[..len]), None, "{len}");
        }
        assert_eq!(Stat::parse(b") S ("), None);
    }

    #[test]
    fn ids_are_the_first_two_of_their_line() {
        let status = b"Name:\tUid: 9\nUid:\t1000\t0\t0\t0\nGid:\t5\t6\t7\t8\n";
        assert_eq!(ids(status, b"Uid:"), Some(Ids { real: 1000, effective: 0 }));
        assert_eq!(ids(status, b"Gid:"), Some(Ids { real: 5, effective: 6 }));
        assert_eq!(ids(b"Uid:\tx\n", b"Uid:"), None);
    }

    #[test]
    fn the_hierarchy_in_use_names_the_cgroup() {
        for (lines, path) in [
            ("0::/user.slice/a:b\n", Some("/user.slice/a:b")),
            ("0::/\n", Some("/")),
            ("4:cpu:/x\n1:name=systemd:/docker/y\n0::/\n", Some("/docker/y")),
            ("4:cpu:/x\n", None),
            ("", None),
        ] {
            assert_eq!(cgroup(lines.as_bytes()), path.map(Path::new), "{lines}");
        }
    }

    #[test]
    fn arguments_are_cut_where_there_are_more() {
        for (len, is_cut) in [(1, false), (4095, false), (4096, false), (4097, true)] {
            let mut cmdline = vec![b'a'; len];
            cmdline[len - 1] = 0;
            let kept = arguments(&cmdline);
            assert_eq!((kept.bytes.len(), kept.is_cut), (len.min(4096), is_cut), "{len}");
        }
        // The process ended during the read.
        assert!(arguments(b"sh\0-").is_cut);
    }

    #[test]
    fn this_process_reads_as_the_system_says() {
        let facts = ProcFs.read(std::process::id(), Wants::all()).expect("this process");
        let user = std::fs::metadata("/proc/self/fd").map(|fd| fd.st_uid());
        let image = facts.image.expect("a program");
        assert_eq!(image.exe, std::env::current_exe().ok());
        let args: Vec<u8> =
            std::env::args().flat_map(|arg| [arg.as_bytes(), &[0]].concat()).collect();
        assert_eq!(&*image.args.expect("arguments").bytes, &*args);
        assert_eq!(facts.parent, Some(std::os::unix::process::parent_id()));
        assert_eq!(facts.uid.map(|uid| uid.effective), user.ok());
        assert!(facts.is_alive && facts.first.is_ok() && !facts.is_kernel_thread);
        // The test harness runs this on a thread of its own.
        assert!(!facts.others.expect("threads").is_empty());
    }
}
