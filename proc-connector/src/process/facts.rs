//! What can be found out about a process at a moment, and who is asked for it.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use proc_connector_core::{Args, ExitStatus};

/// A real and an effective id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct Ids {
    /// Who it is.
    pub real: u32,
    /// Whose rights it has.
    pub effective: u32,
}

/// The program that a process runs, and how it was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) args: Option<Arguments>,
    pub(super) exe: Option<PathBuf>,
}

/// The arguments as the kernel keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) bytes: Box<[u8]>,
    pub(super) is_cut: bool,
}

impl Image {
    pub(super) fn args(&self) -> Option<Args<'_>> {
        self.args.as_ref().map(|args| Args::new(&args.bytes, args.is_cut))
    }

    pub(super) fn exe(&self) -> Option<&Path> {
        self.exe.as_deref()
    }

    /// Whether its arguments are the given ones, or go on where those were cut.
    pub(super) fn continues(&self, noted: &Arguments) -> bool {
        self.args.as_ref().is_some_and(|args| {
            args.bytes == noted.bytes || (noted.is_cut && args.bytes.starts_with(&noted.bytes))
        })
    }
}

bitflags::bitflags! {
    /// What to find out besides what `/proc/PID/stat` says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Wants: u8 {
        /// Arguments and the program's file.
        const IMAGE = 1;
        /// Users and groups.
        const IDS = 1 << 1;
        const CGROUP = 1 << 2;
        const THREADS = 1 << 3;
    }
}

/// What was found out, all of it about one process.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The clock of time stamps before anything was read.
    pub(super) seen_ns: u64,
    /// How far `CLOCK_BOOTTIME` is ahead of that.
    pub(super) offset_ns: u64,
    pub(super) start_ticks: u64,
    pub(super) parent: Option<u32>,
    pub(super) session: u32,
    pub(super) is_kernel_thread: bool,
    pub(super) comm: Vec<u8>,
    /// Whether the first thread runs. How it ended is not known here.
    pub(super) first: Result<(), ExitStatus>,
    /// Whether any thread runs.
    pub(super) is_alive: bool,
    /// The ids of the other threads, if wanted.
    pub(super) others: Option<Vec<u32>>,
    pub(super) image: Option<Image>,
    pub(super) uid: Option<Ids>,
    pub(super) gid: Option<Ids>,
    pub(super) cgroup: Option<Cgroup>,
}

/// The cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    pub(super) path: PathBuf,
    /// Whether every process with the same cgroup id has this path.
    pub(super) is_by_id: bool,
}

/// Why nothing was found out about a process. Only the first says anything about it.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is read"))]
pub(super) enum Unread {
    /// No process has this id.
    Gone,
    /// There is one, of which this process may see nothing, or something failed that concerns it
    /// alone.
    Unreadable,
    /// This process cannot look at any process now: it has too many files open, say.
    Failed(io::Error),
}

/// Who knows the processes of now: `/proc`, or a machine of a test.
pub(super) trait FactSource: Debug + Send + Sync {
    /// The processes, those that have ended but were not waited for included.
    fn list(&self) -> io::Result<Vec<u32>>;

    /// What can be found out of the one that has this id now.
    fn read(&self, tgid: u32, wants: Wants) -> Result<Facts, Unread>;

    /// The id of the cgroup of version 2 that has this path.
    fn cgroup_id(&self, path: &Path) -> Option<u64>;

    /// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`, in nanoseconds.
    fn offset_ns(&self) -> u64;

    /// `CLOCK_MONOTONIC`, in nanoseconds.
    fn now_ns(&self) -> u64;
}
