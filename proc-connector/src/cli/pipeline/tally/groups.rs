//! Values of processes, grouped by a key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// The maximum number of keys, because processes may give themselves any number of names.
const KEYS: usize = 100_000;

/// A value for each key, and one for processes whose key is unknown.
#[derive(Debug)]
pub(super) struct Groups<K, V> {
    known: HashMap<K, V>,
    unknown: V,
}

impl<K, V: Default> Default for Groups<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), unknown: V::default() }
    }
}

impl<K: Clone + Eq + Hash + Ord, V: Copy + Default + PartialEq> Groups<K, V> {
    /// The value of a key. After the first 100,000 keys, further ones count as unknown.
    pub(super) fn value<Q>(&mut self, key: Option<&Q>) -> &mut V
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let Self { known, unknown } = self;
        let Some(key) = key else { return unknown };
        if !known.contains_key(key) {
            if known.len() >= KEYS {
                return unknown;
            }
            known.insert(key.to_owned(), V::default());
        }
        known.get_mut(key).unwrap_or(unknown)
    }

    /// The rows with the highest ranks; among equals, in the order of their keys.
    pub(super) fn highest<R: Ord>(
        &self,
        top: usize,
        rank: impl Fn(&V) -> R,
    ) -> Vec<(Option<K>, V)> {
        let known = self.known.iter().map(|(key, &value)| (Some(key), value));
        let unknown = Some((None, self.unknown)).filter(|(_, value)| *value != V::default());
        let mut rows: Vec<(Option<&K>, V)> = known.chain(unknown).collect();
        rows.sort_unstable_by(|a, b| rank(&b.1).cmp(&rank(&a.1)).then(a.0.cmp(&b.0)));
        rows.truncate(top);
        rows.into_iter().map(|(key, value)| (key.cloned(), value)).collect()
    }
}
