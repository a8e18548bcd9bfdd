//! Counts verdicts by field, and keeps the first failures.

use std::collections::BTreeMap;
use std::fmt;

use super::judge::{Judged, Verdict};
use crate::behaviour::truth::Truth;

/// Verdicts by field.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Right, missing and wrong.
    fields: BTreeMap<&'static str, [usize; 3]>,
    /// Wrong or missing fields by behaviour, with their number and one example.
    pub(crate) failures: BTreeMap<(String, &'static str), Failure>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    pub(crate) missing: usize,
    pub(crate) wrong: usize,
    example: String,
}

impl Tally {
    pub(crate) fn add(&mut self, truth: &Truth, judged: Vec<Judged>) {
        for (field, verdict) in judged {
            let counts = self.fields.entry(field).or_default();
            let wrong = match verdict {
                Verdict::Right => {
                    counts[0] += 1;
                    continue;
                }
                Verdict::Missing => {
                    counts[1] += 1;
                    None
                }
                Verdict::Wrong(detail) => {
                    counts[2] += 1;
                    Some(format!("{} {}: {detail}", truth.behaviour, truth.tgid))
                }
            };
            self.failures.entry((truth.behaviour.clone(), field)).or_default().add(wrong);
        }
    }
}

impl Failure {
    /// Combines two failures.
    pub(crate) fn join(&mut self, other: &Self) {
        self.missing += other.missing;
        self.wrong += other.wrong;
        if self.example.is_empty() {
            self.example.clone_from(&other.example);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:20} {:>8} {:>8} {:>8}", "field", "right", "None", "wrong")?;
        for (field, [right, missing, wrong]) in &self.fields {
            writeln!(f, "{field:20} {right:>8} {missing:>8} {wrong:>8}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// Adds a wrong value, or a missing one.
    fn add(&mut self, wrong: Option<String>) {
        match wrong {
            None => self.missing += 1,
            Some(example) => {
                self.wrong += 1;
                if self.example.is_empty() {
                    self.example = example;
                }
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrong, {} None", self.wrong, self.missing)?;
        if !self.example.is_empty() {
            write!(f, "; {}", self.example)?;
        }
        Ok(())
    }
}
