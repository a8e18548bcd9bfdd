//! The program `proc-connector`: process events at the command line.

// What goes to a terminal goes through `cli::shown`, which escapes what others chose.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
