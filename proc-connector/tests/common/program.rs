//! The program, started as its users do.

use std::process::{Command, Output, Stdio};

use proc_connector::Transport;

use super::transport;

/// The program with these arguments, no input, and pipes as outputs.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proc-connector"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program runs")
}

/// What an option for this test's transport is to say.
pub(crate) fn transport_name() -> &'static str {
    match transport() {
        Transport::Ring => "ring",
        _ => "socket",
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
