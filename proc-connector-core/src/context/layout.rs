//! The layout of a context, which the ring transport of `proc-connector` writes.
//!
//! ```text
//! IdentityHdr, of every event
//! ExtensionHdr, if the connector records the context
//!   TaskHdr
//!   UsageHdr of the thread     (Recorded::USAGE)
//!   UsageHdr of the process    (Recorded::PROCESS_USAGE)
//!   ExecHdr                    (Recorded::EXEC)
//!   arguments, file name, executable, working directory, environment
//! ```
//!
//! The lengths of the last parts are in the `ExecHdr`.

use zerocopy::byteorder::{NativeEndian, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

type Word = U32<NativeEndian>;
type Double = U64<NativeEndian>;

/// The identity of the acting process. A start of 0 was not recorded.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct IdentityHdr {
    /// Process id of the acting task.
    pub tgid: Word,
    /// Process id of its parent (`real_parent`).
    pub parent_tgid: Word,
    /// `start_boottime` of the first thread.
    pub start_boottime: Double,
    /// `start_boottime` of the parent's first thread.
    pub parent_start_boottime: Double,
    /// Of a fork: `start_boottime` of the child. Of an exit: an `ExitHdr`.
    pub detail: Double,
}

/// `IdentityHdr::detail` of an exit.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct ExitHdr {
    /// One of the constants of this type.
    pub state: Word,
    /// The wait status of the process if it is over or ending.
    pub status: Word,
}

impl ExitHdr {
    /// The state of the process was not recorded.
    pub const UNKNOWN: u32 = 0;
    /// Other threads of the process have not exited.
    pub const CONTINUES: u32 = 1;
    /// All threads of the process have exited.
    pub const OVER: u32 = 2;
    /// All threads of the process have begun to exit, and the status is final. Some may still exit.
    pub const ENDING: u32 = 3;
}

/// Introduces the parts after the identity.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct ExtensionHdr {
    /// The fields that are present: bits of [`Recorded`].
    pub recorded: Word,
    /// Not in use.
    pub reserved: Word,
}

/// The session of a task whose session is unknown. 0 is the session of kernel threads and `init`.
pub const NO_SESSION: u32 = u32::MAX;

/// The acting task.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct TaskHdr {
    /// Name of the thread.
    pub comm: [u8; 16],
    /// `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: Double,
    /// Id of the cgroup in the version 2 hierarchy.
    pub cgroup_id: Double,
    /// Process id in the upper half, thread id in the lower.
    pub pid_tgid: Double,
    /// Real group id in the upper half, real user id in the lower.
    pub uid_gid: Double,
    /// Effective group id in the upper half, effective user id in the lower.
    pub euid_egid: Double,
    /// Session id, or [`NO_SESSION`].
    pub session: Word,
    /// Controlling terminal: 12 bits of major and 20 bits of minor number; 0 without a terminal.
    pub tty: Word,
    /// `loginuid` of the audit subsystem.
    pub login_uid: Word,
    /// `sessionid` of the audit subsystem.
    pub audit_session: Word,
    /// Process id in the pid namespace of the task.
    pub ns_tgid: Word,
    /// Inode number of that pid namespace.
    pub pid_ns: Word,
    /// A number that is the same as long as the task stays in its cgroups, in all hierarchies: the
    /// address of its `css_set`.
    pub css_set: Double,
}

/// Resource usage of a thread or a process.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct UsageHdr {
    /// CPU time in nanoseconds (`sum_exec_runtime`).
    pub cpu_ns: Double,
    /// User time as the kernel samples it, in nanoseconds.
    pub utime: Double,
    /// System time as the kernel samples it, in nanoseconds.
    pub stime: Double,
    /// Voluntary context switches.
    pub nvcsw: Double,
    /// Involuntary context switches.
    pub nivcsw: Double,
    /// Page faults without I/O.
    pub min_flt: Double,
    /// Page faults with I/O.
    pub maj_flt: Double,
    /// Bytes read from storage.
    pub read_bytes: Double,
    /// Bytes written to storage.
    pub write_bytes: Double,
    /// Peak memory of the process in bytes; 0 if it was not recorded.
    pub max_rss: Double,
}

/// The program of an exec, and the lengths in bytes of the variable parts, in their order.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct ExecHdr {
    /// Inode number of the executable.
    pub ino: Double,
    /// Seconds of its change time.
    pub ctime_sec: Double,
    /// Nanoseconds of its change time.
    pub ctime_nsec: Word,
    /// Its device as the kernel stores it: 12 bits of major and 20 bits of minor number.
    pub dev: Word,
    /// Its number of links.
    pub nlink: Word,
    /// Bits of [`ExecHdr::UNHASHED`] and [`ExecHdr::ROOT`].
    pub flags: Word,
    /// Length of the arguments.
    pub args_len: Word,
    /// Length of the file name.
    pub filename_len: Word,
    /// Length of the path of the executable.
    pub exe_len: Word,
    /// Length of the path of the working directory.
    pub cwd_len: Word,
    /// Length of the environment variables.
    pub env_len: Word,
    /// Not in use.
    pub reserved: Word,
}

impl ExecHdr {
    /// The directory entry of the executable was removed.
    pub const UNHASHED: u32 = 1;
    /// The directory entry is its own parent: the file has no name in any directory.
    pub const ROOT: u32 = 1 << 1;
}

bitflags::bitflags! {
    /// The parts of a context that are present, as in [`ExtensionHdr::recorded`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Recorded: u32 {
        /// `boot_ns`.
        const BOOT_NS = 1;
        /// `cgroup_id`.
        const CGROUP_ID = 1 << 1;
        /// `pid_tgid`.
        const PID_TGID = 1 << 2;
        /// `uid_gid`.
        const UID_GID = 1 << 3;
        /// `comm`.
        const COMM = 1 << 4;
        /// The arguments.
        const ARGS = 1 << 5;
        /// The arguments are truncated.
        const ARGS_CUT = 1 << 6;
        /// `euid_egid`.
        const EUID_EGID = 1 << 7;
        /// `session`.
        const SESSION = 1 << 8;
        /// `tty`.
        const TTY = 1 << 9;
        /// `login_uid` and `audit_session`.
        const AUDIT = 1 << 10;
        /// `ns_tgid` and `pid_ns`.
        const PID_NS = 1 << 11;
        /// A [`UsageHdr`] of the thread.
        const USAGE = 1 << 12;
        /// A [`UsageHdr`] of the process.
        const PROCESS_USAGE = 1 << 13;
        /// An [`ExecHdr`].
        const EXEC = 1 << 14;
        /// `ino`, `dev`, `ctime_sec`, `ctime_nsec`, `nlink` and `flags`.
        const PROGRAM = 1 << 15;
        /// The file name.
        const FILENAME = 1 << 16;
        /// The path of the executable.
        const EXE = 1 << 17;
        /// The path of the working directory.
        const CWD = 1 << 18;
        /// The environment variables.
        const ENV = 1 << 19;
        /// `css_set`.
        const CSS_SET = 1 << 20;
    }
}

/// The context of the ring transport, split into its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) identity: &'a IdentityHdr,
    pub(super) recorded: Recorded,
    pub(super) task: Option<&'a TaskHdr>,
    pub(super) usage: Option<&'a UsageHdr>,
    pub(super) process_usage: Option<&'a UsageHdr>,
    pub(super) exec: Option<&'a ExecHdr>,
    /// The bytes after the headers.
    pub(super) tail: &'a [u8],
}
