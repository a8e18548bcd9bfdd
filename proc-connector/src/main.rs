//! The program `proc-connector`: process events at the command line.

// Text goes through `cli::shown`, which escapes what others chose, and does not panic as the macros do
// where a stream is closed or full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
