//! The program, started as shells and service managers start it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A recording of a build, which an earlier version made: its events have only ids.
pub(crate) const RECORDING: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/build.pcapng");

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_proc-connector");

/// The program with these arguments, in UTC, without input, and with captured output.
pub(crate) fn program<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    piped(Command::new(PROGRAM), arguments)
}

/// The same for a command that executes the program.
pub(crate) fn piped<A: AsRef<OsStr>>(mut command: Command, arguments: &[A]) -> Command {
    command.args(arguments).env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same, started by a program that executes it, such as `env` with its arguments.
pub(crate) fn started_by(starter: &[&str], arguments: &[&str]) -> Command {
    let words: Vec<&str> = starter.iter().copied().chain([PROGRAM]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    piped(command, arguments)
}

/// The same, started by a shell that first runs some commands.
pub(crate) fn started_by_shell(preparation: &str, arguments: &[&str]) -> Command {
    let script = format!("{preparation}\nexec \"$@\"");
    started_by(&["sh", "-c", &script, "sh"], arguments)
}

pub(crate) fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Output {
    program(arguments).output().expect("the program runs")
}

/// Runs the program with this input.
pub(crate) fn feed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = program(arguments).stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("an exit status");
    // The program may close its input early.
    let _ = feeder.join().expect("a thread without a panic");
    output
}

/// Replays standard input as JSON.
pub(crate) const REPLAY_JSON: [&str; 3] = ["replay", "--json", "-"];

/// Starts a replay of standard input. Returns the replay and the pipe to it.
pub(crate) fn replay(arguments: &[&str]) -> (Running, ChildStdin) {
    let mut replay = Running::start(program(arguments).stdin(Stdio::piped()));
    let stdin = replay.child.stdin.take().expect("a pipe");
    (replay, stdin)
}

/// Starts a `watch` over the transport of this test. The duration limits a test that fails.
pub(crate) fn start_watch(arguments: &[&str]) -> Running {
    let common = ["watch", "--duration", "60s", "--transport", super::transport_name()];
    Running::start(&mut program(&[&common, arguments].concat()))
}

/// The program's output, which is always text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// The JSON objects that the program prints, one a line.
pub(crate) fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Removes the keys about the process of an exit, which depend on other events.
pub(crate) fn remove_end(line: &mut Value) {
    let line = line.as_object_mut().expect("an object");
    line.remove("over");
    line.remove("process_end");
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// Starts the program in its own process group, as shells start a pipeline.
    pub(crate) fn start_in_group(command: &mut Command) -> Self {
        Self::start(command.process_group(0))
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a pid"))
    }

    pub(crate) fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a child that runs");
    }

    /// Waits for the end. Returns the remaining lines and the output.
    pub(crate) fn end(mut self) -> (Vec<String>, Output) {
        let rest = self.lines.by_ref().map(|line| line.expect("text")).collect();
        (rest, self.child.wait_with_output().expect("an exit status"))
    }

    /// Sends a signal that ends the program. Returns the remaining lines and the output.
    pub(crate) fn end_by(self, signal: Signal) -> (Vec<String>, Output) {
        self.send(signal);
        self.end()
    }

    /// Waits until the program has a descriptor of a process.
    pub(crate) fn until_it_waits_for(&self, pid: &str) {
        let (deadline, line) = (crate::common::Deadline::new(), format!("Pid:\t{pid}\n"));
        let directory = format!("/proc/{}/fdinfo", self.child.id());
        let has_descriptor = || {
            let infos = std::fs::read_dir(&directory).ok()?;
            let mut infos =
                infos.filter_map(|info| std::fs::read_to_string(info.ok()?.path()).ok());
            infos.find(|info| info.contains(&line))
        };
        while has_descriptor().is_none() {
            assert!(deadline.left().is_some(), "it does not wait");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Waits until the program was executed and its status satisfies a condition, for example that
    /// it handles SIGTERM.
    pub(crate) fn wait_until(&self, is_ready: impl Fn(&Status) -> bool) -> Status {
        let deadline = crate::common::Deadline::new();
        loop {
            let status = Status::read(self.child.id());
            if is_ready(&status) {
                return status;
            }
            assert!(deadline.left().is_some(), "{status:?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// The contents of `/proc/PID/status`.
#[derive(Debug)]
pub(crate) struct Status(String);

impl Status {
    pub(crate) fn read(pid: u32) -> Self {
        Self(fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process"))
    }

    /// The status as printed by a child.
    pub(crate) fn printed(output: &[u8]) -> Self {
        Self(text(output).to_owned())
    }

    fn number(&self, key: &str, radix: u32) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        u64::from_str_radix(line.trim_start_matches(':').trim(), radix).expect("a number")
    }

    pub(crate) fn ignores(&self, signal: Signal) -> bool {
        self.number("SigIgn", 16) & bit(signal) != 0
    }

    pub(crate) fn handles(&self, signal: Signal) -> bool {
        self.number("SigCgt", 16) & bit(signal) != 0
    }

    pub(crate) fn blocks(&self, signal: Signal) -> bool {
        self.number("SigBlk", 16) & bit(signal) != 0
    }

    pub(crate) fn threads(&self) -> u64 {
        self.number("Threads", 10)
    }

    /// A set of capabilities, such as `CapPrm`.
    pub(crate) fn capabilities(&self, key: &str) -> u64 {
        self.number(key, 16)
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

/// Reads a pipe to its end.
pub(crate) fn read_all(pipe: &mut impl Read) -> String {
    let mut all = String::new();
    pipe.read_to_string(&mut all).expect("text");
    all
}
