//! Assertions about failures of the program.

use std::process::Output;

use super::program::text;

/// Asserts the exit status, a part of the error text, and that standard output is empty. Returns
/// the error text.
pub(crate) fn assert_fails<'a>(
    arguments: &[&str],
    output: &'a Output,
    code: i32,
    message: &str,
) -> &'a str {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(errors.contains(message), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    errors
}
