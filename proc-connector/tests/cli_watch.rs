//! `watch`: selection of events by process, and output.

mod common;

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use common::helper_process::{HelperProcess, command, pause, print_number};
use common::program::{run, start_watch, text};
use common::{CAP_SETUID, NOBODY, load, named, require_capability, transport};
use nix::sys::signal::Signal;
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    let roles = named![exits_3, has_children, has_a_child, makes_a_thread];
    let everywhere = named![invalid_choices_are_rejected];
    let live = named![
        a_line_has_the_user_the_command_and_the_lifetime,
        a_tree_is_a_process_and_its_descendants,
        a_tree_can_be_named,
        names_can_contain_patterns,
        users_have_names_and_ids,
        a_cgroup_includes_those_below_it,
        threads_are_shown_on_request,
        json_identifies_the_process_of_an_event,
    ];
    common::main_with(&roles, &everywhere, &live)
}

fn exits_3() {
    std::process::exit(3)
}

/// On each request, creates a child that has a child.
fn has_children() {
    loop {
        pause();
        let mut child = command("has_a_child").arg0("between").spawn().expect("a child");
        child.wait().expect("an exit status");
        print_number(child.id());
    }
}

fn has_a_child() {
    let mut below = command("exits_3");
    let mut child = below.arg0("/some/where/below").arg("a word").spawn().expect("a child");
    child.wait().expect("an exit status");
}

fn makes_a_thread() {
    load::threads(1);
}

/// Plays a role repeatedly, so that one instance starts after the program began to listen.
struct RepeatedRole {
    is_over: Arc<AtomicBool>,
    pids: Arc<Mutex<Vec<u32>>>,
    thread: Option<JoinHandle<()>>,
}

impl RepeatedRole {
    fn repeat(mut create: impl FnMut() -> u32 + Send + 'static) -> Self {
        let (is_over, pids) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let (over, created): (_, Arc<Mutex<Vec<u32>>>) = (Arc::clone(&is_over), Arc::clone(&pids));
        let thread = std::thread::spawn(move || {
            while !over.load(Relaxed) {
                let pid = create();
                created.lock().expect("no test panicked").push(pid);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { is_over, pids, thread: Some(thread) }
    }

    /// Plays a role under a name.
    fn start(role: &'static str, change: impl Fn(&mut Command) + Send + 'static) -> Self {
        Self::repeat(move || {
            let mut command = command(role);
            change(&mut command);
            let mut child = command.spawn().expect("a child");
            child.wait().expect("an exit status");
            child.id()
        })
    }

    /// Requests children of a helper repeatedly.
    fn start_children_of(mut root: HelperProcess) -> Self {
        Self::repeat(move || {
            root.resume();
            root.read_number()
        })
    }

    fn created(&self, pid: u32) -> bool {
        self.pids.lock().expect("no test panicked").contains(&pid)
    }
}

impl Drop for RepeatedRole {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a `watch` until a line matches. Returns all lines up to this one.
fn watch_until(arguments: &[&str], is_last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut watch = start_watch(arguments);
    let mut lines: Vec<String> = Vec::new();
    while !lines.last().is_some_and(|line| is_last(line)) {
        let Some(line) = watch.lines.next() else {
            let (_, output) = watch.end();
            panic!("it ended: {}, after {lines:#?}", text(&output.stderr));
        };
        lines.push(line.expect("text"));
    }
    let (_, output) = watch.end_by(Signal::SIGINT);
    assert!(output.status.success());
    lines
}

/// The kind, the process, and the rest of a line.
fn columns(line: &str) -> Option<(&str, u32, &str)> {
    let (_, line) = line.split_once(' ')?;
    let (kind, line) = line.trim_start().split_once(' ')?;
    let (pid, rest) = line.trim_start().split_once(' ')?;
    Some((kind, pid.parse().ok()?, rest.trim()))
}

/// Whether a line is the exit of one of the created processes.
fn is_exit_of(repeated: &RepeatedRole) -> impl Fn(&str) -> bool {
    |line| matches!(columns(line), Some(("exit", pid, _)) if repeated.created(pid))
}

/// The details in the last line, which shows an exit.
fn exit_among(lines: &[String]) -> &str {
    let last = lines.last().expect("a line");
    columns(last).expect("an exit").2
}

fn own_path() -> String {
    std::env::current_exe().expect("/proc is mounted").display().to_string()
}

fn invalid_choices_are_rejected() {
    for arguments in [
        &["watch", "--comm", "a[", "--count", "1"][..],
        &["watch", "--who"],
        &["watch", "--threads", "--processes"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

fn a_line_has_the_user_the_command_and_the_lifetime() {
    let repeated = RepeatedRole::start("exits_3", |command| {
        command.arg0("a helper").arg("with words");
    });
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).expect("users").expect("a user");
    let is_exit = is_exit_of(&repeated);
    // A process that ended before the scan of `/proc` is mostly unknown.
    let is_it = |line: &str| is_exit(line) && line.contains(&user.name);
    let lines = watch_until(&["--failed", "--comm", "a helper"], is_it);
    let exit = exit_among(&lines);
    let words: Vec<&str> = exit.split_whitespace().collect();
    // The name fits into its column.
    assert_eq!(words[..4], [&*user.name, "exit", "3", "after"], "{exit}");
    assert!(["µs", "ms", "s"].contains(&words[5].trim_end_matches(',')), "{exit}");
    assert_eq!(exit.contains(" CPU, "), transport() == Transport::Ring, "{exit}");
    if transport() == Transport::Ring {
        assert!(exit.ends_with("a helper with words"), "{exit}");
    }
}

fn a_tree_is_a_process_and_its_descendants() {
    let root = HelperProcess::start("has_children");
    let tree = root.pid().to_string();
    let repeated = RepeatedRole::start_children_of(root);
    let elsewhere = RepeatedRole::start("exits_3", |_| {});
    let lines = watch_until(&["--tree", &tree], is_exit_of(&repeated));
    let pids: Vec<(&str, u32)> =
        lines.iter().filter_map(|line| columns(line)).map(|(kind, pid, _)| (kind, pid)).collect();
    assert!(pids.iter().all(|&(_, pid)| !elsewhere.created(pid)), "{lines:#?}");
    // Besides the last child, the child of a child was shown.
    let below = |(kind, pid): &&(&str, u32)| *kind == "exit" && !repeated.created(*pid);
    assert!(pids.iter().any(|pid| below(&pid)), "{lines:#?}");
}

fn a_tree_can_be_named() {
    if transport() == Transport::Socket {
        // A process has this name for a millisecond only, so the test requires context recorded at
        // the event.
        return;
    }
    let repeated = RepeatedRole::start_children_of(HelperProcess::start("has_children"));
    let lines = watch_until(&["--tree", "between"], is_exit_of(&repeated));
    let (first, last) = (lines.first().expect("a line"), lines.last().expect("a line"));
    let (kind, pid, _) = columns(first).expect("columns");
    assert_eq!((kind, repeated.created(pid)), ("exec", true), "{first}");
    assert!(last.ends_with("between"), "{last}");
    assert!(lines.iter().any(|line| line.ends_with("/some/where/below a word")), "{lines:#?}");
}

fn names_can_contain_patterns() {
    if transport() == Transport::Socket {
        return;
    }
    let repeated = RepeatedRole::start_children_of(HelperProcess::start("has_children"));
    let elsewhere = RepeatedRole::start("exits_3", |_| {});
    let shown = |line: &str| line.ends_with("below a word") && line.contains("exit 3");
    let lines = watch_until(&["--comm", "b[ef]low"], shown);
    for line in &lines {
        let (_, pid, rest) = columns(line).expect("columns");
        assert!(rest.ends_with("below a word") && !elsewhere.created(pid), "{line}");
    }
    drop(repeated);
}

fn users_have_names_and_ids() {
    require_capability(CAP_SETUID, "CAP_SETUID");
    let repeated = RepeatedRole::start("exits_3", |command| {
        command.uid(NOBODY);
    });
    let elsewhere = RepeatedRole::start("exits_3", |_| {});
    let name = nix::unistd::User::from_uid(NOBODY.into()).expect("users");
    for user in [Some(NOBODY.to_string()), name.map(|user| user.name)].into_iter().flatten() {
        let lines = watch_until(&["--user", &user], is_exit_of(&repeated));
        let pids = lines.iter().filter_map(|line| columns(line)).map(|(_, pid, _)| pid);
        assert!(pids.into_iter().all(|pid| !elsewhere.created(pid)), "{lines:#?}");
    }
}

fn a_cgroup_includes_those_below_it() {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let Some(own) = cgroups.lines().find_map(|line| line.strip_prefix("0::")) else { return };
    let repeated = RepeatedRole::start("exits_3", |_| {});
    for cgroup in [own, "/", "/*"] {
        let lines = watch_until(&["--cgroup", cgroup], is_exit_of(&repeated));
        assert!(!lines.is_empty());
    }
    let mut empty = start_watch(&["--cgroup", "/no/such", "--duration", "1s"]);
    assert!(empty.lines.next().is_none());
    empty.child.wait().expect("an exit status");
}

fn threads_are_shown_on_request() {
    let repeated = RepeatedRole::start("makes_a_thread", |_| {});
    let is_thread = |line: &String| line.contains("thread of ");
    let without = watch_until(&["--comm", "cli_watch*"], is_exit_of(&repeated));
    assert!(!without.iter().any(is_thread), "{without:#?}");
    // The exit of a thread may be reported after the exit of its process.
    let (started, ended) = (Cell::new(false), Cell::new(false));
    watch_until(&["--threads", "--comm", "cli_watch*"], |line| {
        let is_thread = line.contains("thread of ");
        started.set(started.get() || is_thread && line.contains("  fork "));
        ended.set(ended.get() || is_thread && line.contains("  exit "));
        started.get() && ended.get()
    });
}

fn json_identifies_the_process_of_an_event() {
    let repeated = RepeatedRole::start("exits_3", |command| {
        command.arg0("a helper").arg("with words");
    });
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let pid = |line: &Value| line["tgid"].as_u64().and_then(|pid| pid.try_into().ok());
    let is_it = |line: &str| {
        let line = parse(line);
        // A process that ended before the scan of `/proc` is mostly unknown.
        let is_known = line["process"]["euid"].is_u64();
        line["event"] == "exit" && is_known && pid(&line).is_some_and(|pid| repeated.created(pid))
    };
    let lines = watch_until(&["--json", "--who", "--events", "exec,exit"], is_it);
    let exit = parse(lines.last().expect("a line"));
    let process = &exit["process"];
    assert_eq!(process["tgid"], exit["tgid"]);
    assert_eq!(process["parent"], std::process::id());
    assert_eq!(process["euid"], nix::unistd::geteuid().as_raw());
    assert_eq!(process["egid"], nix::unistd::getegid().as_raw());
    assert_eq!(process["threads"], 0);
    assert!(process["lifetime_ns"].as_u64().is_some_and(|ns| ns > 0), "{exit}");
    assert!(process["start_ns"].as_u64() < exit["timestamp_ns"].as_u64(), "{exit}");
    if transport() == Transport::Ring {
        assert_eq!(process["args"], serde_json::json!(["a helper", "with words"]));
    }
    let exec = lines.iter().map(|line| parse(line));
    let exec =
        exec.into_iter().find(|line| line["event"] == "exec" && line["tgid"] == exit["tgid"]);
    let exec = exec.expect("its exec");
    assert!(exec["process"].get("lifetime_ns").is_none() && exec.get("task").is_none(), "{exec}");
    let exe = &exec["process"]["exe"];
    assert!(exe.is_null() || *exe == own_path(), "{exec}");
}
