//! The program `proc-connector`: process events at the command line.

// Human-readable output goes through `cli::shown`, which escapes untrusted text.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
