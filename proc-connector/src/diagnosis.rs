//! The result of checking whether this machine can listen to process events.

use std::fmt;

/// The findings of [`diagnose`](crate::diagnose).
///
/// ```
/// use proc_connector::{Verdict, diagnose};
///
/// let diagnosis = diagnose();
/// for finding in &diagnosis.findings {
///     println!("{:<10} {:<16} {}", finding.verdict, finding.check, finding.fact);
/// }
/// if diagnosis.verdict() == Verdict::Fails {
///     println!("this process cannot listen to process events");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// One finding per check. A check follows those that it depends on.
    pub findings: Vec<Finding>,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// The consequence for listening.
    pub verdict: Verdict,
    /// The observed fact.
    pub fact: String,
    /// How to improve the situation, if possible.
    pub remedy: Option<String>,
}

/// The consequence of a finding for listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Verdict {
    /// No restriction.
    Ok,
    /// Listening works with restrictions.
    Limited,
    /// Listening does not work.
    Fails,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Fails => "fails",
        })
    }
}

impl Diagnosis {
    /// The worst verdict of all findings.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }
}

pub(crate) fn finding(check: &'static str, verdict: Verdict, fact: impl Into<String>) -> Finding {
    Finding { check, verdict, fact: fact.into(), remedy: None }
}

impl Finding {
    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
