//! Runs the loop and the listeners.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::listeners::{LOOP_PID, Listener, NAME};

/// How many processes the loop starts.
pub(crate) const LIVES: u32 = 2_000;

/// A directory with the started program and the listeners' output, removed on drop.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lives-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        // Not a link: the listeners show the program under its own name.
        fs::copy("/bin/true", path.join(NAME)).expect("a copy of /bin/true");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is a temporary directory; a failure leaves it to the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A shell that waits, and then starts the program [`LIVES`] times, one after the other.
pub(crate) struct Loop(Child);

impl Loop {
    pub(crate) fn start(scratch: &Scratch) -> Self {
        let script =
            format!("read x; i=0; while [ $i -lt {LIVES} ]; do ./{NAME}; i=$((i+1)); done");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).current_dir(&scratch.0).stdin(Stdio::piped());
        Self(shell.spawn().expect("a shell"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Runs the loop to its end, and returns the time it took.
    pub(crate) fn run(mut self) -> Duration {
        let start = Instant::now();
        self.0.stdin.take().expect("a pipe").write_all(b"\n").expect("it reads");
        assert!(self.0.wait().expect("its end").success());
        start.elapsed()
    }
}

/// The running programs of a listener.
pub(crate) struct Running<'a> {
    listener: &'a Listener,
    children: Vec<Child>,
    /// The output of the first program.
    output: PathBuf,
}

impl<'a> Running<'a> {
    pub(crate) fn start(listener: &'a Listener, loop_pid: u32, scratch: &Scratch) -> Self {
        let path = |index: usize| scratch.file(&format!("output-{index}"));
        let start = |(index, command): (usize, &Vec<String>)| {
            let arguments =
                command[1..].iter().map(|word| word.replace(LOOP_PID, &loop_pid.to_string()));
            Command::new(&command[0])
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(File::create(path(index)).expect("a file"))
                .stderr(Stdio::null())
                .spawn()
                .expect("an installed program")
        };
        let children = listener.commands.iter().enumerate().map(start).collect();
        Self { listener, children, output: path(0) }
    }

    /// The CPU time of the programs so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.children.iter().map(|child| cpu_time(child.id())).sum()
    }

    /// Ends the programs. Returns how many lives they reported.
    pub(crate) fn stop(self) -> u64 {
        for child in self.children {
            interrupt(child);
        }
        let output = BufReader::new(File::open(&self.output).expect("its output"));
        let lines = output.split(b'\n').map(|line| line.expect("a readable file"));
        lines.filter(|line| (self.listener.is_life)(&String::from_utf8_lossy(line))).count() as u64
    }
}

/// Interrupts a program, which then writes the rest of its output, and kills it after five seconds.
pub(crate) fn interrupt(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::INT).expect("a running program");
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > Duration::from_secs(5) {
            child.kill().expect("a running program");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The CPU time of a process's threads: the first number of their `schedstat`, in nanoseconds. The
/// times in `stat` have only the resolution of ticks.
fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a running listener");
    let nanoseconds = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(nanoseconds).sum())
}

/// How many processes and threads were created since the machine started.
pub(crate) fn forks() -> f64 {
    let stat = fs::read_to_string("/proc/stat").expect("/proc is mounted");
    let forks = stat.lines().find_map(|line| line.strip_prefix("processes "));
    forks.and_then(|forks| forks.trim().parse().ok()).expect("a number of processes")
}

/// Whether the listener's programs exist. Prints a message if not.
pub(crate) fn is_installed(listener: &Listener) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let exists = |program: &str| {
        // A program with a path replaces that of the directory.
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    };
    let absent = listener.commands.iter().map(|command| &command[0]).find(|word| !exists(word));
    if let Some(program) = absent {
        eprintln!("{}: left out, {program} is not installed", listener.name);
    }
    absent.is_none()
}

/// The program to measure, built with the profile `release` unless the environment names it.
pub(crate) fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("PROC_CONNECTOR_PROGRAM") {
        return fs::canonicalize(program).expect("the program to measure");
    }
    // This bench is in the target directory's `release/deps`.
    let own = std::env::current_exe().expect("/proc is mounted");
    let target = own.ancestors().nth(3).expect("a target directory");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--features", "cli", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .status();
    assert!(status.expect("cargo").success(), "the program does not build");
    target.join("release/proc-connector")
}
