//! Which processes belong to the chosen trees.

use std::collections::{HashMap, VecDeque};

use proc_connector::process::Process;

use crate::cli::values;

/// How many that left a tree are still known as part of it: their exits may come late, and so may
/// the forks of what they made. As many as the table keeps.
const LEFT: usize = 4096;

/// The trees, and who is part of one.
#[derive(Debug)]
pub(crate) struct Trees {
    roots: Vec<Root>,
    /// By their serials, which no other process gets; with the number of its leaving for one that left.
    members: HashMap<u64, Option<u64>>,
    left: VecDeque<(u64, u64)>,
    leavings: u64,
}

/// What a tree starts from.
#[derive(Debug)]
enum Root {
    /// The process that has this id, or the first to get it; none that gets it later.
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
        Self { roots, members: HashMap::new(), left: VecDeque::new(), leavings: 0 }
    }

    /// Whether no tree was chosen, so that every process is of interest.
    pub(crate) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Whether a process is part of a tree, or was until it ended.
    pub(crate) fn contains(&self, process: &Process) -> bool {
        self.members.contains_key(&process.serial())
    }

    /// Takes note of a process that is new, runs another program, or is there again. It is part of a
    /// tree for as long as it runs, whatever becomes of those between it and the root.
    pub(crate) fn join(&mut self, process: &Process, is_called: impl Fn(&str) -> bool) {
        let serial = process.serial();
        let mut is_member = process.creator().is_some_and(|it| self.members.contains_key(&it));
        for root in &mut self.roots {
            is_member |= match root {
                Root::Id { tgid, serial: known } => {
                    *tgid == process.tgid() && *known.get_or_insert(serial) == serial
                }
                Root::Name(name) => is_called(name),
            };
        }
        if is_member || self.members.contains_key(&serial) {
            self.members.insert(serial, None);
        }
    }

    /// Takes note of a process that ended or is gone. It is forgotten when many others have left.
    pub(crate) fn leave(&mut self, process: &Process) {
        let serial = process.serial();
        let Some(member) = self.members.get_mut(&serial) else { return };
        self.leavings += 1;
        *member = Some(self.leavings);
        self.left.push_back((serial, self.leavings));
        if self.left.len() > LEFT {
            let Some((serial, leaving)) = self.left.pop_front() else { return };
            if self.members.get(&serial) == Some(&Some(leaving)) {
                self.members.remove(&serial);
            }
        }
    }

    /// How many are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }
}
