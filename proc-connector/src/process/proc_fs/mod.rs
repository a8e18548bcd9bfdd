//! Reads `/proc`. All files of a process are opened relative to one open directory, so they all
//! belong to the same process.

mod cgroup_lines;

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use proc_connector_core::ExitStatus;

use self::cgroup_lines::find_cgroup;
use super::identity::BootId;
use super::snapshot::{
    Activity, Arguments, Fields, FileId, Ids, Image, ReadError, Snapshot, SnapshotSource,
};
use super::time::Start;
use crate::live::host::cgroup_mounts::Mounts;
use crate::live::host::proc_mount;
use crate::live::host::stat::{self, Stat};
use crate::live::host::time_namespace::{self, Offsets};
use crate::sys::{ProcDir, exists};

/// Exceeds the size of `stat`, of the path of an executable, and of `status` up to its ids. The
/// last byte detects arguments longer than [`ARGUMENTS_MAX`].
const BUFFER_LEN: usize = ARGUMENTS_MAX + 1;

/// How many bytes of the arguments are kept.
const ARGUMENTS_MAX: usize = 4096;

/// Exceeds the size of `/proc/PID/cgroup`: a path of up to a page for each of about a dozen
/// hierarchies.
const CGROUP_FILE_MAX: u64 = 1 << 20;

/// Exceeds the size of `mountinfo` on a machine with very many mounts.
const MOUNTINFO_MAX: u64 = 64 << 20;

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`, one of the flags in `/proc/PID/stat`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `PF_FORKNOEXEC`: the process has executed no program since it was created.
const PF_FORKNOEXEC: u32 = 0x40;

/// The `/proc` of this machine, as mounted when the table was created.
#[derive(Debug)]
struct ProcFs {
    root: ProcDir,
    /// The offsets of the clocks in this time namespace.
    offsets: Offsets,
    mounts: Mounts,
}

/// Opens the `/proc` of this machine.
pub(super) fn open() -> io::Result<Box<dyn SnapshotSource>> {
    Ok(Box::new(ProcFs::open()?))
}

/// The start time of the process that has this id now. `None` if it cannot be read.
pub(super) fn start(tgid: u32) -> Option<Start> {
    let offsets = time_namespace::offsets().ok()?;
    let directory = proc_mount::open().ok()?.process(tgid).ok()?;
    let mut buffer = [0; BUFFER_LEN];
    let stat = Stat::parse(directory.read(c"stat", &mut buffer).ok()?)?;
    let ticks = stat::initial_ticks(stat.start_ticks, offsets.boottime_ns);
    let mut found = Start::default();
    found.refine(ticks, boottime_offset_ns());
    Some(found)
}

/// The tick of a creation time, as [`SnapshotSource::ticks`].
pub(super) fn ticks(start_boottime_ns: u64) -> Option<u64> {
    Some(stat::ticks(start_boottime_ns, time_namespace::offsets().ok()?.boottime_ns))
}

fn boottime_offset_ns() -> u64 {
    let now_ns = time_namespace::monotonic_ns();
    time_namespace::boottime_ns().saturating_sub(now_ns)
}

impl ProcFs {
    /// Opens `/proc` if it shows the same processes as the events, with times that can be
    /// converted.
    fn open() -> io::Result<Self> {
        let root = proc_mount::open()?;
        let offsets = time_namespace::offsets()?;
        // A failure only disables the use of cgroup ids.
        let mounts =
            root.directory(c"self").and_then(|own| own.read_all(c"mountinfo", MOUNTINFO_MAX));
        let mounts = Mounts::parse(&mounts.unwrap_or_default());
        Ok(Self { root, offsets, mounts })
    }

    fn snapshot(&self, tgid: u32, fields: Fields) -> io::Result<Snapshot> {
        let seen_ns = self.now_ns();
        let directory = self.root.process(tgid)?;
        let mut buffer = [0; BUFFER_LEN];
        let line = Stat::parse(directory.read(c"stat", &mut buffer)?);
        let stat = line.ok_or(io::ErrorKind::InvalidData)?;
        // A first thread that exited remains as a zombie until all other threads exited and the
        // parent waited for the process.
        let has_ended = stat.has_ended();
        let num_threads = stat.num_threads;
        let has_executed = stat.flags & PF_FORKNOEXEC == 0;
        // A tracer can keep ended threads, too.
        let running = if has_ended { running_threads(&directory, tgid, num_threads) } else { None };
        let mut snapshot = Snapshot {
            seen_ns,
            boottime_offset_ns: self.boottime_offset_ns(),
            start_ticks: stat::initial_ticks(stat.start_ticks, self.offsets.boottime_ns),
            parent: Some(stat.ppid).filter(|&parent| parent != 0),
            session: stat.session,
            is_kernel_thread: stat.flags & PF_KTHREAD != 0,
            first: if has_ended { Err(ExitStatus::from_raw(0)) } else { Ok(()) },
            is_alive: running.as_ref().is_none_or(|running| !running.is_empty()),
            others: None,
            image: None,
            uid: None,
            gid: None,
            cgroup: None,
            activity: None,
            comm: stat.comm.to_vec(),
        };
        if snapshot.comm.contains(&b'\\') {
            // Some kernels write backslashes and line feeds as escapes in `stat`.
            if let Ok(comm) = directory.read(c"comm", &mut buffer) {
                snapshot.comm = comm.strip_suffix(b"\n").unwrap_or(comm).to_vec();
            }
        }
        if fields.contains(Fields::THREADS) {
            snapshot.others = running.or_else(|| other_threads(&directory, tgid, num_threads));
        }
        if fields.contains(Fields::IMAGE) && !snapshot.is_kernel_thread {
            snapshot.image = image(&directory, &mut buffer);
            if let Some(image) = snapshot.image.as_mut().filter(|_| fields.contains(Fields::FILE)) {
                image.file = directory.metadata(c"exe").ok().map(|file| file_id(&file));
            }
        }
        if fields.contains(Fields::CGROUP) {
            let lines = directory.read_all(c"cgroup", CGROUP_FILE_MAX).unwrap_or_default();
            snapshot.cgroup = find_cgroup(&lines, has_ended);
        }
        if fields.contains(Fields::IDS) {
            let status = directory.read(c"status", &mut buffer).unwrap_or_default();
            snapshot.uid = ids(status, b"Uid:");
            snapshot.gid = ids(status, b"Gid:");
        }
        if fields.contains(Fields::ACTIVITY) {
            let line = directory.read(c"stat", &mut buffer)?;
            let stat = Stat::parse(line).ok_or(io::ErrorKind::InvalidData)?;
            let args = snapshot.image.as_ref().and_then(|image| image.args.as_ref());
            snapshot.activity = Some(Activity {
                read_ns: self.now_ns(),
                has_other_args: args
                    .is_some_and(|args| is_overwritten(args, argument_layout(line))),
                has_executed,
                // A tracer can stop a thread during an exec (`t`). The other states are those of a
                // running thread, of a wait for a file or for memory, and of an exited thread.
                is_idle: matches!(stat.state, b'S' | b'T'),
                cpu_ticks: stat.cpu_ticks,
            });
        }
        Ok(snapshot)
    }
}

impl SnapshotSource for ProcFs {
    fn list(&self) -> io::Result<Vec<u32>> {
        self.root.numbers(c".")
    }

    fn read(&self, tgid: u32, fields: Fields) -> Result<Snapshot, ReadError> {
        self.snapshot(tgid, fields).map_err(|error| match error.raw_os_error() {
            // With `hidepid`, processes of other users seem not to exist.
            Some(libc::ENOENT | libc::ESRCH) if !exists(tgid) => ReadError::Gone,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => ReadError::Failed(error),
            _ => ReadError::Unreadable,
        })
    }

    fn cgroup_id(&self, path: &Path) -> Option<u64> {
        self.mounts.id(path)
    }

    fn boot_id(&self) -> Option<BootId> {
        let text = self.root.read_all(c"sys/kernel/random/boot_id", 64).ok()?;
        std::str::from_utf8(&text).ok()?.trim_end().parse().ok()
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        stat::ticks(start_boottime_ns, self.offsets.boottime_ns)
    }

    fn boottime_offset_ns(&self) -> u64 {
        boottime_offset_ns()
    }

    fn now_ns(&self) -> u64 {
        time_namespace::monotonic_ns()
    }
}

/// The ids of all threads but the first.
fn other_threads(directory: &ProcDir, tgid: u32, num_threads: u32) -> Option<Vec<u32>> {
    if num_threads <= 1 {
        return Some(Vec::new());
    }
    let mut threads = directory.numbers(c"task").ok()?;
    threads.retain(|&pid| pid != tgid);
    Some(threads)
}

/// The ids of all threads but the first that have not ended.
fn running_threads(directory: &ProcDir, tgid: u32, num_threads: u32) -> Option<Vec<u32>> {
    let mut threads = other_threads(directory, tgid, num_threads)?;
    threads.retain(|thread| {
        let Ok(name) = CString::new(format!("task/{thread}/stat")) else { return false };
        match directory.read(&name, &mut [0; 512]) {
            Ok(stat) => !Stat::parse(stat).is_some_and(|stat| stat.has_ended()),
            Err(error) => !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)),
        }
    });
    Some(threads)
}

fn image(directory: &ProcDir, buffer: &mut [u8; BUFFER_LEN]) -> Option<Image> {
    let exe = directory.read_link(c"exe", buffer).ok();
    let exe = exe.map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let args = directory.read(c"cmdline", buffer).ok().filter(|args| !args.is_empty());
    let args = args.map(arguments);
    (exe.is_some() || args.is_some()).then(|| Image { args, exe, ..Image::default() })
}

#[expect(clippy::cast_possible_truncation, reason = "the numbers have 32 bits, or fewer")]
#[expect(clippy::cast_sign_loss, reason = "a part of a second is positive")]
fn file_id(file: &std::fs::Metadata) -> FileId {
    // `makedev(3)`.
    let dev = file.dev();
    FileId {
        dev_major: ((dev >> 8 & 0xfff) | (dev >> 32 & 0xffff_f000)) as u32,
        dev_minor: ((dev & 0xff) | (dev >> 12 & 0xffff_ff00)) as u32,
        ino: file.ino(),
        ctime_sec: file.ctime(),
        ctime_nsec: file.ctime_nsec() as u32,
    }
}

/// Parses the start of `/proc/PID/cmdline`. The kernel ends each argument with a zero byte; if the
/// last one is missing, the read was cut short (`get_mm_cmdline` in `fs/proc/base.c`).
fn arguments(cmdline: &[u8]) -> Arguments {
    let bytes = &cmdline[..cmdline.len().min(ARGUMENTS_MAX)];
    let is_cut = bytes.len() < cmdline.len() || !bytes.ends_with(&[0]);
    Arguments { bytes: bytes.into(), is_cut }
}

/// The addresses of the arguments and of the environment in `/proc/PID/stat`: `arg_start`, `arg_end` and
/// `env_start`. `None` if this process may not read them, which the kernel shows as zero.
fn argument_layout(stat: &[u8]) -> Option<[u64; 3]> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    let mut next = || fields.next()?.parse().ok().filter(|&address| address != 0);
    Some([next()?, next()?, next()?])
}

/// Whether the process has visibly replaced the arguments of its exec. An exec stores the environment
/// directly behind the arguments. A process that writes a shorter title fills the rest with zeros; a
/// longer one continues in the environment (`get_mm_cmdline` in `fs/proc/base.c`). `prctl(2)` can move
/// the arguments.
fn is_overwritten(args: &Arguments, layout: Option<[u64; 3]>) -> bool {
    let shown = args.bytes.len();
    if args.bytes.ends_with(&[0, 0]) || (args.is_cut && shown < ARGUMENTS_MAX) {
        return true;
    }
    layout.is_some_and(|[arg_start, arg_end, env_start]| {
        let len = arg_end.saturating_sub(arg_start);
        let is_same_len = if args.is_cut { len > shown as u64 } else { len == shown as u64 };
        arg_end != env_start || !is_same_len
    })
}

/// The real and the effective id in a line of `/proc/PID/status`.
fn ids(status: &[u8], name: &[u8]) -> Option<Ids> {
    let (real, effective) = stat::ids(status, name)?;
    Some(Ids { real, effective })
}

#[cfg(test)]
mod tests {
    use std::os::linux::fs::MetadataExt;

    use super::*;

    #[test]
    fn long_arguments_are_marked_as_cut() {
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
    fn overwritten_arguments_are_noticed() {
        let fresh = Some([0x7000, 0x7006, 0x7006]);
        for (cmdline, layout, expected) in [
            (&b"ls\0-l\0"[..], fresh, false),
            // This process may not read the addresses.
            (b"ls\0-l\0", None, false),
            // A title of another length, or padded with zeros.
            (b"ls: a title\0", fresh, true),
            (b"l\0", fresh, true),
            (b"ls\0\0\0\0", fresh, true),
            (b"ls\0\0", None, true),
            // `PR_SET_MM_ARG_END`.
            (b"ls\0", Some([0x7000, 0x7003, 0x7006]), true),
            // The process ended during the read.
            (b"ls\0-", fresh, true),
        ] {
            assert_eq!(is_overwritten(&arguments(cmdline), layout), expected, "{cmdline:?}");
        }
        let long = [vec![b'a'; ARGUMENTS_MAX], vec![b'b']].concat();
        for (end, expected) in [(0x7000 + 9_000, false), (0x7000 + 100, true)] {
            assert_eq!(is_overwritten(&arguments(&long), Some([0x7000, end, end])), expected);
        }
    }

    #[test]
    fn the_snapshot_of_this_process_matches_std() {
        let proc = ProcFs::open().expect("/proc");
        let fields = Fields::ALL | Fields::ACTIVITY;
        let snapshot = proc.read(std::process::id(), fields).expect("this process");
        assert!(!snapshot.activity.expect("it was requested").has_other_args);
        let user = std::fs::metadata("/proc/self/fd").map(|fd| fd.st_uid());
        let image = snapshot.image.expect("a program");
        assert_eq!(image.exe, std::env::current_exe().ok());
        let args: Vec<u8> =
            std::env::args().flat_map(|arg| [arg.as_bytes(), &[0]].concat()).collect();
        assert_eq!(&*image.args.expect("arguments").bytes, &*args);
        assert_eq!(snapshot.parent, Some(std::os::unix::process::parent_id()));
        assert_eq!(snapshot.uid.map(|uid| uid.effective), user.ok());
        assert!(snapshot.is_alive && snapshot.first.is_ok() && !snapshot.is_kernel_thread);
        // The test harness runs each test on its own thread.
        assert!(!snapshot.others.expect("threads").is_empty());
    }
}
