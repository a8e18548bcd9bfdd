//! Which events a listener wants: one predicate, in user space and in the kernel.

mod program;

use zerocopy::byteorder::ByteOrder;

pub use self::program::MAX_PROGRAM_LEN;
use crate::mask::EventMask;
use crate::proc_event::{Event, Payload};

/// A choice among events.
///
/// [`matches`](Self::matches) evaluates it here, [`compile`](Self::compile) makes a classic BPF
/// program of it that a kernel of any version evaluates before an event is queued. Both agree on
/// every event.
///
/// Kinds that this crate does not know are judged by the mask alone.
///
/// ```
/// use proc_connector_core::{EventMask, Filter};
///
/// let deaths = Filter::new(EventMask::EXIT).processes_only().failures_only();
/// let mine = Filter::default().only_tgids(&[17, 4711])?;
/// assert_ne!(deaths, mine);
/// # Ok::<(), proc_connector_core::TooManyTgids>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    mask: EventMask,
    processes_only: bool,
    failures_only: bool,
    tgids: Tgids,
}

/// A choice among processes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tgids {
    All,
    Only(TgidSet),
    Except(TgidSet),
}

/// Passes everything, unknown kinds included.
impl Default for Filter {
    fn default() -> Self {
        Self::new(EventMask::all())
    }
}

impl Filter {
    /// The most process ids that a filter can name.
    pub const MAX_TGIDS: usize = 1024;

    /// Passes the kinds in `mask`.
    #[must_use]
    pub const fn new(mask: EventMask) -> Self {
        Self { mask, processes_only: false, failures_only: false, tgids: Tgids::All }
    }

    /// Leaves out what concerns threads other than a process's leader.
    ///
    /// Execs and core dumps always concern the whole process and pass. When a leader exits before
    /// its other threads, its exit passes although the process lives on.
    #[must_use]
    pub fn processes_only(self) -> Self {
        Self { processes_only: true, ..self }
    }

    /// Leaves out exits with status 0. Other kinds pass.
    #[must_use]
    pub fn failures_only(self) -> Self {
        Self { failures_only: true, ..self }
    }

    /// Passes only what concerns the processes `tgids`.
    ///
    /// A new process concerns its parent, a new thread its process.
    ///
    /// # Errors
    ///
    /// [`TooManyTgids`] for more than [`MAX_TGIDS`](Self::MAX_TGIDS) different ids.
    pub fn only_tgids(self, tgids: &[u32]) -> Result<Self, TooManyTgids> {
        Ok(Self { tgids: Tgids::Only(TgidSet::new(tgids)?), ..self })
    }

    /// Leaves out what concerns the processes `tgids`, as [`only_tgids`](Self::only_tgids) has it.
    ///
    /// # Errors
    ///
    /// [`TooManyTgids`] for more than [`MAX_TGIDS`](Self::MAX_TGIDS) different ids.
    pub fn except_tgids(self, tgids: &[u32]) -> Result<Self, TooManyTgids> {
        Ok(Self { tgids: Tgids::Except(TgidSet::new(tgids)?), ..self })
    }

    /// Whether every event passes, so that a gap in the sequence numbers of a CPU is a loss.
    pub fn passes_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event passes.
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

/// What a filter compares of an event.
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

/// More process ids than a filter can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given} process ids exceed the limit of {max} in a filter", max = Filter::MAX_TGIDS)]
#[non_exhaustive]
pub struct TooManyTgids {
    /// How many different ids were given; at least, since counting stops at the first too many.
    pub given: usize,
}

/// A set of process ids, each in the form in which a classic BPF load gives it, sorted.
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
        // The form is its own inverse.
        f.debug_set().entries(self.as_slice().iter().map(|&id| as_loaded(id))).finish()
    }
}

/// A number of the host as `BPF_LD | BPF_W | BPF_ABS` loads it, which reads big-endian.
const fn as_loaded(number: u32) -> u32 {
    u32::from_be_bytes(number.to_ne_bytes())
}
