//! The threads of a process. The first thread has the id of the process.

use proc_connector_core::ExitStatus;

use super::thread_ids::ThreadIds;

/// Exits closer together than this, in nanoseconds, may be received in the wrong order.
const SAME_TIME_NS: u64 = 1_000_000_000;

/// The threads of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Threads {
    /// `Ok` while the first thread runs, then its exit status.
    pub(super) first: Result<(), ExitStatus>,
    /// The ids of the other threads.
    others: ThreadIds,
    /// Threads that an exec ended, and whose exits may still be reported.
    leaving: ThreadIds,
    /// The status of the thread that exited last, except the first thread, and the time of its exit.
    pub(super) last_other: Option<(ExitStatus, u64)>,
}

impl Threads {
    /// The first thread only.
    pub(super) const ONE: Self =
        Self { first: Ok(()), others: ThreadIds::NONE, leaving: ThreadIds::NONE, last_other: None };

    /// The first thread and the given ones.
    pub(super) fn with_others(first: Result<(), ExitStatus>, others: Vec<u32>) -> Self {
        Self { first, others: others.into_iter().collect(), ..Self::ONE }
    }

    pub(super) fn count(&self) -> usize {
        self.others.len() + usize::from(self.first.is_ok())
    }

    /// Returns whether the thread was unknown.
    pub(super) fn add(&mut self, pid: u32) -> bool {
        self.others.insert(pid)
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

    /// The status of the process when its last thread, the first one or another, exits at `ns`.
    ///
    /// An exit of the whole process (`exit_group`) gives all running threads the same status. If each
    /// thread exits for itself, the process has the status of the first thread before Linux 5.19, and
    /// that of the last thread since then. `None` if these differ. Exits at the same time can be
    /// received in the wrong order.
    pub(super) fn status_at_end(
        &self,
        is_first: bool,
        status: ExitStatus,
        ns: u64,
    ) -> Option<ExitStatus> {
        if !is_first {
            return Some(status).filter(|&status| self.first == Err(status));
        }
        let is_ambiguous = self.last_other.is_some_and(|(other, at)| {
            other != status && other.into_raw() != 0 && ns.saturating_sub(at) < SAME_TIME_NS
        });
        Some(status).filter(|_| !is_ambiguous)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_known_if_the_threads_agree_or_the_order_is_certain() {
        let status = |code: u32| ExitStatus::from_raw(code << 8);
        let ms = 1_000_000;
        for (first, other, is_first_last, apart, expected) in [
            (3, 3, true, ms, Some(3)),
            (3, 3, false, ms, Some(3)),
            // A thread ended, then the process by the first thread.
            (3, 0, true, ms, Some(3)),
            (3, 7, true, 5_000 * ms, Some(3)),
            // The first thread ended before the others: the kernel's version decides.
            (5, 0, false, 5_000 * ms, None),
            (5, 7, false, ms, None),
            (3, 7, true, ms, None),
        ] {
            let (first, other) = (status(first), status(other));
            let mut threads = Threads { last_other: Some((other, 10)), ..Threads::ONE };
            threads.first = Err(first);
            let last = if is_first_last { first } else { other };
            let found = threads.status_at_end(is_first_last, last, 10 + apart);
            assert_eq!(found, expected.map(status), "{first:?} {other:?} {is_first_last} {apart}");
        }
    }
}
