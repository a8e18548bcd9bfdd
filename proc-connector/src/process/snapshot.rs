//! The state of a process at one moment, and the trait for reading it.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use proc_connector_core::{Args, ExitStatus, ProgramFile};

use super::identity::BootId;

/// A real and an effective id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct Ids {
    /// The real id: the owner of the process.
    pub real: u32,
    /// The effective id: used by the kernel for most permission checks.
    pub effective: u32,
}

impl Ids {
    /// The ids of an event. No task has the id -1, which the events of an anonymous recording have.
    pub(super) fn known(real: u32, effective: u32) -> Option<Self> {
        (real != u32::MAX && effective != u32::MAX).then_some(Self { real, effective })
    }
}

/// The program that a process runs, and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) args: Option<Arguments>,
    pub(super) exe: Option<PathBuf>,
    /// Recorded by the kernel at the exec.
    pub(super) program: Option<ProgramFile>,
    pub(super) filename: Option<Box<[u8]>>,
    pub(super) cwd: Option<PathBuf>,
    /// The file of `exe`, if it was read.
    pub(super) file: Option<FileId>,
}

/// The identity of a file, as `stat(2)` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) dev_major: u32,
    pub(super) dev_minor: u32,
    pub(super) ino: u64,
    pub(super) ctime_sec: i64,
    pub(super) ctime_nsec: u32,
}

/// Arguments as the kernel stores them: each ends with a zero byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) bytes: Box<[u8]>,
    pub(super) is_cut: bool,
}

impl Image {
    /// The memory that the image occupies, in bytes.
    pub(super) fn size(&self) -> usize {
        let args = self.args.as_ref().map_or(0, |args| args.bytes.len());
        let filename = self.filename.as_ref().map_or(0, |name| name.len());
        let paths = [&self.exe, &self.cwd].into_iter().flatten();
        let paths: usize = paths.map(|path| path.as_os_str().len()).sum();
        size_of::<Self>() + args + filename + paths
    }

    pub(super) fn args(&self) -> Option<Args<'_>> {
        self.args.as_ref().map(|args| Args::new(&args.bytes, args.is_cut))
    }

    /// Whether the arguments equal `recorded`, or start with `recorded` if those were cut.
    pub(super) fn continues(&self, recorded: &Arguments) -> bool {
        self.args.as_ref().is_some_and(|args| {
            args.bytes == recorded.bytes
                || (recorded.is_cut && args.bytes.starts_with(&recorded.bytes))
        })
    }

    /// Whether the kernel recorded this program, and `read` from `/proc` shows no other: `/proc` cuts
    /// arguments earlier, and marks a file that was removed since.
    pub(super) fn is_shown_by(&self, read: &Self) -> bool {
        self.program.is_some() && self.has_path_of(read) && self.has_args_of(read)
    }

    fn has_path_of(&self, read: &Self) -> bool {
        let (Some(recorded), Some(read)) = (&self.exe, &read.exe) else { return true };
        let [recorded, read] = [recorded, read].map(|path| path.as_os_str().as_encoded_bytes());
        read == recorded || read.strip_suffix(b" (deleted)") == Some(recorded)
    }

    fn has_args_of(&self, read: &Self) -> bool {
        let (Some(recorded), Some(read)) = (&self.args, &read.args) else { return true };
        recorded.bytes == read.bytes
            || (recorded.is_cut && read.bytes.starts_with(&recorded.bytes))
            || (read.is_cut && recorded.bytes.starts_with(&read.bytes))
    }
}

bitflags::bitflags! {
    /// What to read besides `/proc/PID/stat`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Fields: u8 {
        /// Arguments and executable.
        const IMAGE = 1;
        /// User and group ids.
        const IDS = 1 << 1;
        const CGROUP = 1 << 2;
        const THREADS = 1 << 3;
        /// The identity of the executable.
        const FILE = 1 << 4;
        /// What the process does after everything else was read.
        const ACTIVITY = 1 << 5;
        /// What a scan reads.
        const ALL = Self::IMAGE.bits() | Self::IDS.bits() | Self::CGROUP.bits() | Self::THREADS.bits();
    }
}

/// The state of one process.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// `CLOCK_MONOTONIC` before the first read, in nanoseconds.
    pub(super) seen_ns: u64,
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) boottime_offset_ns: u64,
    pub(super) start_ticks: u64,
    pub(super) parent: Option<u32>,
    pub(super) session: u32,
    pub(super) is_kernel_thread: bool,
    pub(super) comm: Vec<u8>,
    /// `Ok` while the first thread runs. The exit status in `Err` is a placeholder: `/proc` does
    /// not show it.
    pub(super) first: Result<(), ExitStatus>,
    /// Whether any thread runs.
    pub(super) is_alive: bool,
    /// The ids of all threads but the first, if requested.
    pub(super) others: Option<Vec<u32>>,
    pub(super) image: Option<Image>,
    pub(super) uid: Option<Ids>,
    pub(super) gid: Option<Ids>,
    pub(super) cgroup: Option<Cgroup>,
    /// If requested.
    pub(super) activity: Option<Activity>,
}

/// What the first thread of a process did at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// `CLOCK_MONOTONIC` after the read, in nanoseconds.
    pub(super) read_ns: u64,
    /// Whether the process has visibly replaced the arguments of its exec.
    pub(super) has_other_args: bool,
    /// Whether the process had executed a program since its creation, before anything was read.
    pub(super) has_executed: bool,
    /// Whether the thread waits for something that is not part of an exec.
    pub(super) is_idle: bool,
    /// The CPU time of all threads, in ticks.
    pub(super) cpu_ticks: u64,
}

/// The cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    /// From the root of its hierarchy, or of this process's cgroup namespace.
    pub(super) path: PathBuf,
    /// Whether all processes with the same cgroup id have this path: only the hierarchy of version
    /// 2 determines it.
    pub(super) id_determines_path: bool,
}

/// Why a process could not be read. Only `Gone` proves anything about the process.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is read"))]
pub(super) enum ReadError {
    /// No process has this id.
    Gone,
    /// The process exists, but reading it is not permitted or failed for a reason that concerns
    /// only this process.
    Unreadable,
    /// No process can be read at the moment, for example because too many files are open.
    Failed(io::Error),
}

/// Reads the processes that exist now: from `/proc`, or from a simulated machine in tests.
pub(super) trait SnapshotSource: Debug + Send + Sync {
    /// The ids of all processes, zombies included.
    fn list(&self) -> io::Result<Vec<u32>>;

    /// Reads the process that has this id now.
    fn read(&self, tgid: u32, fields: Fields) -> Result<Snapshot, ReadError>;

    /// The id of the version 2 cgroup with this path.
    fn cgroup_id(&self, path: &Path) -> Option<u64>;

    /// The boot id of the kernel.
    fn boot_id(&self) -> Option<BootId>;

    /// The tick in which a process was created, as [`Snapshot::start_ticks`]. The argument is in
    /// nanoseconds of `CLOCK_BOOTTIME`.
    fn ticks(&self, start_boottime_ns: u64) -> u64;

    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    fn boottime_offset_ns(&self) -> u64;

    /// `CLOCK_MONOTONIC`, in nanoseconds.
    fn now_ns(&self) -> u64;

    /// Whether this machine is read now, and not a recording.
    fn is_live(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::process) const PROGRAM: ProgramFile = ProgramFile {
        dev_major: 8,
        dev_minor: 1,
        ino: 77,
        ctime_sec: 5,
        ctime_nsec: 6,
        nlink: 1,
        is_deleted: false,
        is_memfd: false,
    };

    fn image(exe: &str, args: &str, is_cut: bool) -> Image {
        let args = Some(Arguments { bytes: args.as_bytes().into(), is_cut });
        Image { exe: Some(exe.into()), args, ..Image::default() }
    }

    #[test]
    fn a_reading_of_the_same_exec_may_show_less() {
        let recorded = Image { program: Some(PROGRAM), ..image("/bin/ls", "ls\0-l\0", false) };
        for (read, is_shown) in [
            (image("/bin/ls", "ls\0-l\0", false), true),
            (image("/bin/ls (deleted)", "ls\0-l\0", false), true),
            (image("/bin/ls", "ls\0-", true), true),
            (Image { args: None, ..image("/bin/ls", "", false) }, true),
            (Image { exe: None, ..image("", "ls\0-l\0", false) }, true),
            (image("/bin/ls", "ls\0-", false), false),
            (image("/bin/ls", "ls\0-a\0", false), false),
            (image("/bin/cat", "ls\0-l\0", false), false),
        ] {
            assert_eq!(recorded.is_shown_by(&read), is_shown, "{read:?}");
        }
        // The kernel recorded nothing but the arguments.
        let other = image("/bin/ls", "ls\0-l\0", false);
        assert!(!other.is_shown_by(&other));
    }
}
