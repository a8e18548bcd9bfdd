//! One process: who it is, what it runs, and how it ended.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use proc_connector_core::{Args, ExitStatus};

use super::container::container_id;
use super::facts::{Facts, Ids, Image};
use super::time::Start;

/// A process, its first thread and all others.
///
/// What nobody could find out is `None`, and never what another process had.
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
    /// When `/proc` was asked last, in nanoseconds of `CLOCK_MONOTONIC`: events from before that
    /// tell nothing new.
    pub(super) seen_ns: u64,
    /// When any of what a child inherits was read from there last: a fork from before that may have
    /// copied something else.
    pub(super) read_ns: u64,
    /// The last exec.
    pub(super) exec_ns: u64,
    /// Whether it got its id from one whose exit was to come yet.
    pub(super) has_displaced: bool,
}

/// How and when it ended.
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

/// The threads of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Threads {
    /// Whether the first one still runs, and how it ended.
    pub(super) first: Result<(), ExitStatus>,
    /// The ids of the others.
    others: BTreeSet<u32>,
    /// Others that an exec ended, and whose exits may still be reported.
    leaving: BTreeSet<u32>,
}

impl Threads {
    /// One thread.
    pub(super) const ONE: Self =
        Self { first: Ok(()), others: BTreeSet::new(), leaving: BTreeSet::new() };

    /// These threads besides the first.
    pub(super) fn with_others(first: Result<(), ExitStatus>, others: Vec<u32>) -> Self {
        Self { first, others: others.into_iter().collect(), ..Self::ONE }
    }

    pub(super) fn count(&self) -> usize {
        self.others.len() + usize::from(self.first.is_ok())
    }

    /// Whether the thread was unknown so far.
    pub(super) fn add(&mut self, pid: u32) -> bool {
        self.others.insert(pid)
    }

    /// Whether the thread, not the first, was known.
    pub(super) fn remove(&mut self, pid: u32) -> bool {
        self.leaving.remove(&pid);
        self.others.remove(&pid)
    }

    /// An exec ends all threads but the one that did it, which goes on as the first.
    pub(super) fn exec(&mut self) {
        let others = std::mem::take(&mut self.others);
        // If the first has ended already, another did the exec, and this was reported.
        self.leaving = if self.first.is_ok() { others } else { BTreeSet::new() };
        self.first = Ok(());
    }

    /// All of them have ended.
    pub(super) fn end(&mut self) {
        self.first = self.first.and(Err(ExitStatus::from_raw(0)));
        self.others = BTreeSet::new();
        self.leaving = BTreeSet::new();
    }

    /// Whether the first thread's exit can be one that an exec by another thread caused: that
    /// thread's id is then never told to have ended.
    pub(super) fn await_exit_of_old_first(&self) -> bool {
        !self.leaving.is_empty()
    }

    pub(super) fn forget_leaving(&mut self) {
        self.leaving.clear();
    }
}

/// Who it is.
impl Process {
    /// A number that no other process of this table has or had.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The process id. Another process may get it after this one's end.
    pub fn tgid(&self) -> u32 {
        self.tgid
    }

    /// When it was made, in nanoseconds of `CLOCK_MONOTONIC`: the time stamp of its fork, or what
    /// `/proc` says, to a hundredth of a second. Process id and start together tell a process from
    /// all others.
    pub fn start_ns(&self) -> Option<u64> {
        self.start.monotonic_ns()
    }

    /// The process id of its parent: of who made it, or of who adopted it when that ended.
    pub fn parent(&self) -> Option<u32> {
        self.parent
    }

    /// The [serial](Self::serial) of the process that made it, if the table knew that one.
    pub fn creator(&self) -> Option<u64> {
        self.creator
    }

    /// How many threads it has; 0 once it has ended.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Whether it is a thread of the kernel, which runs no program.
    pub fn is_kernel_thread(&self) -> bool {
        self.is_kernel_thread
    }
}

/// What it runs.
impl Process {
    /// The name of its first thread: up to 15 bytes of any kind but zero.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.as_ref().map(Name::bytes)
    }

    /// The arguments of its last exec, or its parent's if it did none.
    pub fn args(&self) -> Option<Args<'_>> {
        self.image.as_ref()?.args()
    }

    /// The file of its program, as the kernel gives it: with ` (deleted)` behind it where the file was
    /// removed or replaced before it was read.
    pub fn exe(&self) -> Option<&Path> {
        self.image.as_ref()?.exe()
    }
}

/// Whose it is. Ids are those of the initial namespaces.
impl Process {
    /// Its real and effective user.
    pub fn uid(&self) -> Option<Ids> {
        self.uid
    }

    /// Its real and effective group.
    pub fn gid(&self) -> Option<Ids> {
        self.gid
    }

    /// The id of its session: the process id of the one that started it.
    pub fn session(&self) -> Option<u32> {
        self.session
    }

    /// Its cgroup, as a path from the top of its hierarchy, or of the cgroup namespace of the process
    /// that asks: as it was when the process last executed a program or `/proc` was read. No event
    /// reports a move.
    ///
    /// Where hierarchies of version 1 are in use too, it is the path in version 2 or, if that is the
    /// top, in systemd's hierarchy; in those of the controllers where there is neither. A container is
    /// in any of them.
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    /// The id of the container that the path of its cgroup shows, as container runtimes make it:
    /// 64 hexadecimal digits. Of one container in another it is the inner one. A container's monitor
    /// (`conmon`) is not in it.
    pub fn container(&self) -> Option<&str> {
        container_id(self.cgroup()?.as_os_str().as_encoded_bytes())
    }
}

/// How it ended.
impl Process {
    /// Whether any of its threads runs.
    pub fn is_alive(&self) -> bool {
        self.end.is_none()
    }

    /// When it ended, in nanoseconds of `CLOCK_MONOTONIC`; when that was noticed, if it was not
    /// told.
    pub fn end_ns(&self) -> Option<u64> {
        self.end.map(|end| end.ns)
    }

    /// How it ended, if that was told.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.end?.status
    }

    /// From its start to its end, in nanoseconds.
    pub fn lifetime_ns(&self) -> Option<u64> {
        Some(self.end_ns()?.saturating_sub(self.start_ns()?))
    }
}

/// Making and mending.
impl Process {
    /// One of which nothing is known but its id.
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
            has_displaced: false,
        }
    }

    /// A copy of its parent, as a fork at `ns` made it.
    pub(super) fn forked(serial: u64, tgid: u32, parent: &Self, ns: u64) -> Self {
        let unknown = Self {
            parent: Some(parent.tgid),
            creator: Some(parent.serial),
            is_kernel_thread: parent.is_kernel_thread,
            ..Self::unknown(serial, tgid)
        };
        if ns < parent.read_ns.max(parent.exec_ns) {
            // What is known of the parent is from later.
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

    /// Takes over what `/proc` says, and tells whether that is something else than was known.
    pub(super) fn update(&mut self, facts: Facts) -> bool {
        let before = self.clone();
        self.start.refine(facts.start_ticks, facts.offset_ns);
        self.parent = facts.parent;
        self.session = Some(facts.session);
        self.is_kernel_thread = facts.is_kernel_thread;
        self.comm = Some(Name::new(&facts.comm));
        self.seen_ns = facts.seen_ns;
        self.read_ns = facts.seen_ns;
        if let Some(others) = facts.others {
            self.threads = Threads::with_others(facts.first, others);
        }
        if let Some(image) = facts.image {
            // Kept if it says the same: it may be shared with many.
            if self.image.as_deref() != Some(&image) {
                self.image = Some(Arc::new(image));
            }
        }
        self.uid = facts.uid.or(self.uid);
        self.gid = facts.gid.or(self.gid);
        if let Some(cgroup) = facts.cgroup {
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
