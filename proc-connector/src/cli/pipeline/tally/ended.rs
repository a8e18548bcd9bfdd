//! The ends of an interval's processes, and what the processes used.

use std::path::{Path, PathBuf};

use proc_connector::process::Process;

use super::groups::Groups;
use super::keys::{name, user};
use crate::cli::output::names::{Comm, comm};
use crate::cli::output::statistics::rows::{Cgroup, Ends, Name, Row, User};

/// The ends of all processes, and the same by name, user and cgroup.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) all: Ends,
    by_name: Groups<Comm, Ends>,
    by_user: Groups<u32, Ends>,
    by_cgroup: Groups<PathBuf, Ends>,
}

impl Ended {
    pub(super) fn add(&mut self, process: &Process) {
        let by_name = self.by_name.value(comm(process).as_ref());
        let by_user = self.by_user.value(user(process).as_ref());
        let by_cgroup = self.by_cgroup.value::<Path>(process.cgroup());
        for ends in [&mut self.all, by_name, by_user, by_cgroup] {
            ends.count += 1;
            let is_failure = process.exit_status().is_some_and(|status| !status.success());
            ends.failed += u64::from(is_failure);
            if let Some(usage) = process.usage() {
                ends.measured += 1;
                ends.usage = Some(ends.usage.map_or(usage, |sum| sum + usage));
            }
        }
    }

    pub(super) fn by_name(&self, top: usize) -> Vec<Row<Name, Ends>> {
        rows(&self.by_name, top, name)
    }

    pub(super) fn by_user(
        &self,
        top: usize,
        key: impl FnMut(Option<u32>) -> User,
    ) -> Vec<Row<User, Ends>> {
        rows(&self.by_user, top, key)
    }

    pub(super) fn by_cgroup(&self, top: usize) -> Vec<Row<Cgroup, Ends>> {
        rows(&self.by_cgroup, top, Cgroup)
    }
}

/// The rows with the most CPU time; among equals, with the most processes.
fn rows<K, R>(
    groups: &Groups<K, Ends>,
    top: usize,
    mut key: impl FnMut(Option<K>) -> R,
) -> Vec<Row<R, Ends>>
where
    K: Clone + Eq + std::hash::Hash + Ord,
{
    let rows = groups.highest(top, |ends| (ends.cpu_ns(), ends.count)).into_iter();
    rows.map(|(found, value)| Row { key: key(found), value }).collect()
}
