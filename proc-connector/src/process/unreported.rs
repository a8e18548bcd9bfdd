//! Processes whose exits were not received, although no event was lost: a filter by user, name or
//! cgroup selects the fork of a process, but not its exit if the process no longer matches by then.

use std::collections::HashSet;
use std::time::Instant;

use super::process::Process;
use super::snapshot::{Fields, ReadError, SnapshotSource};
use super::table::ProcessTable;

impl ProcessTable {
    /// Ends the processes whose exits were not received, if the table has grown much. The table then
    /// has at most about twice the number of live processes.
    pub(super) fn end_unreported(&mut self) {
        let Some(source) = self.source.as_deref() else { return };
        let live = self.len();
        match self.unreported.searched {
            None if live <= self.unreported.limit => {}
            None => match self.missing_in(source) {
                Some(missing) => {
                    self.unreported.missing = missing;
                    self.unreported.searched = Some(Instant::now());
                }
                None => self.unreported.restart(live),
            },
            Some(searched) if searched.elapsed() < self.unreported.patience => {}
            Some(_) => {
                let now_ns = source.now_ns();
                for (tgid, serial) in std::mem::take(&mut self.unreported.missing) {
                    if self.get(tgid).is_some_and(|process| process.serial() == serial) {
                        self.vanished(tgid, now_ns);
                    }
                }
                self.unreported.restart(self.len());
            }
        }
    }

    /// The processes that `/proc` does not have. `None` if it cannot be listed now.
    fn missing_in(&self, source: &dyn SnapshotSource) -> Option<Vec<(u32, u64)>> {
        let listed: HashSet<u32> = source.list().ok()?.into_iter().collect();
        // `hidepid` hides processes of other users from the list.
        let is_missing = |process: &&Process| {
            let tgid = process.tgid();
            !listed.contains(&tgid)
                && matches!(source.read(tgid, Fields::empty()), Err(ReadError::Gone))
        };
        let missing = self.iter().filter(is_missing);
        Some(missing.map(|process| (process.tgid(), process.serial())).collect())
    }
}
