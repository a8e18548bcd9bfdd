//! The program `proc-connector`: process events at the command line.

// The macros of these panic where a stream is closed or full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
