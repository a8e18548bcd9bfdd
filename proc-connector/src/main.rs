//! The program `proc-connector`: process events on the command line.

// All text is written by `cli::shown`, which escapes untrusted text and, unlike these macros, does not
// panic if a stream is closed or full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
