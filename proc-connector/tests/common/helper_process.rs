//! Processes to watch: this test binary, started again to play an act.
//!
//! Nothing else needs to be installed, so the tests also run as the only program of a machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};

use super::Named;
use super::watch::Task;

/// Which act the process is to play.
const ROLE: &str = "PROC_CONNECTOR_TEST_ROLE";

/// Plays the act this process was started for, if it was.
pub(super) fn play(roles: &[Named]) -> Option<ExitCode> {
    let name = std::env::var(ROLE).ok()?;
    let (_, role) = roles.iter().find(|(known, _)| *known == name).expect("a known role");
    role();
    Some(ExitCode::SUCCESS)
}

/// A process that plays an act.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl HelperProcess {
    pub(crate) fn start(role: &str) -> Self {
        Self::start_in(role, &std::env::current_dir().expect("a current folder"))
    }

    pub(crate) fn start_in(role: &str, folder: &Path) -> Self {
        let mut child = command(role)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary can be started");
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdin, stdout }
    }

    /// Its process id, which is also the thread id of its first thread.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its first thread.
    pub(crate) fn task(&self) -> Task {
        (self.pid(), self.pid())
    }

    /// The next number that it [says](say).
    pub(crate) fn read_number(&mut self) -> u32 {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim().parse().expect("a number")
    }

    /// Ends its [pause].
    pub(crate) fn resume(&mut self) {
        self.stdin.write_all(b"\n").expect("the process reads");
    }

    /// Writes a number that it reads.
    pub(crate) fn write_number(&mut self, number: u32) {
        writeln!(self.stdin, "{number}").expect("the process reads");
    }

    /// Its end, as the system tells a parent. To be asked for after its exit was seen: a zombie
    /// that is reaped at once may be gone before the kernel notes its parent in the event.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the act: tells the test a number.
pub(crate) fn print_number(number: u32) {
    println!("{number}");
}

/// In the act: waits until the test lets it go on.
pub(crate) fn pause() {
    std::io::stdin().read_line(&mut String::new()).expect("a line");
}

/// In the act: the same process goes on with another act. Only returns to fail.
pub(crate) fn exec_role(role: &str) -> ! {
    panic!("{}", command(role).exec())
}

pub(crate) fn command(role: &str) -> Command {
    with_role(role, Command::new(std::env::current_exe().expect("/proc is mounted")))
}

/// A command below which this binary plays an act.
pub(crate) fn with_role(role: &str, mut command: Command) -> Command {
    command.env(ROLE, role);
    command
}
