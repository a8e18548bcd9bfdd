//! The live processes by id, and the live children of each.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::hasher::ById;
use super::process::Process;
use super::stale::Stale;

/// No process: the kernel does not assign this id.
const NONE: u32 = 0;

/// Live processes. The children of a process form a list through the ids of its siblings.
#[derive(Debug, Default)]
pub(super) struct Live {
    nodes: ById<u32, Node>,
    /// The first child of each process with children. The process may be unknown.
    first_children: ById<u32, u32>,
}

#[derive(Debug)]
struct Node {
    process: Arc<Process>,
    /// The parent in whose list the process is; [`NONE`] if it is in no list.
    parent: u32,
    next: u32,
    previous: u32,
}

impl Live {
    #[inline]
    pub(super) fn get(&self, tgid: u32) -> Option<&Process> {
        self.shared(tgid).map(|process| &**process)
    }

    #[inline]
    pub(super) fn shared(&self, tgid: u32) -> Option<&Arc<Process>> {
        self.nodes.get(&tgid).map(|node| &node.process)
    }

    /// The process, for changes to anything but its parent.
    #[inline]
    pub(super) fn get_mut(&mut self, tgid: u32) -> Option<&mut Process> {
        self.nodes.get_mut(&tgid).map(|node| Arc::make_mut(&mut node.process))
    }

    pub(super) fn contains(&self, tgid: u32) -> bool {
        self.nodes.contains_key(&tgid)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.nodes.values().map(|node| &*node.process)
    }

    pub(super) fn for_each_mut(&mut self, change: impl Fn(&mut Process)) {
        self.nodes.values_mut().for_each(|node| change(Arc::make_mut(&mut node.process)));
    }

    /// Adds a process. A previous one with its id is dropped.
    #[inline]
    pub(super) fn insert(&mut self, process: Process) {
        let tgid = process.tgid;
        let parent = process.parent.filter(|_| tgid != NONE).unwrap_or(NONE);
        let process = Arc::new(process);
        let node = Node { process, parent, next: NONE, previous: NONE };
        if let Some(before) = self.nodes.insert(tgid, node) {
            self.unlink(before.parent, before.next, before.previous);
        }
        let next = self.link(tgid, parent);
        if next != NONE {
            if let Some(node) = self.nodes.get_mut(&tgid) {
                node.next = next;
            }
        }
    }

    pub(super) fn remove(&mut self, tgid: u32) -> Option<Arc<Process>> {
        let node = self.nodes.remove(&tgid)?;
        self.unlink(node.parent, node.next, node.previous);
        Some(node.process)
    }

    /// Changes the parent of a process.
    pub(super) fn move_to_parent(&mut self, tgid: u32, parent: Option<u32>) {
        let Some(node) = self.nodes.get_mut(&tgid) else { return };
        let is_stale = node.process.stale.contains(Stale::PARENT);
        if is_stale || node.process.parent != parent {
            let process = Arc::make_mut(&mut node.process);
            process.parent = parent;
            process.stale -= Stale::PARENT;
        }
        let (from, next, previous) = (node.parent, node.next, node.previous);
        let parent = parent.filter(|_| tgid != NONE).unwrap_or(NONE);
        self.unlink(from, next, previous);
        let next = self.link(tgid, parent);
        if let Some(node) = self.nodes.get_mut(&tgid) {
            (node.parent, node.next, node.previous) = (parent, next, NONE);
        }
    }

    /// The live children of a process.
    pub(super) fn children(&self, tgid: u32) -> impl Iterator<Item = u32> {
        let first = self.first_children.get(&tgid).copied();
        std::iter::successors(first, |child| {
            self.nodes.get(child).map(|node| node.next).filter(|&next| next != NONE)
        })
    }

    /// Makes a process the first in the list of its parent, and returns the next one.
    fn link(&mut self, tgid: u32, parent: u32) -> u32 {
        if parent == NONE {
            return NONE;
        }
        let next = self.first_children.insert(parent, tgid).unwrap_or(NONE);
        if next != NONE {
            if let Some(node) = self.nodes.get_mut(&next) {
                node.previous = tgid;
            }
        }
        next
    }

    /// Joins the neighbours of a process in the list of `parent`.
    fn unlink(&mut self, parent: u32, next: u32, previous: u32) {
        if next != NONE {
            if let Some(node) = self.nodes.get_mut(&next) {
                node.previous = previous;
            }
        }
        if previous != NONE {
            if let Some(node) = self.nodes.get_mut(&previous) {
                node.next = next;
            }
        } else if parent != NONE {
            match self.first_children.entry(parent) {
                Entry::Occupied(mut first) if next != NONE => {
                    first.insert(next);
                }
                Entry::Occupied(first) => {
                    first.remove();
                }
                Entry::Vacant(_) => {}
            }
        }
    }
}
