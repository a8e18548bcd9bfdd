//! The program `trace`, and its trees.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use super::helper_process::command;
use super::program::{program, text};
use super::transport_name;

/// The program, tracing a role.
pub(crate) fn trace(options: &[&str], role: &str) -> Command {
    let arguments = [&["trace", "--transport", transport_name()], options, &["--"]].concat();
    let mut program = program(&arguments);
    let traced = command(role);
    program.arg(traced.get_program());
    for (key, value) in traced.get_envs() {
        program.env(key, value.expect("a value"));
    }
    program
}

pub(crate) fn run_traced(options: &[&str], role: &str) -> Output {
    trace(options, role).output().expect("the program runs")
}

/// The names and process ids that a role printed.
pub(crate) fn printed_ids(output: &[u8]) -> BTreeMap<&str, u32> {
    text(output)
        .lines()
        .map(|line| line.split_once(' ').expect("a name and a number"))
        .map(|(name, number)| (name, number.parse().expect("a number")))
        .collect()
}

/// The single line of a tree with a process.
pub(crate) fn line_of(tree: &str, pid: u32) -> &str {
    let pid = pid.to_string();
    let mut lines = tree.lines().filter(|line| line.split_whitespace().next() == Some(&pid));
    let line = lines.next().unwrap_or_else(|| panic!("no {pid} in {tree}"));
    assert_eq!(lines.next(), None, "twice in {tree}");
    line
}

/// The indentation of the command.
pub(crate) fn depth(line: &str) -> usize {
    let before = line.split(['├', '└']).next().expect("a text");
    if before.len() == line.len() { 0 } else { before.chars().count() }
}
