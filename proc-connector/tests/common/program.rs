//! The program, started as its users do.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use proc_connector::Transport;

use super::scratch::ScratchFile;
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

/// Starts a command that listens, and returns when it does: every later event is received.
pub(crate) fn listening(mut command: Command) -> Child {
    let scratch = ScratchFile::new("notify");
    let manager = UnixDatagram::bind(scratch.path()).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let child = command.env("NOTIFY_SOCKET", scratch.path()).spawn().expect("the program runs");
    manager.recv(&mut [0; 100]).expect("it listens");
    child
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Waits until a shell that runs a script is what it will be, after `env` if that comes first.
pub(crate) fn wait_for_name(pid: u32, is_after_env: bool) {
    let deadline = super::Deadline::new();
    loop {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = args.split(|&byte| byte == 0).next().unwrap_or_default();
        let is_there = if is_after_env { program == b"sh" } else { program == b"/bin/sh" };
        if is_there {
            return;
        }
        assert!(deadline.left().is_some(), "{}", String::from_utf8_lossy(&args));
        std::thread::sleep(Duration::from_millis(1));
    }
}
