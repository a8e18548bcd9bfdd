//! One process: its identity, its program, its users, and its end.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use proc_connector_core::{Args, ExitStatus};

use super::container::container_id;
use super::snapshot::{Ids, Image, Snapshot};
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
    pub(super) start: Start,
    pub(super) parent: Option<u32>,
    pub(super) creator: Option<u64>,
    pub(super) threads: Threads,
    pub(super) comm: Option<Name>,
    pub(super) image: Option<Arc<Image>>,
    pub(super) uid: Option<Ids>,
    pub(super) gid: Option<Ids>,
    pub(super) session: Option<u32>,
    pub(super) cgroup: Option<Arc<Path>>,
    pub(super) is_kernel_thread: bool,
    pub(super) end: Option<End>,
    /// When `/proc` was last read, in nanoseconds of `CLOCK_MONOTONIC`: earlier events are already
    /// included.
    pub(super) seen_ns: u64,
    /// When a value that a child inherits was last read from `/proc`: an earlier fork may have
    /// copied other values.
    pub(super) read_ns: u64,
    /// The time of the last exec.
    pub(super) exec_ns: u64,
    /// Whether the id was reused before the exit of its previous owner was reported.
    pub(super) predecessor_exit_pending: bool,
}

/// When and how a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) ns: u64,
    pub(super) status: Option<ExitStatus>,
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

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.bytes()).fmt(f)
    }
}

/// Identity.
impl Process {
    /// A number that is unique among all processes of this table.
    pub fn serial(&self) -> u64 {
        self.serial
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

    /// The process id of the parent: the process that created this one, or the one that adopted it.
    pub fn parent(&self) -> Option<u32> {
        self.parent
    }

    /// The [serial](Self::serial) of the process that created this one, if the table knew it.
    pub fn creator(&self) -> Option<u64> {
        self.creator
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

/// Program.
impl Process {
    /// The name of the first thread: up to 15 bytes of any value except zero.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.as_ref().map(Name::bytes)
    }

    /// The arguments of the last exec, or the parent's if the process executed no program.
    pub fn args(&self) -> Option<Args<'_>> {
        self.image.as_ref()?.args()
    }

    /// The path of the executable, as the kernel reports it: with ` (deleted)` appended if the file
    /// was removed or replaced before the path was read.
    pub fn exe(&self) -> Option<&Path> {
        self.image.as_ref()?.exe.as_deref()
    }
}

/// Users and groups. Ids are those of the initial namespaces.
impl Process {
    /// The real and effective user id.
    pub fn uid(&self) -> Option<Ids> {
        self.uid
    }

    /// The real and effective group id.
    pub fn gid(&self) -> Option<Ids> {
        self.gid
    }

    /// The session id: the process id of the session leader.
    pub fn session(&self) -> Option<u32> {
        self.session
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

    /// The exit status, if it was reported.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.end?.status
    }

    /// What all threads of the process used together, after its end.
    pub fn usage(&self) -> Option<proc_connector_core::Usage> {
        None
    }

    /// The time from creation to end, in nanoseconds.
    pub fn lifetime_ns(&self) -> Option<u64> {
        Some(self.end_ns()?.saturating_sub(self.start_ns()?))
    }
}

/// Construction and updates.
impl Process {
    /// A process with only its id known.
    pub(super) fn unknown(serial: u64, tgid: u32) -> Self {
        Self {
            serial,
            tgid,
            start: Start::default(),
            parent: None,
            creator: None,
            threads: Threads::ONE,
            comm: None,
            image: None,
            uid: None,
            gid: None,
            session: None,
            cgroup: None,
            is_kernel_thread: false,
            end: None,
            seen_ns: 0,
            read_ns: 0,
            exec_ns: 0,
            predecessor_exit_pending: false,
        }
    }

    /// A copy of the parent, as a fork at `ns` created it.
    pub(super) fn forked(serial: u64, tgid: u32, parent: &Self, ns: u64) -> Self {
        let unknown = Self {
            parent: Some(parent.tgid),
            creator: Some(parent.serial),
            is_kernel_thread: parent.is_kernel_thread,
            ..Self::unknown(serial, tgid)
        };
        if ns < parent.read_ns.max(parent.exec_ns) {
            // The known values of the parent are from after the fork.
            return unknown;
        }
        Self {
            comm: parent.comm,
            image: parent.image.clone(),
            uid: parent.uid,
            gid: parent.gid,
            session: parent.session,
            cgroup: parent.cgroup.clone(),
            ..unknown
        }
    }

    /// Applies a snapshot, and returns whether any value changed.
    pub(super) fn update(&mut self, snapshot: Snapshot) -> bool {
        let before = self.clone();
        self.start.refine(snapshot.start_ticks, snapshot.boottime_offset_ns);
        self.parent = snapshot.parent;
        self.session = Some(snapshot.session);
        self.is_kernel_thread = snapshot.is_kernel_thread;
        self.comm = Some(Name::new(&snapshot.comm));
        self.seen_ns = snapshot.seen_ns;
        self.read_ns = snapshot.seen_ns;
        if let Some(others) = snapshot.others {
            self.threads = Threads::with_others(snapshot.first, others);
        }
        if let Some(image) = snapshot.image {
            // An equal image is kept: many processes may share it.
            if self.image.as_deref() != Some(&image) {
                self.image = Some(Arc::new(image));
            }
        }
        self.uid = snapshot.uid.or(self.uid);
        self.gid = snapshot.gid.or(self.gid);
        if let Some(cgroup) = snapshot.cgroup {
            if self.cgroup.as_deref() != Some(&cgroup.path) {
                self.cgroup = Some(cgroup.path.into());
            }
        }
        before.differs(self)
    }

    fn differs(&self, other: &Self) -> bool {
        self.parent != other.parent
            || self.session != other.session
            || self.comm != other.comm
            || self.image != other.image
            || (self.uid, self.gid) != (other.uid, other.gid)
            || self.cgroup != other.cgroup
            || self.threads.count() != other.threads.count()
    }
}
