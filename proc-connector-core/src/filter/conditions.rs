//! Conditions on the acting task in a filter.

use super::Filter;
use super::tasks::{self, ActingTask, Few, NamePattern, TaskFilter, TooManyAlternatives, TreeRoot};

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
    pub const MAX_ALTERNATIVES: usize = tasks::MAX_ALTERNATIVES;

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
    /// of a cgroup is the inode number of its directory. An id without a cgroup is no error, and
    /// selects nothing.
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
