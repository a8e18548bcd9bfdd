//! Filters of events: one predicate, evaluated in user space or in the kernel.

mod conditions;
mod program;
mod tasks;

use zerocopy::byteorder::ByteOrder;

pub use self::program::MAX_PROGRAM_LEN;
use self::tasks::TaskFilter;
pub use self::tasks::{ActingTask, NamePattern, TooManyAlternatives, TreeRoot};
use crate::mask::EventMask;
use crate::proc_event::{Event, Payload};

/// A filter of events.
///
/// [`matches`](Self::matches) evaluates it in user space. [`compile`](Self::compile) translates it to
/// a classic BPF program, which a kernel of any version evaluates before it queues an event. Both
/// give the same result for every event.
///
/// For kinds that this crate does not know, only the mask applies.
///
/// ```
/// use proc_connector_core::{EventMask, Filter};
///
/// let failures = Filter::new(EventMask::EXIT).processes_only().failures_only();
/// let two_processes = Filter::default().only_tgids(&[17, 4711])?;
/// assert_ne!(failures, two_processes);
/// # Ok::<(), proc_connector_core::TooManyTgids>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    mask: EventMask,
    processes_only: bool,
    failures_only: bool,
    tgids: Tgids,
    tasks: TaskFilter,
}

/// The part of a filter that compares process ids.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tgids {
    All,
    Only(TgidSet),
    Except(TgidSet),
}

/// Passes every event, including unknown kinds.
impl Default for Filter {
    fn default() -> Self {
        Self::new(EventMask::all())
    }
}

impl Filter {
    /// Maximum number of process ids in a filter.
    pub const MAX_TGIDS: usize = 1024;

    /// Passes the kinds in `mask`.
    #[must_use]
    pub const fn new(mask: EventMask) -> Self {
        Self {
            mask,
            processes_only: false,
            failures_only: false,
            tgids: Tgids::All,
            tasks: TaskFilter::EMPTY,
        }
    }

    /// Drops events of threads other than the leader of a process.
    ///
    /// Execs and core dumps concern the whole process and always pass. If a leader exits before its
    /// other threads, its exit passes although the process continues. The exit of the last thread,
    /// which ends that process, is then dropped.
    #[must_use]
    pub fn processes_only(self) -> Self {
        Self { processes_only: true, ..self }
    }

    /// Drops exits with status 0. Other kinds pass.
    #[must_use]
    pub fn failures_only(self) -> Self {
        Self { failures_only: true, ..self }
    }

    /// Passes only events of the processes `tgids`.
    ///
    /// The fork of a new process is an event of its parent, and that of a new thread an event of its
    /// process.
    ///
    /// # Errors
    ///
    /// [`TooManyTgids`] for more than [`MAX_TGIDS`](Self::MAX_TGIDS) different ids.
    pub fn only_tgids(self, tgids: &[u32]) -> Result<Self, TooManyTgids> {
        Ok(Self { tgids: Tgids::Only(TgidSet::new(tgids)?), ..self })
    }

    /// Drops the events of the processes `tgids`, as [`only_tgids`](Self::only_tgids) defines them.
    ///
    /// # Errors
    ///
    /// [`TooManyTgids`] for more than [`MAX_TGIDS`](Self::MAX_TGIDS) different ids.
    pub fn except_tgids(self, tgids: &[u32]) -> Result<Self, TooManyTgids> {
        Ok(Self { tgids: Tgids::Except(TgidSet::new(tgids)?), ..self })
    }

    /// The kinds of events that pass.
    pub const fn mask(&self) -> EventMask {
        self.mask
    }

    /// Whether every event passes. If so, a gap in the sequence numbers of a CPU is a loss.
    pub fn passes_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event passes, apart from the conditions on the acting task.
    pub fn matches<O: ByteOrder>(&self, event: &Event<'_, O>) -> bool {
        self.mask.intersects(event.mask())
            && Subject::new(event).is_none_or(|subject| self.wants(&subject))
    }

    fn wants(&self, subject: &Subject) -> bool {
        let thread = self.processes_only && subject.is_thread;
        let success = self.failures_only && subject.is_success;
        !thread && !success && self.tgids.wants(subject.tgid)
    }
}

/// The properties of an event that a filter compares.
struct Subject {
    tgid: u32,
    is_thread: bool,
    is_success: bool,
}

impl Subject {
    /// `None` for an unknown kind.
    fn new<O: ByteOrder>(event: &Event<'_, O>) -> Option<Self> {
        let process = event.process()?;
        let (tgid, is_thread, is_success) = match event.payload() {
            // A new process is an event of its parent.
            Payload::Fork(fork) if process.is_leader() => (fork.parent_tgid(), false, false),
            // These concern the whole process, whichever thread caused them.
            Payload::Exec(_) | Payload::Coredump(_) => (process.tgid, false, false),
            Payload::Exit(exit) => (process.tgid, !process.is_leader(), exit.exit_code() == 0),
            _ => (process.tgid, !process.is_leader(), false),
        };
        Some(Self { tgid, is_thread, is_success })
    }
}

impl Tgids {
    fn wants(&self, tgid: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(set) => set.contains(tgid),
            Self::Except(set) => !set.contains(tgid),
        }
    }
}

/// A filter was given too many process ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many process ids for a filter: {given}, at most {max} allowed", max = Filter::MAX_TGIDS)]
#[non_exhaustive]
pub struct TooManyTgids {
    /// The number of different ids, at least: counting stops at the first id over the maximum.
    pub given: usize,
}

/// A sorted set of process ids, in the form that a classic BPF load returns.
#[derive(Clone)]
struct TgidSet {
    ids: [u32; Filter::MAX_TGIDS],
    len: usize,
}

impl TgidSet {
    fn new(tgids: &[u32]) -> Result<Self, TooManyTgids> {
        let mut set = Self { ids: [0; Filter::MAX_TGIDS], len: 0 };
        for &tgid in tgids {
            set.insert(tgid)?;
        }
        Ok(set)
    }

    fn insert(&mut self, tgid: u32) -> Result<(), TooManyTgids> {
        let id = as_loaded(tgid);
        let Err(at) = self.as_slice().binary_search(&id) else { return Ok(()) };
        if self.len == self.ids.len() {
            return Err(TooManyTgids { given: self.len + 1 });
        }
        self.ids.copy_within(at..self.len, at + 1);
        self.ids[at] = id;
        self.len += 1;
        Ok(())
    }

    fn contains(&self, tgid: u32) -> bool {
        self.as_slice().binary_search(&as_loaded(tgid)).is_ok()
    }

    fn as_slice(&self) -> &[u32] {
        &self.ids[..self.len]
    }
}

impl PartialEq for TgidSet {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for TgidSet {}

impl core::fmt::Debug for TgidSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The conversion is its own inverse.
        f.debug_set().entries(self.as_slice().iter().map(|&id| as_loaded(id))).finish()
    }
}

/// A word in the host's byte order as `BPF_LD | BPF_W | BPF_ABS` loads it, which reads big-endian.
const fn as_loaded(word: u32) -> u32 {
    u32::from_be_bytes(word.to_ne_bytes())
}
