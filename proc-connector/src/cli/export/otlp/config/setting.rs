//! Errors in the configuration.

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{setting}: {problem}")]
pub(crate) struct BadSetting {
    /// The variable or option.
    setting: String,
    problem: String,
}

impl BadSetting {
    pub(super) fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into() }
    }
}
