//! How the program refuses.

use std::process::Output;

use super::program::text;

/// Asserts that the program ended with a status, and what it said; gives that.
pub(crate) fn assert_fails<'a>(
    arguments: &[&str],
    output: &'a Output,
    code: i32,
    says: &str,
) -> &'a str {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(errors.contains(says), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    errors
}
