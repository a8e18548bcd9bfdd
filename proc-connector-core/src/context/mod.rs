//! Context of an event: facts about the task that caused it, recorded by a BPF program.
//!
//! No kernel header defines this format. The ring transport of `proc-connector` writes it after the
//! connector message, in the host's byte order.

mod args;
#[doc(hidden)]
pub mod layout;
mod path;
mod program;
mod usage;

use zerocopy::FromBytes;
use zerocopy::byteorder::{NativeEndian, U32, U64};

pub use self::args::Args;
use self::layout::{ExitHdr, IdentityHdr, Parts, Recorded};
pub use self::path::KernelPath;
pub use self::program::ProgramFile;
pub use self::usage::Usage;
use crate::status::ExitStatus;

/// The task that caused an event, recorded in the kernel at the time of the event.
///
/// Which task it is depends on the kind of event:
///
/// | event | task |
/// |---|---|
/// | fork | the thread that called fork or clone |
/// | exec | the process, with the name of its new program |
/// | exit, coredump | the thread that ends |
/// | uid, gid, sid, comm | the thread that made the change |
/// | ptrace | the tracer |
///
/// The ring transport always records the identity of the process, and at an exit whether the process
/// is over. It records the rest if the connector was built with `context(true)`. A part is `None` if
/// it was not recorded: most parts require `CAP_PERFMON`, and some depend on the kernel. Ids are those
/// of the initial namespaces.
///
/// ```
/// use proc_connector_core::Context;
/// # use proc_connector_core::context::layout::IdentityHdr;
/// # use zerocopy::IntoBytes;
/// # let header = IdentityHdr {
/// #     tgid: 7.into(),
/// #     parent_tgid: 1.into(),
/// #     start_boottime: 5_000_000.into(),
/// #     ..IdentityHdr::default()
/// # };
/// # let bytes = header.as_bytes();
/// # let exec = 2;
///
/// // Process 7, which was created 5 ms after the machine started, executed a program. Its user was
/// // not recorded.
/// let context = Context::parse(exec, bytes).expect("the identity is complete");
/// assert_eq!((context.tgid(), context.start_boottime_ns()), (Some(7), Some(5_000_000)));
/// assert_eq!((context.parent_tgid(), context.uid()), (Some(1), None));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The kind of event, a `PROC_EVENT_*` bit.
    what: u32,
    parts: Parts<'a>,
    bytes: &'a [u8],
}

impl<'a> Context<'a> {
    /// Reads the context of an event of the kind `what`, a `PROC_EVENT_*` bit. `None` if `bytes` is
    /// too short for the parts that it announces.
    #[inline]
    pub fn parse(what: u32, bytes: &'a [u8]) -> Option<Self> {
        Some(Self { what, parts: Parts::parse(bytes)?, bytes })
    }

    /// The bytes that [`parse`](Self::parse) read.
    #[inline]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Identity. The process id and the start time together identify a process while the machine runs.
impl Context<'_> {
    /// Process id.
    #[inline]
    pub fn tgid(&self) -> Option<u32> {
        nonzero(self.parts.identity.tgid.get())
    }

    /// When the process was created, in nanoseconds of `CLOCK_BOOTTIME`: `start_boottime` of its
    /// first thread. `/proc/PID/stat` has the same value in ticks. An exec does not change it.
    #[inline]
    pub fn start_boottime_ns(&self) -> Option<u64> {
        nonzero(self.parts.identity.start_boottime.get())
    }

    /// Process id of the parent.
    #[inline]
    pub fn parent_tgid(&self) -> Option<u32> {
        nonzero(self.parts.identity.parent_tgid.get())
    }

    /// When the parent was created, in nanoseconds of `CLOCK_BOOTTIME`.
    #[inline]
    pub fn parent_start_boottime_ns(&self) -> Option<u64> {
        nonzero(self.parts.identity.parent_start_boottime.get())
    }

    /// Of the fork of a process: when the child was created, in nanoseconds of `CLOCK_BOOTTIME`.
    #[inline]
    pub fn child_start_boottime_ns(&self) -> Option<u64> {
        if self.what != proc_connector_sys::PROC_EVENT_FORK {
            return None;
        }
        nonzero(self.parts.identity.detail.get())
    }
}

/// End.
impl<'a> Context<'a> {
    /// Of an exit: whether all threads of the process have exited. More than one exit of a process
    /// can report that, because the last threads can exit at the same time.
    #[inline]
    pub fn is_over(&self) -> Option<bool> {
        match self.exit()?.state.get() {
            ExitHdr::CONTINUES | ExitHdr::ENDING => Some(false),
            ExitHdr::OVER => Some(true),
            _ => None,
        }
    }

    /// Of an exit after which no thread of the process continues: the wait status of the process.
    ///
    /// Two threads that exit at the same time both have it, and possibly only the second reports that
    /// the process [is over](Self::is_over). Neither does if a tracer keeps a thread as a zombie.
    #[inline]
    pub fn process_status(&self) -> Option<ExitStatus> {
        let exit = self.exit()?;
        let is_final = matches!(exit.state.get(), ExitHdr::OVER | ExitHdr::ENDING);
        is_final.then(|| ExitStatus::from_raw(exit.status.get()))
    }

    /// Of an exit: what the thread used.
    #[inline]
    pub fn usage(&self) -> Option<Usage> {
        self.parts.usage.map(Usage::new)
    }

    /// Of an exit with which the process [is over](Self::is_over): what all threads of the process
    /// used together, including those that exited earlier. The bytes read and written include those
    /// of the children that the process has waited for.
    #[inline]
    pub fn process_usage(&self) -> Option<Usage> {
        self.parts.process_usage.map(Usage::new)
    }

    #[inline]
    fn exit(&self) -> Option<&'a ExitHdr> {
        if self.what != proc_connector_sys::PROC_EVENT_EXIT {
            return None;
        }
        let detail: &'a U64<NativeEndian> = &self.parts.identity.detail;
        ExitHdr::ref_from_bytes(zerocopy::IntoBytes::as_bytes(detail)).ok()
    }
}

/// The acting thread.
impl<'a> Context<'a> {
    /// Thread id.
    #[inline]
    pub fn pid(&self) -> Option<u32> {
        self.task(Recorded::PID_TGID, |task| low(task.pid_tgid))
    }

    /// Name of the thread: up to 15 bytes in any encoding, without a NUL.
    #[inline]
    pub fn comm(&self) -> Option<&'a [u8]> {
        let task = self.parts.task.filter(|_| self.has(Recorded::COMM))?;
        task.comm.split(|&byte| byte == 0).next()
    }

    /// Real user id.
    #[inline]
    pub fn uid(&self) -> Option<u32> {
        self.task(Recorded::UID_GID, |task| low(task.uid_gid))
    }

    /// Real group id.
    #[inline]
    pub fn gid(&self) -> Option<u32> {
        self.task(Recorded::UID_GID, |task| high(task.uid_gid))
    }

    /// Effective user id.
    #[inline]
    pub fn euid(&self) -> Option<u32> {
        self.task(Recorded::EUID_EGID, |task| low(task.euid_egid))
    }

    /// Effective group id.
    #[inline]
    pub fn egid(&self) -> Option<u32> {
        self.task(Recorded::EUID_EGID, |task| high(task.euid_egid))
    }

    /// Id of the cgroup in the version 2 hierarchy: the inode number of its directory.
    #[inline]
    pub fn cgroup_id(&self) -> Option<u64> {
        self.task(Recorded::CGROUP_ID, |task| task.cgroup_id.get())
    }

    /// Time of the event, in nanoseconds of `CLOCK_BOOTTIME`. This clock continues while the machine
    /// is suspended.
    #[inline]
    pub fn boot_ns(&self) -> Option<u64> {
        self.task(Recorded::BOOT_NS, |task| task.boot_ns.get())
    }

    /// Session id: the process id of the session leader. 0 for kernel threads, `init`, and their
    /// descendants that have not created a session. `None` at an exit of a process that its parent
    /// has already reaped.
    #[inline]
    pub fn session(&self) -> Option<u32> {
        let session = self.task(Recorded::SESSION, |task| task.session.get());
        session.filter(|&session| session != layout::NO_SESSION)
    }

    /// Device number of the controlling terminal, as field 7 of `/proc/PID/stat`; 0 without a
    /// terminal.
    #[inline]
    pub fn tty(&self) -> Option<u32> {
        self.task(Recorded::TTY, |task| encode_dev(task.tty.get()))
    }

    /// User id of the login, which `su` and `sudo` do not change; `u32::MAX` before a login. `None`
    /// on a kernel without the audit subsystem.
    #[inline]
    pub fn login_uid(&self) -> Option<u32> {
        self.task(Recorded::AUDIT, |task| task.login_uid.get())
    }

    /// Session id of the audit subsystem; `u32::MAX` before a login.
    #[inline]
    pub fn audit_session(&self) -> Option<u32> {
        self.task(Recorded::AUDIT, |task| task.audit_session.get())
    }

    /// Process id in the task's own pid namespace.
    #[inline]
    pub fn ns_tgid(&self) -> Option<u32> {
        self.task(Recorded::PID_NS, |task| task.ns_tgid.get()).and_then(nonzero)
    }

    /// Inode number of the task's pid namespace, as in `/proc/PID/ns/pid`.
    #[inline]
    pub fn pid_ns(&self) -> Option<u32> {
        self.task(Recorded::PID_NS, |task| task.pid_ns.get()).and_then(nonzero)
    }

    #[inline]
    /// A number that changes when the task is moved to another cgroup of any hierarchy. Programs must
    /// not show it: it is an address of the kernel.
    #[doc(hidden)]
    pub fn css_set(&self) -> Option<u64> {
        self.task(Recorded::CSS_SET, |task| task.css_set.get())
    }

    fn task<T>(&self, part: Recorded, value: impl Fn(&layout::TaskHdr) -> T) -> Option<T> {
        self.parts.task.filter(|_| self.has(part)).map(value)
    }

    #[inline]
    fn has(&self, part: Recorded) -> bool {
        self.parts.recorded.contains(part)
    }
}

/// The program of an exec.
impl<'a> Context<'a> {
    /// The executable. For a script, this is the interpreter.
    pub fn program(&self) -> Option<ProgramFile> {
        self.parts.exec.filter(|_| self.has(Recorded::PROGRAM)).map(ProgramFile::new)
    }

    /// The name by which the program was executed, relative to the working directory at that time.
    /// For a script, this is the name of the script. At most 4,095 bytes.
    pub fn filename(&self) -> Option<&'a [u8]> {
        self.tail(Recorded::FILENAME)
    }

    /// The arguments.
    pub fn args(&self) -> Option<Args<'a>> {
        self.tail(Recorded::ARGS).map(|bytes| Args::new(bytes, self.has(Recorded::ARGS_CUT)))
    }

    /// The path of the executable from the root of the mount tree. For an anonymous file, such as one
    /// made by `memfd_create(2)`, this is its name.
    pub fn exe(&self) -> Option<KernelPath<'a>> {
        self.tail(Recorded::EXE).map(KernelPath::new)
    }

    /// The working directory at the exec, as a path from the root of the mount tree.
    pub fn cwd(&self) -> Option<KernelPath<'a>> {
        self.tail(Recorded::CWD).map(KernelPath::new)
    }

    /// The requested environment variables, each as `NAME=value`.
    pub fn env(&self) -> Option<Args<'a>> {
        self.tail(Recorded::ENV).map(|bytes| Args::new(bytes, false))
    }

    /// The bytes of a variable part.
    fn tail(&self, part: Recorded) -> Option<&'a [u8]> {
        let exec = self.parts.exec.filter(|_| self.has(part))?;
        let mut rest = self.parts.tail;
        for (this, len) in exec.tail_lengths() {
            let (bytes, after) = rest.split_at_checked(len.get().try_into().ok()?)?;
            if this == part {
                return Some(bytes);
            }
            rest = after;
        }
        None
    }
}

/// A number, unless it is the 0 that stands for an unknown one.
#[inline]
fn nonzero<T: Default + PartialEq>(number: T) -> Option<T> {
    (number != T::default()).then_some(number)
}

/// A device number as system calls return it (`new_encode_dev` in `include/linux/kdev_t.h`), from one
/// with 12 bits of major and 20 bits of minor number.
#[inline]
fn encode_dev(dev: u32) -> u32 {
    let (major, minor) = (dev >> 20, dev & 0xf_ffff);
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "this is the lower half")]
fn low(pair: U64<NativeEndian>) -> u32 {
    pair.get() as u32
}

#[inline]
fn high(pair: U64<NativeEndian>) -> u32 {
    (pair.get() >> 32) as u32
}

impl layout::ExecHdr {
    /// The variable parts in their order, with their lengths.
    fn tail_lengths(&self) -> [(Recorded, U32<NativeEndian>); 5] {
        [
            (Recorded::ARGS, self.args_len),
            (Recorded::FILENAME, self.filename_len),
            (Recorded::EXE, self.exe_len),
            (Recorded::CWD, self.cwd_len),
            (Recorded::ENV, self.env_len),
        ]
    }
}

impl<'a> Parts<'a> {
    #[inline]
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (identity, rest) = IdentityHdr::ref_from_prefix(bytes).ok()?;
        let mut parts = Self {
            identity,
            recorded: Recorded::empty(),
            task: None,
            usage: None,
            process_usage: None,
            exec: None,
            tail: &[],
        };
        if !rest.is_empty() {
            parts.extend(rest)?;
        }
        Some(parts)
    }

    #[inline]
    fn extend(&mut self, bytes: &'a [u8]) -> Option<()> {
        let (extension, rest) = layout::ExtensionHdr::ref_from_prefix(bytes).ok()?;
        let (task, mut rest) = layout::TaskHdr::ref_from_prefix(rest).ok()?;
        self.recorded = Recorded::from_bits_retain(extension.recorded.get());
        self.task = Some(task);
        if self.recorded.contains(Recorded::USAGE) {
            let (usage, after) = layout::UsageHdr::ref_from_prefix(rest).ok()?;
            (self.usage, rest) = (Some(usage), after);
        }
        if self.recorded.contains(Recorded::PROCESS_USAGE) {
            let (usage, after) = layout::UsageHdr::ref_from_prefix(rest).ok()?;
            (self.process_usage, rest) = (Some(usage), after);
        }
        if self.recorded.contains(Recorded::EXEC) {
            let (exec, after) = layout::ExecHdr::ref_from_prefix(rest).ok()?;
            (self.exec, rest) = (Some(exec), after);
        }
        self.tail = rest;
        Some(())
    }
}
