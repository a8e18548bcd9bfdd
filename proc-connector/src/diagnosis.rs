//! What was found out about listening on this machine, check by check.

use std::fmt;

/// What [`diagnose`](crate::diagnose) found, check by check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// One for each check, in the order of what depends on what.
    pub findings: Vec<Finding>,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What that means for listening.
    pub verdict: Verdict,
    /// What was found.
    pub fact: String,
    /// What to do about it, where there is something to do.
    pub remedy: Option<String>,
}

/// What a finding means for listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Listening works, with less.
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
    /// The worst of the verdicts.
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
