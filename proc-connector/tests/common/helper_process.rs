//! Processes under observation: this test binary, started again with a role.
//!
//! Nothing else must be installed, so the tests can also run as the only program of a machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};

use super::Named;
use super::watch::Task;

/// The environment variable that contains the role.
pub(crate) const ROLE: &str = "PROC_CONNECTOR_TEST_ROLE";

/// Plays the role for which this process was started, if any.
pub(super) fn play(roles: &[Named]) -> Option<ExitCode> {
    let name = std::env::var(ROLE).ok()?;
    let (_, role) = roles.iter().find(|(known, _)| *known == name).expect("a known role");
    role();
    Some(ExitCode::SUCCESS)
}

/// A process that plays a role.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl HelperProcess {
    pub(crate) fn start(role: &str) -> Self {
        Self::start_in(role, &std::env::current_dir().expect("a current directory"))
    }

    pub(crate) fn start_in(role: &str, directory: &Path) -> Self {
        let mut command = command(role);
        command.current_dir(directory);
        Self::spawn(command)
    }

    /// Starts a role that begins with a [pause], and waits until it pauses.
    pub(crate) fn start_paused(role: &str) -> Self {
        Self::start(role).paused()
    }

    /// Waits until the process pauses. The kernel reports the exec of a process after this one has
    /// learned that it succeeded.
    pub(crate) fn paused(self) -> Self {
        let deadline = super::Deadline::new();
        let stat = format!("/proc/{}/stat", self.pid());
        while !std::fs::read_to_string(&stat).expect("a process").contains(") S ") {
            assert!(deadline.left().is_some(), "it does not pause");
            std::thread::yield_now();
        }
        self
    }

    /// Starts a [`command`].
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary can be started");
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdin, stdout }
    }

    /// The process id, which is also the thread id of the first thread.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first thread.
    pub(crate) fn task(&self) -> Task {
        (self.pid(), self.pid())
    }

    /// Reads the next number that the process [prints](print_number).
    pub(crate) fn read_number(&mut self) -> u32 {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim().parse().expect("a number")
    }

    /// Ends a [pause] of the process.
    pub(crate) fn resume(&mut self) {
        self.stdin.write_all(b"\n").expect("the process reads");
    }

    /// Writes a number to the standard input of the process.
    pub(crate) fn write_number(&mut self, number: u32) {
        writeln!(self.stdin, "{number}").expect("the process reads");
    }

    /// Waits for the end of the process. Must be called after its exit was received: if a zombie is
    /// reaped earlier, the kernel may not record its parent in the event.
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

/// Plays a role to its end. Returns the process id.
pub(crate) fn run_to_end(role: &str) -> u32 {
    let mut child = command(role).spawn().expect("this binary can be started");
    child.wait().expect("an exit status");
    child.id()
}

/// In a role: sends a number to the test.
pub(crate) fn print_number(number: u32) {
    println!("{number}");
}

/// In a role: waits until the test resumes it.
pub(crate) fn pause() {
    std::io::stdin().read_line(&mut String::new()).expect("a line");
}

/// In a role: executes this binary with another role. Panics if that fails.
pub(crate) fn exec_role(role: &str) -> ! {
    panic!("{}", command(role).exec())
}

pub(crate) fn command(role: &str) -> Command {
    with_role(role, Command::new(std::env::current_exe().expect("/proc is mounted")))
}

/// Makes a command run this binary with a role, directly or through another program.
pub(crate) fn with_role(role: &str, mut command: Command) -> Command {
    command.env(ROLE, role);
    command
}
