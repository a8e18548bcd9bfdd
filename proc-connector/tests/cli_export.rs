//! `export otlp`: what a receiver gets.

mod common;

use std::process::{Command, ExitCode, ExitStatus};

use common::helper_process::{HelperProcess, command, exec_role, pause};
use common::named;
use common::otlp::{Receiver, Record};
use common::program::{Running, program, text};
use common::scratch::Scratch;
use nix::sys::signal::{Signal, raise};

fn main() -> ExitCode {
    let roles = named![exits_3, is_killed, executes];
    let live = named![records_have_what_the_processes_did];
    common::main_with(&roles, &[], &live)
}

fn exits_3() {
    std::process::exit(3)
}

fn is_killed() {
    raise(Signal::SIGKILL).expect("an end");
}

/// Executes another role after a pause.
fn executes() {
    pause();
    exec_role("exits_3")
}

/// A running exporter, and its receiver.
struct Exporter {
    receiver: Receiver,
    running: Running,
    _scratch: Scratch,
}

impl Exporter {
    /// Starts the exporter with a spool in a directory of this name, and waits until it receives events.
    fn start(name: &str, options: &[&str]) -> Self {
        let (receiver, scratch) = (Receiver::start(), Scratch::new(name));
        let running = start(&receiver.url(), &scratch.file("spool"), options);
        let exporter = Self { receiver, running, _scratch: scratch };
        exporter.wait_until_it_listens();
        exporter
    }

    fn wait_until_it_listens(&self) {
        let marks = std::cell::RefCell::new(Vec::new());
        self.receiver.wait_for(|records| {
            marks.borrow_mut().push(exit(command("exits_3")).0);
            let marks = marks.borrow();
            records.iter().any(|record| marks.iter().any(|&pid| record.is("process.exit", pid)))
        });
    }

    /// Ends the exporter. Returns all records, and its messages.
    fn end(self) -> (Vec<Record>, String) {
        let (_, output) = self.running.end_by(Signal::SIGINT);
        let messages = text(&output.stderr).to_owned();
        assert!(output.status.success(), "{messages}");
        (self.receiver.records(), messages)
    }
}

fn start(url: &str, spool: &str, options: &[&str]) -> Running {
    let common = [
        "export",
        "otlp",
        "--duration",
        "60s",
        "--batch-age",
        "100ms",
        "--endpoint",
        url,
        "--spool",
        spool,
        "--transport",
        common::transport_name(),
    ];
    Running::start(&mut program(&[&common, options].concat()))
}

/// Runs a command to its end. Returns its process id and status.
fn exit(mut command: Command) -> (u32, ExitStatus) {
    let mut child = command.spawn().expect("this binary can be started");
    (child.id(), child.wait().expect("an exit status"))
}

fn only<'a>(records: &'a [Record], name: &str, pid: u32) -> &'a Record {
    let mut found = records.iter().filter(|record| record.is(name, pid));
    let record = found.next().unwrap_or_else(|| panic!("no {name} of {pid}"));
    assert!(found.next().is_none(), "{name} of {pid} occurs once");
    record
}

fn records_have_what_the_processes_did() {
    let exporter = Exporter::start("records", &[]);
    let before = std::time::SystemTime::now();
    let (exited, _) = exit(command("exits_3"));
    let (killed, _) = exit(command("is_killed"));
    let mut executes = HelperProcess::start("executes");
    let executing = executes.pid();
    executes.resume();
    executes.wait();
    exporter.receiver.wait_for(|records| {
        [exited, killed, executing]
            .iter()
            .all(|&pid| records.iter().any(|record| record.is("process.exit", pid)))
    });
    let (records, messages) = exporter.end();
    assert!(messages.contains(" lost, "), "{messages}");

    let me = i64::from(std::process::id());
    let exe = std::env::current_exe().expect("/proc is mounted");
    for (pid, code, signal) in
        [(exited, Some(3), None), (killed, None, Some(9)), (executing, Some(3), None)]
    {
        let fork = only(&records, "process.fork", pid);
        let end = only(&records, "process.exit", pid);
        assert_eq!(fork.number("process.parent_pid"), Some(me));
        assert_eq!(end.number("process.exit.code"), code);
        assert_eq!(end.number("proc_connector.exit.signal"), signal);
        assert_eq!(end.text("process.creation.time"), fork.text("process.creation.time"));
        assert!(end.text("process.creation.time").is_some());
        assert_eq!(end.text("process.executable.name"), exe.file_name().expect("a name").to_str());
        let since = before.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(u128::from(fork.record.time_unix_nano) + 1_000_000 >= since.as_nanos());
        assert!(fork.record.time_unix_nano <= end.record.time_unix_nano);
        assert!(fork.record.observed_time_unix_nano >= fork.record.time_unix_nano);
        for exec in records.iter().filter(|record| record.is("process.exec", pid)) {
            assert_eq!(exec.text("process.executable.path"), exe.to_str());
            assert_eq!(exec.number("process.user.id"), Some(0).filter(|_| am_root()));
            assert!(exec.texts("process.command_args").is_none(), "arguments are private");
        }
        let execs = records.iter().filter(|record| record.is("process.exec", pid)).count();
        assert_eq!(execs, if pid == executing { 2 } else { 1 });
    }
    let mut uids: Vec<&str> = records.iter().map(Record::uid).collect();
    uids.sort_unstable();
    let all = uids.len();
    uids.dedup();
    assert_eq!(uids.len(), all, "ids are unique");
}

fn am_root() -> bool {
    nix::unistd::geteuid().is_root()
}
