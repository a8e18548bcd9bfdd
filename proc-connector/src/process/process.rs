//! One process: its identity, its program, its users, and its end.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use proc_connector_core::{Args, ExitStatus, ProgramFile, Usage};

use super::container::container_id;
use super::identity::{BootId, ProcessId};
use super::snapshot::{Ids, Image};
use super::stale::Stale;
use super::threads::Threads;
use super::time::Start;

/// A process with all of its threads.
///
/// A value that could not be determined is `None`; it is never the value of another process.
///
/// ```
/// use proc_connector::process::{Process, ProcessTable};
///
/// fn describe(process: &Process) -> String {
///     let user = process.uid().map_or("?".to_owned(), |uid| uid.effective.to_string());
///     let command = process.exe().map_or("?".into(), |exe| exe.to_string_lossy());
///     format!("{} {user} {command}", process.tgid())
/// }
///
/// # use proc_connector::Received;
/// # use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: 7, child_tgid: 7 };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("the datagram has an event")
/// # };
/// # let received = Received::Event(event);
/// // Process 1 has created process 7. Its user and its program are not in the event.
/// let mut table = ProcessTable::without_proc();
/// table.apply(&received);
/// let process = table.get(7).expect("it is running");
/// assert_eq!(describe(process), "7 ? ?");
/// assert!(process.is_alive() && process.exit_status().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Process {
    pub(super) serial: u64,
    pub(super) tgid: u32,
    pub(super) boot_id: Option<BootId>,
    /// The creation time as the kernel records it at each event.
    pub(super) start_boottime_ns: Option<u64>,
    pub(super) start: Start,
    pub(super) parent: Option<u32>,
    /// The serial of the creator, or else of the parent.
    pub(super) above: Option<u64>,
    /// Whether `above` is certainly the creator.
    pub(super) is_creator_certain: bool,
    pub(super) threads: Threads,
    pub(super) comm: Option<Name>,
    pub(super) image: Option<Arc<Image>>,
    pub(super) uid: Option<Ids>,
    pub(super) gid: Option<Ids>,
    pub(super) session: Option<u32>,
    pub(super) cgroup: Option<Arc<Path>>,
    /// What the kernel recorded of the cgroups of all hierarchies when `cgroup` was determined.
    pub(super) css_set: Option<u64>,
    pub(super) tty: Option<u32>,
    pub(super) login_uid: Option<u32>,
    pub(super) audit_session: Option<u32>,
    /// The id in the pid namespace, and the inode number of that namespace.
    pub(super) in_namespace: Option<(u32, u32)>,
    pub(super) is_kernel_thread: bool,
    pub(super) execs: Option<u32>,
    pub(super) end: Option<End>,
    /// When `/proc` was last read, in nanoseconds of `CLOCK_MONOTONIC`: earlier events are already
    /// included.
    pub(super) seen_ns: u64,
    /// When a value that a child inherits was last read from `/proc`: an earlier fork may have
    /// copied other values.
    pub(super) read_ns: u64,
    /// The time of the last exec.
    pub(super) exec_ns: u64,
    /// Values that are not shown.
    pub(super) stale: Stale,
    /// The process whose program is being read, if this one has the same program.
    pub(super) awaits: Option<u32>,
    /// Whether the id was reused before the exit of its previous owner was reported.
    pub(super) predecessor_exit_pending: bool,
}

/// When and how a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) ns: u64,
    pub(super) status: Option<ExitStatus>,
    pub(super) usage: Option<Usage>,
}

/// The name of a thread: up to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; 16],
    len: u8,
}

impl Name {
    pub(super) fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let len = name.len().min(bytes.len());
        bytes[..len].copy_from_slice(&name[..len]);
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        Self { bytes, len: len as u8 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.bytes()).fmt(f)
    }
}

impl Process {
    /// The memory that the process occupies, in bytes, including all values that it shares.
    pub(super) fn size(&self) -> usize {
        let image = self.image.as_deref().map_or(0, Image::size);
        let cgroup = self.cgroup.as_deref().map_or(0, |path| path.as_os_str().len());
        size_of::<Self>() + self.threads.size() + image + cgroup
    }
}

/// Identity.
impl Process {
    /// A number that is unique among all processes of this table.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The identity of the process, unique for ever. `None` if the kernel recorded no identity in an
    /// event of the process, or the [boot id](super::ProcessTable::with_boot_id) is unknown.
    pub fn id(&self) -> Option<ProcessId> {
        let (boot_id, start_boottime_ns) = (self.boot_id?, self.start_boottime_ns?);
        Some(ProcessId { boot_id, tgid: self.tgid, start_boottime_ns })
    }

    /// The process id. It can be reused after the process ended.
    pub fn tgid(&self) -> u32 {
        self.tgid
    }

    /// The creation time, in nanoseconds of `CLOCK_MONOTONIC`: the time stamp of the fork, or the
    /// start time in `/proc` with a resolution of 10 ms. Process id and creation time together
    /// identify a process.
    pub fn start_ns(&self) -> Option<u64> {
        self.start.monotonic_ns()
    }

    /// The creation time in nanoseconds of `CLOCK_BOOTTIME`, if the kernel recorded it in an event of
    /// the process. The ring transport records it in every event.
    pub fn start_boottime_ns(&self) -> Option<u64> {
        self.start_boottime_ns
    }

    /// The process id of the parent: the process that created this one, or the one that adopted it.
    /// When the parent ends, the new parent is unknown until the next event of this process.
    pub fn parent(&self) -> Option<u32> {
        self.parent.filter(|_| !self.stale.contains(Stale::PARENT))
    }

    /// The [serial](Self::serial) of the process that created this one, if that is certain.
    ///
    /// The ring transport records it. Over the socket transport, an event has only the parent, which is
    /// not the creator if that used `CLONE_PARENT`. The creator is then known only if the parent had no
    /// other child that could have done so.
    pub fn creator(&self) -> Option<u64> {
        self.above.filter(|_| self.is_creator_certain)
    }

    /// The [serial](Self::serial) of the process below which this one belongs in a tree of processes: its
    /// creator if that is certain, or else its parent when the table first knew it.
    pub fn tree_parent(&self) -> Option<u64> {
        self.above
    }

    /// The number of threads; 0 after the end.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Whether this is a kernel thread, which runs no program.
    pub fn is_kernel_thread(&self) -> bool {
        self.is_kernel_thread
    }
}

impl Process {
    fn shown_image(&self) -> Option<&Image> {
        self.image.as_deref().filter(|_| !self.stale.contains(Stale::PROGRAM))
    }

    /// Whether the process has certainly executed a program.
    pub(super) fn has_executed(&self) -> bool {
        self.exec_ns != 0
    }
}

/// Program.
impl Process {
    /// The name of the first thread: up to 15 bytes of any value except zero.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.as_ref().filter(|_| !self.stale.contains(Stale::NAME)).map(Name::bytes)
    }

    /// The arguments of the last exec, or the parent's if the process executed no program.
    ///
    /// If the kernel did not record them, they are those in `/proc` when it was read. The program may
    /// have overwritten them in place. For a process that existed before the table, they are what `/proc`
    /// shows, also if that is a title that the process has set.
    pub fn args(&self) -> Option<Args<'_>> {
        self.shown_image()?.args()
    }

    /// The number of programs that the process has executed since its creation. `None` if its
    /// creation was not in the stream, or events were lost since.
    pub fn execs(&self) -> Option<u32> {
        self.execs
    }

    /// The time of the last exec in the stream, in nanoseconds of `CLOCK_MONOTONIC`. `None` if the
    /// stream had none.
    pub fn exec_ns(&self) -> Option<u64> {
        Some(self.exec_ns).filter(|&ns| ns != 0)
    }

    /// The file of the executable, recorded by the kernel at the exec. For a script, this is the
    /// interpreter.
    pub fn program(&self) -> Option<ProgramFile> {
        self.shown_image()?.program
    }

    /// The name by which the program was executed, recorded by the kernel at the exec. It is
    /// relative to the [working directory](Self::cwd) at that time. For a script, this is the name of
    /// the script.
    pub fn filename(&self) -> Option<&[u8]> {
        self.shown_image()?.filename.as_deref()
    }

    /// The working directory at the last exec, if the kernel recorded it.
    pub fn cwd(&self) -> Option<&Path> {
        self.shown_image()?.cwd.as_deref()
    }

    /// The path of the executable, as the kernel reports it: with ` (deleted)` appended if the file
    /// was removed or replaced before the path was read.
    pub fn exe(&self) -> Option<&Path> {
        self.shown_image()?.exe.as_deref()
    }
}

/// Users and groups. Ids are those of the initial namespaces.
impl Process {
    /// The real and effective user id.
    pub fn uid(&self) -> Option<Ids> {
        self.uid.filter(|_| !self.stale.contains(Stale::USER))
    }

    /// The real and effective group id.
    pub fn gid(&self) -> Option<Ids> {
        self.gid.filter(|_| !self.stale.contains(Stale::GROUP))
    }

    /// The session id: the process id of the session leader.
    pub fn session(&self) -> Option<u32> {
        self.session.filter(|_| !self.stale.contains(Stale::SESSION))
    }

    /// The user id of the login, which `su` and `sudo` do not change; `u32::MAX` before a login.
    pub fn login_uid(&self) -> Option<u32> {
        self.login_uid.filter(|_| !self.stale.contains(Stale::LOGIN))
    }

    /// The session id of the audit subsystem; `u32::MAX` before a login.
    pub fn audit_session(&self) -> Option<u32> {
        self.audit_session.filter(|_| !self.stale.contains(Stale::LOGIN))
    }

    /// The device number of the controlling terminal, as in `/proc/PID/stat`; 0 without a terminal.
    /// No event reports a change: this is the terminal at the last exec, or else at the fork.
    pub fn tty(&self) -> Option<u32> {
        self.tty.filter(|_| !self.stale.contains(Stale::LOGIN))
    }

    /// The process id in the process's own pid namespace.
    pub fn ns_tgid(&self) -> Option<u32> {
        Some(self.in_namespace?.0)
    }

    /// The inode number of the process's pid namespace, as in `/proc/PID/ns/pid`.
    pub fn pid_ns(&self) -> Option<u32> {
        Some(self.in_namespace?.1)
    }

    /// The cgroup, as a path from the root of its hierarchy or of the reading process's cgroup
    /// namespace. The path is updated when the process executes a program and when `/proc` is read;
    /// no event reports a move.
    ///
    /// On a machine with hierarchies of version 1, this is the path in version 2, or in systemd's
    /// hierarchy if the former is the root, or in the hierarchies of the controllers if neither
    /// exists. A hierarchy in which the process is in a container takes precedence.
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    /// The container id in the path of the cgroup, as container runtimes write it: 64 hexadecimal
    /// digits. For nested containers, this is the innermost one. A container's monitor (`conmon`)
    /// is outside of its container.
    pub fn container(&self) -> Option<&str> {
        container_id(self.cgroup()?.as_os_str().as_encoded_bytes())
    }
}

/// End.
impl Process {
    /// Whether any thread runs.
    pub fn is_alive(&self) -> bool {
        self.end.is_none()
    }

    /// When the process ended, in nanoseconds of `CLOCK_MONOTONIC`. If no event reported the end,
    /// the time at which it was noticed.
    pub fn end_ns(&self) -> Option<u64> {
        self.end.map(|end| end.ns)
    }

    /// The exit status, if it was reported: that which `wait(2)` returns to the parent.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.end?.status
    }

    /// The resources that all threads of the process used, from creation to end. `None` before the
    /// end, or if the kernel did not record it.
    pub fn usage(&self) -> Option<Usage> {
        self.end?.usage
    }

    /// The time from creation to end, in nanoseconds.
    pub fn lifetime_ns(&self) -> Option<u64> {
        Some(self.end_ns()?.saturating_sub(self.start_ns()?))
    }
}
