//! Reads the lines that the program prints while it listens.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proc_connector::Transport;

use super::{load, transport};

/// The option that selects the transport of this test.
pub(crate) fn transport_option() -> &'static str {
    match transport() {
        Transport::Ring => "--transport=ring",
        _ => "--transport=socket",
    }
}

/// Options of a watch over the transport of this test. The buffer suffices for a busy machine; the
/// duration limits a test that fails.
pub(crate) fn watch(options: &[&'static str]) -> Vec<&'static str> {
    let always = ["watch", transport_option(), "--buffer", "100000", "--duration", "60s"];
    [&always, options].concat()
}

/// A program that prints lines until it is interrupted.
#[derive(Debug)]
pub(crate) struct LiveOutput {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl LiveOutput {
    /// Starts the program, and creates processes until it prints the first of them.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let stdout = child.stdout.take().expect("a pipe");
        let mut output = Self { child, lines: BufReader::new(stdout).lines() };
        let create = || {
            Command::new("true").status().expect("a program of every system");
        };
        load::repeat_during(create, || output.next());
        output
    }

    fn next(&mut self) -> String {
        let Some(line) = self.lines.next() else {
            let mut errors = String::new();
            let mut stderr = self.child.stderr.take().expect("a pipe");
            stderr.read_to_string(&mut errors).expect("text");
            panic!("the program ended: {errors}");
        };
        line.expect("text")
    }

    /// Returns the first line that matches.
    pub(crate) fn line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.next();
            if is_wanted(&line) {
                return line;
            }
        }
    }
}

impl Drop for LiveOutput {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        let _ = kill(pid, Signal::SIGINT);
        self.lines.by_ref().for_each(drop);
        let _ = self.child.wait();
    }
}
