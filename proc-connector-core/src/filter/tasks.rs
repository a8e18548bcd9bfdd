//! The part of a filter that selects by the acting task.

use super::Filter;

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
    len: usize,
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
        Self { bytes, len: name.len(), is_prefix }
    }

    /// Whether a name matches. A name ends before its first zero byte.
    pub fn matches(&self, comm: &[u8]) -> bool {
        let comm = until_zero(comm);
        let comm = &comm[..comm.len().min(NAME_LEN)];
        if self.is_prefix { comm.starts_with(self.bytes()) } else { comm == self.bytes() }
    }

    /// The name, or its start.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
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
#[error("too many {kind} for a filter: {given}, at most {max} allowed", max = Filter::MAX_ALTERNATIVES)]
#[non_exhaustive]
pub struct TooManyAlternatives {
    /// What they are: `users`, `names`, `cgroups`, `processes` or `program names`.
    pub kind: &'static str,
    /// The number of alternatives.
    pub given: usize,
}

/// The part of a filter that selects by the acting task. An empty list selects all tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskFilter {
    roots: Few<TreeRoot>,
    root_names: Few<NamePattern>,
    cgroups: Few<u64>,
    users: Few<u32>,
    names: Few<NamePattern>,
}

impl TaskFilter {
    pub(super) const EMPTY: Self = Self {
        roots: Few { items: [TreeRoot::new(0); Filter::MAX_ALTERNATIVES], len: 0 },
        root_names: Few { items: [NO_NAME; Filter::MAX_ALTERNATIVES], len: 0 },
        cgroups: Few { items: [0; Filter::MAX_ALTERNATIVES], len: 0 },
        users: Few { items: [0; Filter::MAX_ALTERNATIVES], len: 0 },
        names: Few { items: [NO_NAME; Filter::MAX_ALTERNATIVES], len: 0 },
    };
}

const NO_NAME: NamePattern = NamePattern { bytes: [0; NAME_LEN], len: 0, is_prefix: false };

/// The part of a filter that selects by the task that causes an event.
///
/// Several of these methods are combined: an event has to meet all conditions. The alternatives given
/// to one method are joined: one of them has to match.
///
/// The acting task is the task that the event names, with two exceptions: an attach is caused by the
/// tracer, and a fork with `CLONE_PARENT` by the sibling that called `clone`. The ring transport's
/// program evaluates these conditions in the kernel. Elsewhere, [`matches_task`](Self::matches_task)
/// evaluates them for given properties; [`matches`](Self::matches) ignores them.
impl Filter {
    /// The most alternatives in one list of a filter.
    pub const MAX_ALTERNATIVES: usize = 64;

    /// Passes only events of these processes and of their descendants, including orphaned ones.
    ///
    /// # Errors
    ///
    /// [`TooManyAlternatives`] for more than [`MAX_ALTERNATIVES`](Self::MAX_ALTERNATIVES) processes.
    pub fn descendants_of(mut self, roots: &[TreeRoot]) -> Result<Self, TooManyAlternatives> {
        self.tasks.roots = Few::new(roots, "processes")?;
        Ok(self)
    }

    /// Passes only events of processes that have executed a program of such a name, and of their
    /// descendants. Joined with [`descendants_of`](Self::descendants_of).
    ///
    /// # Errors
    ///
    /// [`TooManyAlternatives`] for more than [`MAX_ALTERNATIVES`](Self::MAX_ALTERNATIVES) names.
    pub fn descendants_of_programs(
        mut self,
        names: &[NamePattern],
    ) -> Result<Self, TooManyAlternatives> {
        self.tasks.root_names = Few::new(names, "program names")?;
        Ok(self)
    }

    /// Passes only events of tasks in these cgroups of the version 2 hierarchy and below them. The id
    /// of a cgroup is the inode number of its directory.
    ///
    /// # Errors
    ///
    /// [`TooManyAlternatives`] for more than [`MAX_ALTERNATIVES`](Self::MAX_ALTERNATIVES) cgroups.
    pub fn in_cgroups(mut self, ids: &[u64]) -> Result<Self, TooManyAlternatives> {
        self.tasks.cgroups = Few::new(ids, "cgroups")?;
        Ok(self)
    }

    /// Passes only events of tasks whose real or effective user is one of these.
    ///
    /// # Errors
    ///
    /// [`TooManyAlternatives`] for more than [`MAX_ALTERNATIVES`](Self::MAX_ALTERNATIVES) users.
    pub fn of_users(mut self, uids: &[u32]) -> Result<Self, TooManyAlternatives> {
        self.tasks.users = Few::new(uids, "users")?;
        Ok(self)
    }

    /// Passes only events of tasks with such a name.
    ///
    /// # Errors
    ///
    /// [`TooManyAlternatives`] for more than [`MAX_ALTERNATIVES`](Self::MAX_ALTERNATIVES) names.
    pub fn named(mut self, names: &[NamePattern]) -> Result<Self, TooManyAlternatives> {
        self.tasks.names = Few::new(names, "names")?;
        Ok(self)
    }

    /// This filter without the conditions on the acting task.
    #[must_use]
    pub fn without_tasks(mut self) -> Self {
        self.tasks = TaskFilter::EMPTY;
        self
    }

    /// Whether the filter has conditions on the acting task.
    pub fn selects_tasks(&self) -> bool {
        self.tasks != TaskFilter::EMPTY
    }

    /// Whether the filter selects descendants, so that it depends on earlier events.
    pub fn selects_descendants(&self) -> bool {
        !self.roots().is_empty() || !self.root_names().is_empty()
    }

    /// Whether the conditions on the acting task are met by a task with these properties.
    pub fn matches_task(&self, task: &ActingTask<'_>) -> bool {
        let user = |uid: Option<u32>| uid.is_some_and(|uid| self.users().contains(&uid));
        let is_named = |comm| self.names().iter().any(|name| name.matches(comm));
        let is_inside = |ids: &[u64]| ids.iter().any(|id| self.cgroups().contains(id));
        (!self.selects_descendants() || task.is_descendant)
            && (self.users().is_empty() || user(task.uid) || user(task.euid))
            && (self.names().is_empty() || task.comm.is_some_and(is_named))
            && (self.cgroups().is_empty() || task.cgroups.is_some_and(is_inside))
    }

    /// The processes whose descendants pass.
    pub fn roots(&self) -> &[TreeRoot] {
        self.tasks.roots.as_slice()
    }

    /// The names of programs whose processes and descendants pass.
    pub fn root_names(&self) -> &[NamePattern] {
        self.tasks.root_names.as_slice()
    }

    /// The ids of the cgroups whose tasks pass.
    pub fn cgroups(&self) -> &[u64] {
        self.tasks.cgroups.as_slice()
    }

    /// The ids of the users whose tasks pass.
    pub fn users(&self) -> &[u32] {
        self.tasks.users.as_slice()
    }

    /// The names whose tasks pass.
    pub fn names(&self) -> &[NamePattern] {
        self.tasks.names.as_slice()
    }
}

/// A short list without allocation.
#[derive(Clone, Debug)]
struct Few<T> {
    items: [T; Filter::MAX_ALTERNATIVES],
    len: usize,
}

impl<T: Copy + Default> Few<T> {
    fn new(items: &[T], kind: &'static str) -> Result<Self, TooManyAlternatives> {
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
    fn as_slice(&self) -> &[T] {
        &self.items[..self.len]
    }
}

impl<T: Copy + Default> Default for Few<T> {
    fn default() -> Self {
        Self { items: [T::default(); Filter::MAX_ALTERNATIVES], len: 0 }
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Eq> Eq for Few<T> {}
