//! What a selector does with events whose contexts are complete, as simply as possible.

use std::collections::BTreeMap;

use proc_connector_core::Filter;
use proc_connector_core::filter::{NamePattern, TreeRoot};
use proc_connector_core::testing::filters::{FilterModel, RawEvent};
use proc_connector_core::testing::kinds::{COMM, EXEC, EXIT, FORK, PTRACE, UID};

/// The conditions of a filter. A name has its pattern, and its bytes for the model.
#[derive(Clone, Debug)]
pub struct Conditions {
    pub kinds: FilterModel,
    pub roots: Vec<TreeRoot>,
    pub programs: Vec<(NamePattern, Vec<u8>)>,
    pub cgroups: Vec<u64>,
    pub users: Vec<u32>,
    pub names: Vec<(NamePattern, Vec<u8>)>,
}

/// An event with the properties of its acting task.
#[derive(Clone, Debug)]
pub struct Action {
    pub event: RawEvent,
    pub tgid: u32,
    pub start: u64,
    pub child_start: u64,
    pub is_over: bool,
    pub users: [u32; 2],
    pub name: [u8; 16],
    pub cgroups: [u64; 3],
}

/// When a followed process was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// A root without an event so far, and its start to a tick.
    Expected(Option<u64>),
    Unknown,
    Known(u64),
}

/// The followed processes.
#[derive(Debug)]
pub struct Model {
    pub conditions: Conditions,
    members: BTreeMap<u32, Start>,
    over: BTreeMap<u32, u64>,
}

const TICK_NS: u64 = 10_000_000;

impl Conditions {
    pub fn filter(&self) -> Filter {
        let patterns = |names: &[(NamePattern, Vec<u8>)]| -> Vec<NamePattern> {
            names.iter().map(|(pattern, _)| *pattern).collect()
        };
        self.kinds
            .filter()
            .descendants_of(&self.roots)
            .and_then(|filter| filter.descendants_of_programs(&patterns(&self.programs)))
            .and_then(|filter| filter.in_cgroups(&self.cgroups))
            .and_then(|filter| filter.of_users(&self.users))
            .and_then(|filter| filter.named(&patterns(&self.names)))
            .expect("few alternatives")
    }
}

impl Model {
    pub fn new(conditions: Conditions) -> Self {
        let root = |root: &TreeRoot| (root.tgid, Start::Expected(root.start_boottime_ns));
        let members = conditions.roots.iter().map(root).collect();
        Self { conditions, members, over: BTreeMap::new() }
    }

    pub fn follow(&mut self, tgid: u32, start: Option<u64>) {
        let before = match self.members.get(&tgid) {
            Some(Start::Known(start) | Start::Expected(Some(start))) => Some(*start),
            _ => None,
        };
        let start = start.or(before).map_or(Start::Unknown, Start::Known);
        self.members.insert(tgid, start);
    }

    pub fn unfollow(&mut self, tgid: u32) {
        self.members.remove(&tgid);
    }

    /// Whether an event passes.
    pub fn matches(&mut self, action: &Action) -> bool {
        let follows = !self.conditions.roots.is_empty() || !self.conditions.programs.is_empty();
        let is_descendant = !follows || self.note(action);
        let conditions = &self.conditions;
        let [_, _, third, fourth, ..] = action.event.words;
        let users = if action.event.what == UID { [third, fourth] } else { action.users };
        is_descendant
            && conditions.kinds.passes(&action.event)
            && (conditions.users.is_empty() || users.iter().any(|id| conditions.users.contains(id)))
            && (conditions.names.is_empty() || is_named(&conditions.names, action))
            && (conditions.cgroups.is_empty()
                || action.cgroups.iter().any(|id| conditions.cgroups.contains(id)))
    }

    fn note(&mut self, action: &Action) -> bool {
        let [_, second, third, fourth, ..] = action.event.words;
        let is_member = self.is_member(action.tgid, action.start);
        if is_member && action.event.what != PTRACE {
            self.members.insert(action.tgid, Start::Known(action.start));
        }
        match action.event.what {
            FORK if third == fourth && is_member => {
                self.members.insert(third, Start::Known(action.child_start));
            }
            FORK if third == fourth => match self.members.get(&third) {
                Some(Start::Expected(start)) if is_same_tick(*start, action.child_start) => {
                    self.members.insert(third, Start::Known(action.child_start));
                }
                Some(Start::Expected(_)) | None => {}
                Some(_) => drop(self.members.remove(&third)),
            },
            EXEC if !is_member && is_named(&self.conditions.programs, action) => {
                self.members.insert(action.tgid, Start::Known(action.start));
                return true;
            }
            EXIT if is_member && action.is_over => {
                self.members.remove(&action.tgid);
                self.over.insert(action.tgid, action.start);
            }
            EXIT if self.over.get(&action.tgid) == Some(&action.start) => return true,
            PTRACE => {
                let is_traced = match self.members.get(&second) {
                    Some(Start::Expected(start)) => start.is_none(),
                    other => other.is_some(),
                };
                return is_member || is_traced;
            }
            _ => {}
        }
        is_member
    }

    fn is_member(&self, tgid: u32, start: u64) -> bool {
        match self.members.get(&tgid) {
            None => false,
            Some(Start::Unknown) => true,
            Some(Start::Known(known)) => *known == start,
            Some(Start::Expected(expected)) => is_same_tick(*expected, start),
        }
    }
}

fn is_same_tick(expected: Option<u64>, start: u64) -> bool {
    expected.is_none_or(|expected| expected / TICK_NS == start / TICK_NS)
}

fn is_named(names: &[(NamePattern, Vec<u8>)], action: &Action) -> bool {
    let mut comm = action.name;
    if action.event.what == COMM {
        for (bytes, word) in comm.chunks_exact_mut(4).zip(&action.event.words[2..]) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
    }
    let len = comm[..15].iter().position(|&byte| byte == 0).unwrap_or(15);
    let comm = &comm[..len];
    names.iter().any(|(pattern, text)| {
        if pattern.is_prefix() { comm.starts_with(text) } else { comm == text.as_slice() }
    })
}
