//! Many alike become one: which siblings a tree shows on a line of their own.

use std::collections::HashMap;
use std::hash::Hash;

use super::forest::Forest;

/// Fewer equal siblings than this are shown one by one.
const RUN: usize = 4;
/// More siblings than this are also put together if only their arguments differ.
const CROWD: usize = 40;

/// One process, or some that are alike.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The first is the one that began first; never empty.
    pub(crate) members: Vec<usize>,
    /// Whether they only have the name and the end in common.
    pub(crate) varied: bool,
}

impl Group {
    pub(crate) fn one(index: usize) -> Self {
        Self { members: vec![index], varied: false }
    }
}

/// Puts together what is alike, each group at the place of its first member.
pub(crate) fn fold(forest: &Forest, siblings: &[usize]) -> Vec<Group> {
    let life = |index: usize| &forest.lives[index];
    let end = |index| (life(index).runs(), life(index).status);
    let groups = siblings.iter().copied().map(Group::one).collect();
    let groups = merge(groups, false, |index| (life(index).brief(), end(index)));
    if groups.len() <= CROWD {
        return groups;
    }
    merge(groups, true, |index| (life(index).name(), end(index)))
}

/// Merges groups whose first members have the same key, where that makes a long one.
fn merge<K: Hash + Eq>(groups: Vec<Group>, varied: bool, key: impl Fn(usize) -> K) -> Vec<Group> {
    let mut numbers: HashMap<K, usize> = HashMap::new();
    let mut alike: Vec<Vec<(usize, Group)>> = Vec::new();
    for (place, group) in groups.into_iter().enumerate() {
        let next = alike.len();
        let number = *numbers.entry(key(group.members[0])).or_insert(next);
        if number == next {
            alike.push(Vec::new());
        }
        alike[number].push((place, group));
    }
    let mut merged: Vec<(usize, Group)> = Vec::new();
    for groups in alike {
        let members: usize = groups.iter().map(|(_, group)| group.members.len()).sum();
        if groups.len() == 1 || members < RUN {
            merged.extend(groups);
            continue;
        }
        let place = groups[0].0;
        let members = groups.into_iter().flat_map(|(_, group)| group.members).collect();
        merged.push((place, Group { members, varied }));
    }
    merged.sort_by_key(|&(place, _)| place);
    merged.into_iter().map(|(_, group)| group).collect()
}
