//! Results of tests and examples.

use std::collections::BTreeMap;

/// Results by the name of a test or an example.
pub(super) type Results = BTreeMap<String, Outcome>;

/// The result of a test or an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Ignored,
}
