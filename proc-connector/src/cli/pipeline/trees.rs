//! The trees of processes that options select.

use std::collections::{HashMap, VecDeque};

use proc_connector::process::Process;

use crate::cli::values;

/// The number of ended processes that remain members of a tree, because their exits and the forks of
/// their children may be received late. The table keeps the same number.
const ENDED: usize = 4096;

/// The trees, and the processes in them.
#[derive(Debug)]
pub(crate) struct Trees {
    roots: Vec<Root>,
    /// The members by their serials. An ended member has the number of its end.
    members: HashMap<u64, Option<u64>>,
    /// The serials of ended members and the numbers of their ends, the first end first.
    ended: VecDeque<(u64, u64)>,
    ends: u64,
}

/// The root of a tree.
#[derive(Debug)]
enum Root {
    /// The process with this id, or the first process that gets it.
    Id { tgid: u32, serial: Option<u64> },
    /// All processes of this name.
    Name(String),
}

impl Trees {
    /// Trees from the processes of these ids and names.
    pub(crate) fn new(roots: &[values::Root]) -> Self {
        let root = |root: &values::Root| match root {
            values::Root::Pid(tgid) => Root::Id { tgid: *tgid, serial: None },
            values::Root::Name(name) => Root::Name(name.clone()),
        };
        let roots = roots.iter().map(root).collect();
        Self { roots, members: HashMap::new(), ended: VecDeque::new(), ends: 0 }
    }

    /// Whether no tree is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Whether a process is in a tree, or was until it ended.
    pub(crate) fn contains(&self, process: &Process) -> bool {
        self.members.contains_key(&process.serial())
    }

    /// Adds a process that has started, executed a program or appeared, if it belongs to a tree. It
    /// stays in the tree even if the processes between it and the root end.
    pub(crate) fn join(&mut self, process: &Process, has_name: impl Fn(&str) -> bool) {
        let serial = process.serial();
        let mut is_member =
            process.tree_parent().is_some_and(|serial| self.members.contains_key(&serial));
        for root in &mut self.roots {
            is_member |= match root {
                Root::Id { tgid, serial: known } => {
                    *tgid == process.tgid() && *known.get_or_insert(serial) == serial
                }
                Root::Name(name) => has_name(name),
            };
        }
        if is_member || self.members.contains_key(&serial) {
            self.members.insert(serial, None);
        }
    }

    /// Records the end of a process. It leaves the tree after [`ENDED`] other members have ended.
    pub(crate) fn leave(&mut self, process: &Process) {
        let serial = process.serial();
        let Some(member) = self.members.get_mut(&serial) else { return };
        self.ends += 1;
        *member = Some(self.ends);
        self.ended.push_back((serial, self.ends));
        if self.ended.len() > ENDED {
            let Some((serial, end)) = self.ended.pop_front() else { return };
            if self.members.get(&serial) == Some(&Some(end)) {
                self.members.remove(&serial);
            }
        }
    }

    /// The number of members.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }
}
