//! Reading `/proc`: one directory opened for a process, and all files relative to it, so that they are
//! all of the same process.

mod cgroup_lines;
mod cgroup_mounts;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use proc_connector_core::ExitStatus;

use self::cgroup_lines::membership;
use self::cgroup_mounts::Mounts;
use super::facts::{Arguments, Cgroup, FactSource, Facts, Ids, Image, Unread, Wants};
use super::time::TICK_NS;
use crate::live::host::proc_mount;
use crate::live::host::time_namespace::{self, Offsets};
use crate::sys::{ProcDir, exists};

/// More than `stat` and the path of a program have, and `status` up to its ids, and one byte more than is
/// kept of the arguments, which shows whether there are more.
const ENOUGH: usize = ARGUMENTS + 1;

/// Bytes of arguments that are kept.
const ARGUMENTS: usize = 4096;

/// More than `/proc/PID/cgroup` has: a path of up to a page for each of some dozen hierarchies.
const CGROUPS: u64 = 1 << 20;

/// More than a machine with very many mounts has.
const MOUNTS: u64 = 64 << 20;

/// `PF_KTHREAD` of the kernel's `sched.h`, which `/proc/PID/stat` shows among the flags.
const PF_KTHREAD: u32 = 0x0020_0000;

/// This machine's `/proc`, as it was mounted when the table was made.
#[derive(Debug)]
struct ProcFs {
    root: ProcDir,
    /// How far the clock of the times in it is ahead of the kernel's.
    offsets: Offsets,
    mounts: Mounts,
}

/// Opens the `/proc` of this machine as a source of facts.
pub(super) fn open() -> io::Result<Box<dyn FactSource>> {
    Ok(Box::new(ProcFs::open()?))
}

impl ProcFs {
    /// Opens `/proc`, if its processes are those of the events, and its times can be understood.
    fn open() -> io::Result<Self> {
        let root = proc_mount::open()?;
        let offsets = time_namespace::offsets()?;
        // Without it, ids of cgroups are not used.
        let mounts = root.directory(c"self").and_then(|own| own.read_all(c"mountinfo", MOUNTS));
        let mounts = Mounts::parse(&mounts.unwrap_or_default());
        Ok(Self { root, offsets, mounts })
    }

    fn facts(&self, tgid: u32, wants: Wants) -> io::Result<Facts> {
        let seen_ns = self.now_ns();
        let folder = self.root.process(tgid)?;
        let mut buffer = [0; ENOUGH];
        let stat = Stat::parse(folder.read(c"stat", &mut buffer)?);
        let stat = stat.ok_or(io::ErrorKind::InvalidData)?;
        // A first thread that has ended stays until the others have, and then for its parent.
        let has_ended = matches!(stat.state, b'Z' | b'X' | b'x');
        let num_threads = stat.num_threads;
        let mut facts = Facts {
            seen_ns,
            offset_ns: self.offset_ns(),
            start_ticks: initial_ticks(stat.start_ticks, self.offsets.boottime_ns),
            parent: Some(stat.ppid).filter(|&parent| parent != 0),
            session: stat.session,
            is_kernel_thread: stat.flags & PF_KTHREAD != 0,
            first: if has_ended { Err(ExitStatus::from_raw(0)) } else { Ok(()) },
            is_alive: !has_ended || num_threads > 1,
            others: None,
            image: None,
            uid: None,
            gid: None,
            cgroup: None,
            comm: stat.comm.to_vec(),
        };
        if facts.comm.contains(&b'\\') {
            // Some kernels write such and line feeds as escapes there.
            if let Ok(comm) = folder.read(c"comm", &mut buffer) {
                facts.comm = comm.strip_suffix(b"\n").unwrap_or(comm).to_vec();
            }
        }
        if wants.contains(Wants::THREADS) {
            facts.others = others(&folder, tgid, num_threads);
        }
        if wants.contains(Wants::IMAGE) && !facts.is_kernel_thread {
            facts.image = image(&folder, &mut buffer);
        }
        if wants.contains(Wants::CGROUP) {
            let lines = folder.read_all(c"cgroup", CGROUPS).unwrap_or_default();
            facts.cgroup = membership(&lines, has_ended).map(|found| Cgroup {
                path: Path::new(OsStr::from_bytes(found.path)).to_owned(),
                is_by_id: found.is_by_unified,
            });
        }
        if wants.contains(Wants::IDS) {
            let status = folder.read(c"status", &mut buffer).unwrap_or_default();
            facts.uid = ids(status, b"Uid:");
            facts.gid = ids(status, b"Gid:");
        }
        Ok(facts)
    }
}

impl FactSource for ProcFs {
    fn list(&self) -> io::Result<Vec<u32>> {
        self.root.numbers(c".")
    }

    fn read(&self, tgid: u32, wants: Wants) -> Result<Facts, Unread> {
        self.facts(tgid, wants).map_err(|error| match error.raw_os_error() {
            // With `hidepid`, other users' processes seem not to exist.
            Some(libc::ENOENT | libc::ESRCH) if !exists(tgid) => Unread::Gone,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Unread::Failed(error),
            _ => Unread::Unreadable,
        })
    }

    fn cgroup_id(&self, path: &Path) -> Option<u64> {
        self.mounts.id(path)
    }

    fn offset_ns(&self) -> u64 {
        let now_ns = self.now_ns();
        time_namespace::boottime_ns().saturating_sub(now_ns)
    }

    fn now_ns(&self) -> u64 {
        time_namespace::monotonic_ns()
    }
}

/// A time of `/proc` by the clock of the initial time namespace: the tick in which the process was
/// made, or one before that where the offset is not whole ticks.
///
/// The kernel adds nanoseconds without a sign, and so wraps around where a namespace's clock has
/// started after the process.
fn initial_ticks(ticks: u64, offset_ns: i64) -> u64 {
    let ns = ticks.wrapping_mul(TICK_NS).wrapping_add_signed(offset_ns.wrapping_neg());
    let is_before_the_start = ns > u64::MAX / 2;
    if is_before_the_start { 0 } else { ns / TICK_NS }
}

/// The threads but the first.
fn others(folder: &ProcDir, tgid: u32, num_threads: u32) -> Option<Vec<u32>> {
    if num_threads <= 1 {
        return Some(Vec::new());
    }
    let mut threads = folder.numbers(c"task").ok()?;
    threads.retain(|&pid| pid != tgid);
    Some(threads)
}

fn image(folder: &ProcDir, buffer: &mut [u8; ENOUGH]) -> Option<Image> {
    let exe = folder.read_link(c"exe", buffer).ok();
    let exe = exe.map(|path| PathBuf::from(OsStr::from_bytes(path)));
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

#[cfg(test)]
mod tests {
    use std::os::linux::fs::MetadataExt;

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
    fn times_are_counted_from_the_start_of_the_machine() {
        let second = 1_000_000_000;
        assert_eq!(initial_ticks(10_500, 0), 10_500);
        assert_eq!(initial_ticks(10_500, 5 * second), 10_000);
        assert_eq!(initial_ticks(10_500, -5 * second), 11_000);
        // A process never seems to be younger than it is.
        assert_eq!(initial_ticks(10_500, 5 * second + 1), 9_999);
        assert_eq!(initial_ticks(10_500, -5 * second - 1), 11_000);
        assert_eq!(initial_ticks(7, 5 * second), 0);
        // Made 3 s after the machine's start, and 2 s before that of the clock.
        let wrapped = 0_u64.wrapping_add_signed(3 * second - 5 * second) / TICK_NS;
        assert!((299..=300).contains(&initial_ticks(wrapped, -5 * second)));
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
        let proc = ProcFs::open().expect("/proc");
        let facts = proc.read(std::process::id(), Wants::all()).expect("this process");
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
