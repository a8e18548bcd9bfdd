//! A set of thread ids that needs no memory of its own while it is small.

use std::collections::BTreeSet;

/// How many ids are stored in place.
const FEW: usize = 4;

/// A set of thread ids.
#[derive(Clone, Debug)]
pub(super) enum ThreadIds {
    /// The number of ids, and the ids in any order.
    Few(usize, [u32; FEW]),
    Many(BTreeSet<u32>),
}

impl ThreadIds {
    pub(super) const NONE: Self = Self::Few(0, [0; FEW]);

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(len, _) => *len,
            Self::Many(ids) => ids.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the id was missing.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        match self {
            Self::Few(len, ids) => {
                let (known, free) = ids.split_at_mut(*len);
                if known.contains(&id) {
                    return false;
                }
                if let Some(free) = free.first_mut() {
                    *free = id;
                    *len += 1;
                } else {
                    let all = known.iter().copied().chain([id]);
                    *self = Self::Many(all.collect());
                }
                true
            }
            Self::Many(ids) => ids.insert(id),
        }
    }

    /// Returns whether the id was in the set.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::Few(len, ids) => {
                let known = &mut ids[..*len];
                let Some(place) = known.iter().position(|&known| known == id) else { return false };
                known.swap(place, *len - 1);
                *len -= 1;
                true
            }
            Self::Many(ids) => ids.remove(&id),
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::NONE;
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        match self {
            Self::Few(len, ids) => ids[..*len].contains(&id),
            Self::Many(ids) => ids.contains(&id),
        }
    }
}

impl PartialEq for ThreadIds {
    fn eq(&self, other: &Self) -> bool {
        let is_in_other = |id: &u32| other.contains(*id);
        self.len() == other.len()
            && match self {
                Self::Few(len, ids) => ids[..*len].iter().all(is_in_other),
                Self::Many(ids) => ids.iter().all(is_in_other),
            }
    }
}

impl Eq for ThreadIds {}

impl FromIterator<u32> for ThreadIds {
    fn from_iter<T: IntoIterator<Item = u32>>(ids: T) -> Self {
        let mut set = Self::NONE;
        ids.into_iter().for_each(|id| {
            set.insert(id);
        });
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::ThreadIds;

    proptest! {
        #[test]
        fn the_set_equals_one_of_the_standard_library(
            steps in proptest::collection::vec((any::<bool>(), 0..9_u32), 0..60),
        ) {
            let (mut ids, mut expected) = (ThreadIds::NONE, BTreeSet::new());
            for (inserts, id) in steps {
                if inserts {
                    prop_assert_eq!(ids.insert(id), expected.insert(id));
                } else {
                    prop_assert_eq!(ids.remove(id), expected.remove(&id));
                }
                prop_assert_eq!(ids.len(), expected.len());
                prop_assert_eq!(&ids, &expected.iter().copied().collect::<ThreadIds>());
            }
        }
    }
}
