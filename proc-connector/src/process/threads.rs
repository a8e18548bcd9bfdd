//! The threads of a process. The first thread has the id of the process.

use proc_connector_core::ExitStatus;

use super::thread_ids::ThreadIds;

/// The threads of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Threads {
    /// `Ok` while the first thread runs, then its exit status.
    pub(super) first: Result<(), ExitStatus>,
    /// The ids of the other threads.
    others: ThreadIds,
    /// Threads that an exec ended, and whose exits may still be reported.
    leaving: ThreadIds,
}

impl Threads {
    /// The first thread only.
    pub(super) const ONE: Self =
        Self { first: Ok(()), others: ThreadIds::NONE, leaving: ThreadIds::NONE };

    /// The first thread and the given ones.
    pub(super) fn with_others(first: Result<(), ExitStatus>, others: Vec<u32>) -> Self {
        Self { first, others: others.into_iter().collect(), ..Self::ONE }
    }

    pub(super) fn count(&self) -> usize {
        self.others.len() + usize::from(self.first.is_ok())
    }

    /// The memory of the ids that are not stored in place, in bytes, at most.
    pub(super) fn size(&self) -> usize {
        // A node of a B-tree is at least almost half full.
        3 * size_of::<u32>() * (self.others.len() + self.leaving.len())
    }

    /// Returns whether the thread was unknown.
    pub(super) fn add(&mut self, pid: u32) -> bool {
        self.others.insert(pid)
    }

    /// Whether the thread is another than the first, and runs.
    pub(super) fn contains(&self, pid: u32) -> bool {
        self.others.contains(pid)
    }

    /// Removes a thread that is not the first, and returns whether it was known.
    pub(super) fn remove(&mut self, pid: u32) -> bool {
        self.leaving.remove(pid);
        self.others.remove(pid)
    }

    /// Applies an exec: the thread that executed the program becomes the first, all others end.
    pub(super) fn exec(&mut self) {
        let others = std::mem::replace(&mut self.others, ThreadIds::NONE);
        // If the first thread had exited, another thread did the exec, and the exit was reported.
        self.leaving = if self.first.is_ok() { others } else { ThreadIds::NONE };
        self.first = Ok(());
    }

    /// Marks all threads as ended.
    pub(super) fn end(&mut self) {
        self.first = self.first.and(Err(ExitStatus::from_raw(0)));
        self.others = ThreadIds::NONE;
        self.leaving = ThreadIds::NONE;
    }

    /// Whether an exit with the id of the first thread can belong to a thread that an exec
    /// replaced. The thread that did the exec took over this id, and its old id never exits.
    pub(super) fn expects_exit_of_replaced_first(&self) -> bool {
        !self.leaving.is_empty()
    }

    pub(super) fn forget_leaving(&mut self) {
        self.leaving.clear();
    }
}
