//! A process that causes events: this program, started again with a task in its environment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A process that waits until it is resumed, so that the measured time excludes its creation.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl HelperProcess {
    /// Starts the process with a variable in its environment, and waits until it is ready.
    pub(crate) fn start(variable: &str, value: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("/proc is mounted"))
            .env(variable, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary can be started");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut helper = Self { child, output };
        helper.line();
        helper
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn resume(&mut self) {
        self.child.stdin.take().expect("a pipe").write_all(b"\n").expect("it reads");
    }

    /// Waits for the next line of the process.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }

    pub(crate) fn wait(mut self) {
        assert!(self.child.wait().expect("its end").success());
    }
}

/// In the process: waits until it is resumed.
pub(crate) fn wait_until_resumed() {
    println!("ready");
    std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
}
