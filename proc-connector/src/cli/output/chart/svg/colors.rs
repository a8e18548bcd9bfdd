//! Colours of programs. The programs with the longest run times have different colours.

use std::collections::HashMap;

use super::super::forest::{Forest, Life};

/// The style classes for programs.
const CLASSES: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];

#[derive(Debug)]
pub(super) struct Colors<'a>(HashMap<&'a str, &'static str>);

impl<'a> Colors<'a> {
    pub(super) fn new(forest: &'a Forest) -> Self {
        let mut times: HashMap<&str, u64> = HashMap::new();
        for (index, life) in forest.lives.iter().enumerate() {
            let Some(name) = life.program() else { continue };
            let time = times.entry(name).or_default();
            *time = time.saturating_add(forest.duration(index));
        }
        let mut names: Vec<_> = times.into_iter().collect();
        // Sorted by name too, so that the same processes always result in the same chart.
        names.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b)));
        let classes = CLASSES.into_iter().cycle();
        Self(names.into_iter().map(|(name, _)| name).zip(classes).collect())
    }

    pub(super) fn class(&self, life: &Life) -> &'static str {
        let named = life.program().and_then(|name| self.0.get(name));
        // Without a known program, neighbours get different colours.
        named.copied().unwrap_or(CLASSES[life.tgid as usize % CLASSES.len()])
    }
}
