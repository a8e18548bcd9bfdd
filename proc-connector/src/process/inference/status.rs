//! The status of a process, which follows from those of its threads.
//!
//! The threads of a process that exits as a whole (`exit_group`, a signal) have its status. Threads
//! can also exit one by one. Then the status is that of the last since Linux 5.19, and that of the
//! first thread before, and the order of events does not prove which thread was the last.

use proc_connector_core::ExitStatus;

use crate::process::hasher::ById;

/// The bit of a wait status that reports a core dump. Threads that exited before the dump lack it.
const CORE_DUMPED: u32 = 0x80;

/// Statuses of other threads than the first, by process id. Most processes have no entry: a thread
/// exits with 0, unless its process exits as a whole.
#[derive(Debug, Default)]
pub(in crate::process) struct ThreadStatuses(ById<u32, Statuses>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    /// Those that differ from 0 are equal.
    Equal(ExitStatus),
    Different,
}

impl ThreadStatuses {
    /// Records the status of a thread.
    pub(super) fn add(&mut self, tgid: u32, status: ExitStatus) {
        if status.into_raw() == 0 {
            return;
        }
        let known = self.0.entry(tgid).or_insert(Statuses::Equal(status));
        if matches!(*known, Statuses::Equal(known) if !is_same(known, status)) {
            *known = Statuses::Different;
        }
    }

    /// Forgets the threads of a process that executed a program, or of an earlier owner of the id.
    pub(super) fn forget(&mut self, tgid: u32) {
        if !self.0.is_empty() {
            self.0.remove(&tgid);
        }
    }

    /// The status of a process whose last thread exited with `last`. `first` is the status of the
    /// first thread if it exited earlier. `None` if it depends on the order of exits.
    pub(super) fn of_process(
        &mut self,
        tgid: u32,
        last: ExitStatus,
        first: Option<ExitStatus>,
    ) -> Option<ExitStatus> {
        let others = if self.0.is_empty() { None } else { self.0.remove(&tgid) };
        let first = first.filter(|first| first.into_raw() != 0);
        let others_agree = match others {
            None => true,
            Some(Statuses::Equal(others)) => is_same(others, last),
            Some(Statuses::Different) => false,
        };
        let agree = others_agree && first.is_none_or(|first| is_same(first, last));
        let dumped = first.map_or(0, |first| first.into_raw() & CORE_DUMPED);
        agree.then_some(ExitStatus::from_raw(last.into_raw() | dumped))
    }
}

fn is_same(one: ExitStatus, other: ExitStatus) -> bool {
    (one.into_raw() ^ other.into_raw()) & !CORE_DUMPED == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a process whose other threads, first thread and last thread exit with these.
    fn status(others: &[u32], first: Option<u32>, last: u32) -> Option<u32> {
        let mut statuses = ThreadStatuses::default();
        for other in others {
            statuses.add(1, ExitStatus::from_raw(*other));
        }
        let first = first.map(ExitStatus::from_raw);
        statuses.of_process(1, ExitStatus::from_raw(last), first).map(ExitStatus::into_raw)
    }

    #[test]
    fn a_status_on_which_all_threads_agree_is_that_of_the_process() {
        assert_eq!(status(&[], None, 0x300), Some(0x300));
        assert_eq!(status(&[0, 0], None, 0x300), Some(0x300));
        assert_eq!(status(&[9, 9], Some(9), 9), Some(9));
        // The first thread returned from `pthread_exit`, and another ended the process.
        assert_eq!(status(&[0x300], Some(0), 0x300), Some(0x300));
        assert_eq!(status(&[6], Some(6 | CORE_DUMPED), 6), Some(6 | CORE_DUMPED));
    }

    #[test]
    fn a_status_that_depends_on_the_order_of_exits_is_unknown() {
        assert_eq!(status(&[], Some(0x500), 0), None);
        assert_eq!(status(&[], Some(0x500), 0x700), None);
        assert_eq!(status(&[0x100], None, 0x200), None);
        assert_eq!(status(&[0x100, 0x200], Some(0), 0x200), None);
    }
}
