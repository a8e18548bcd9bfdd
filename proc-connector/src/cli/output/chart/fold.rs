//! Groups similar siblings, which a tree shows on one line.

use std::collections::HashMap;
use std::hash::Hash;

use super::forest::Forest;

/// The smallest group: fewer equal siblings get a line each.
const MIN_GROUP: usize = 4;
/// With more groups than this, siblings that differ only in their arguments are grouped too.
const MAX_GROUPS: usize = 40;

/// One process, or several similar ones.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// In the order of their starts; never empty.
    pub(crate) members: Vec<usize>,
    /// Whether the members have only the name and the exit status in common.
    pub(crate) varied: bool,
}

impl Group {
    pub(crate) fn single(index: usize) -> Self {
        Self { members: vec![index], varied: false }
    }
}

/// Groups similar siblings. Each group has the place of its first member.
pub(crate) fn fold(forest: &Forest, siblings: &[usize]) -> Vec<Group> {
    let life = |index: usize| &forest.lives[index];
    let end = |index| (life(index).runs(), life(index).status);
    let groups = siblings.iter().copied().map(Group::single).collect();
    let groups = merge(groups, false, |index| (life(index).brief(), end(index)));
    if groups.len() <= MAX_GROUPS {
        return groups;
    }
    merge(groups, true, |index| (life(index).name(), end(index)))
}

/// Merges groups whose first members have the same key, if the merged group is large enough.
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
        if groups.len() == 1 || members < MIN_GROUP {
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
