//! The part of a filter that selects by the acting task.

/// A process whose descendants a filter selects.
///
/// ```
/// use proc_connector_core::{Filter, filter::TreeRoot};
///
/// let filter = Filter::default().descendants_of(&[TreeRoot::new(4711)])?;
/// assert!(filter.selects_tasks());
/// # Ok::<(), proc_connector_core::filter::TooManyAlternatives>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeRoot {
    /// The process id.
    pub tgid: u32,
    /// The start of the process, in nanoseconds of `CLOCK_BOOTTIME`, which distinguishes it from
    /// later processes with the same id. It is compared to a clock tick of 10 ms, to which `/proc`
    /// rounds it. `None` selects the process that has the id when the filter is applied.
    pub start_boottime_ns: Option<u64>,
}

impl TreeRoot {
    /// The process that has this id when the filter is applied.
    pub const fn new(tgid: u32) -> Self {
        Self { tgid, start_boottime_ns: None }
    }

    /// The process with this id and start.
    pub const fn with_start(tgid: u32, start_boottime_ns: u64) -> Self {
        Self { tgid, start_boottime_ns: Some(start_boottime_ns) }
    }
}

/// A pattern for the name of a task (`comm`), which has at most 15 bytes.
///
/// The kernel cuts longer names, so the pattern is cut as well: `systemd-journald` matches the
/// process whose name is `systemd-journal`.
///
/// ```
/// use proc_connector_core::filter::NamePattern;
///
/// assert!(NamePattern::exact(b"cc1plus").matches(b"cc1plus"));
/// assert!(NamePattern::prefix(b"kworker/").matches(b"kworker/0:1"));
/// assert!(NamePattern::exact(b"systemd-journald").matches(b"systemd-journal"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamePattern {
    bytes: [u8; NAME_LEN],
    len: u8,
    is_prefix: bool,
}

/// The length of the longest name (`TASK_COMM_LEN` without the final zero).
const NAME_LEN: usize = 15;

impl NamePattern {
    /// Matches this name.
    pub fn exact(name: &[u8]) -> Self {
        Self::new(name, false)
    }

    /// Matches all names that start with these bytes.
    pub fn prefix(start: &[u8]) -> Self {
        Self::new(start, true)
    }

    fn new(name: &[u8], is_prefix: bool) -> Self {
        let mut bytes = [0; NAME_LEN];
        let name = until_zero(name);
        let name = &name[..name.len().min(NAME_LEN)];
        bytes[..name.len()].copy_from_slice(name);
        #[expect(clippy::cast_possible_truncation, reason = "at most 15")]
        Self { bytes, len: name.len() as u8, is_prefix }
    }

    /// Whether a name matches. A name ends before its first zero byte.
    pub fn matches(&self, comm: &[u8]) -> bool {
        let comm = until_zero(comm);
        let comm = &comm[..comm.len().min(NAME_LEN)];
        if self.is_prefix { comm.starts_with(self.bytes()) } else { comm == self.bytes() }
    }

    /// The name, or its start.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether names match that start with the bytes.
    pub const fn is_prefix(&self) -> bool {
        self.is_prefix
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The properties of the acting task that a filter compares. A property that is `None` matches no
/// filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a new property is a new part of the filter")]
pub struct ActingTask<'a> {
    /// Real user id.
    pub uid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Name of the thread.
    pub comm: Option<&'a [u8]>,
    /// Ids of its version 2 cgroup and of all cgroups above it.
    pub cgroups: Option<&'a [u64]>,
    /// Whether its process is one of the selected roots or descends from one.
    pub is_descendant: bool,
}

/// A filter was given too many alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many {kind} for a filter: {given}, at most {max} allowed", max = MAX_ALTERNATIVES)]
#[non_exhaustive]
pub struct TooManyAlternatives {
    /// What they are: `users`, `names`, `cgroups`, `processes` or `program names`.
    pub kind: &'static str,
    /// The number of alternatives.
    pub given: usize,
}

/// The most alternatives in one list.
pub(super) const MAX_ALTERNATIVES: usize = 64;

/// The part of a filter that selects by the acting task. An empty list selects all tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskFilter {
    pub(super) roots: Few<TreeRoot>,
    pub(super) root_names: Few<NamePattern>,
    pub(super) cgroups: Few<u64>,
    pub(super) users: Few<u32>,
    pub(super) names: Few<NamePattern>,
}

impl TaskFilter {
    pub(super) const EMPTY: Self = Self {
        roots: Few { items: [TreeRoot::new(0); MAX_ALTERNATIVES], len: 0 },
        root_names: Few { items: [NO_NAME; MAX_ALTERNATIVES], len: 0 },
        cgroups: Few { items: [0; MAX_ALTERNATIVES], len: 0 },
        users: Few { items: [0; MAX_ALTERNATIVES], len: 0 },
        names: Few { items: [NO_NAME; MAX_ALTERNATIVES], len: 0 },
    };
}

const NO_NAME: NamePattern = NamePattern { bytes: [0; NAME_LEN], len: 0, is_prefix: false };

/// A short list without allocation.
#[derive(Clone, Debug)]
pub(super) struct Few<T> {
    items: [T; MAX_ALTERNATIVES],
    len: usize,
}

impl<T: Copy + Default> Few<T> {
    pub(super) fn new(items: &[T], kind: &'static str) -> Result<Self, TooManyAlternatives> {
        let mut new = Self::default();
        let given = items.len();
        new.items
            .get_mut(..given)
            .ok_or(TooManyAlternatives { kind, given })?
            .copy_from_slice(items);
        new.len = given;
        Ok(new)
    }
}

impl<T> Few<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        &self.items[..self.len]
    }
}

impl<T: Copy + Default> Default for Few<T> {
    fn default() -> Self {
        Self { items: [T::default(); MAX_ALTERNATIVES], len: 0 }
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Eq> Eq for Few<T> {}
