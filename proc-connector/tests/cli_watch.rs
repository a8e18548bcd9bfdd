//! `watch`: selection of events by process, and output.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use common::helper_process::{HelperProcess, command, pause, print_number, with_role};
use common::program::{run, start_watch, text};
use common::scratch::Scratch;
use common::{CAP_SETUID, NOBODY, load, named, require_capability, transport};
use nix::sys;
use nix::sys::signal::Signal;
use proc_connector::Transport;
use proc_connector::process::ProcessId;
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
        json_has_what_the_kernel_recorded,
    ];
    common::main_with(&roles, &everywhere, &live)
}

fn exits_3() {
    std::process::exit(3)
}

/// On each request, creates a child that has a child. Both are links in the current directory.
fn has_children() {
    loop {
        pause();
        let mut child =
            with_role("has_a_child", Command::new("./between")).spawn().expect("a child");
        child.wait().expect("an exit status");
        print_number(child.id());
    }
}

fn has_a_child() {
    let mut below = with_role("exits_3", Command::new("./below"));
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

/// Runs a `watch` until a process exits whose exec it showed and that is wanted. Returns the lines
/// from the exec to the exit.
///
/// A process that started before `watch` may be among its first lines, with fewer values.
fn watch_one_life(arguments: &[&str], is_wanted: impl Fn(u32, &str) -> bool) -> Vec<String> {
    let executed = RefCell::new(HashSet::new());
    let mut lines = watch_until(arguments, |line| match columns(line) {
        Some(("exec", pid, _)) => {
            executed.borrow_mut().insert(pid);
            false
        }
        Some(("exit", pid, rest)) => executed.borrow().contains(&pid) && is_wanted(pid, rest),
        _ => false,
    });
    let ended = lines.last().and_then(|line| columns(line)).map(|(_, pid, _)| pid);
    let is_start = |line: &String| {
        columns(line).map(|(kind, pid, _)| (kind, pid)) == ended.map(|pid| ("exec", pid))
    };
    let start = lines.iter().rposition(is_start).expect("its exec");
    lines.split_off(start)
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
    let lines = watch_until(&["--failed", "--comm", "cli_watch*"], is_it);
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

/// This binary under the names of the programs that [`has_children`] runs.
fn links() -> Scratch {
    let scratch = Scratch::new("links");
    for name in ["between", "below"] {
        let program = std::env::current_exe().expect("/proc is mounted");
        std::os::unix::fs::symlink(program, scratch.file(name)).expect("a link");
    }
    scratch
}

fn a_tree_is_a_process_and_its_descendants() {
    let scratch = links();
    let root = HelperProcess::start_in("has_children", scratch.directory());
    let tree = root.pid().to_string();
    let repeated = RepeatedRole::start_children_of(root);
    let elsewhere = RepeatedRole::start("exits_3", |_| {});
    // The first child that ends may have started before `watch`.
    let (is_exit, exits) = (is_exit_of(&repeated), Cell::new(0));
    let lines = watch_until(&["--tree", &tree], |line| {
        exits.set(exits.get() + u32::from(is_exit(line)));
        exits.get() == 2
    });
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
    let scratch = links();
    let root = HelperProcess::start_in("has_children", scratch.directory());
    let repeated = RepeatedRole::start_children_of(root);
    let lines = watch_one_life(&["--tree", "between"], |pid, _| repeated.created(pid));
    let last = lines.last().expect("a line");
    assert!(last.ends_with("between"), "{last}");
    assert!(lines.iter().any(|line| line.ends_with("/some/where/below a word")), "{lines:#?}");
}

fn names_can_contain_patterns() {
    if transport() == Transport::Socket {
        return;
    }
    let scratch = links();
    let root = HelperProcess::start_in("has_children", scratch.directory());
    let repeated = RepeatedRole::start_children_of(root);
    let elsewhere = RepeatedRole::start("exits_3", |_| {});
    let lines = watch_one_life(&["--comm", "b[ef]low"], |_, rest| rest.contains(" exit 3 "));
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
        // A process that was created before the scan of `/proc` is partly unknown.
        let counts = if transport() == Transport::Ring { "execs" } else { "euid" };
        let is_known = line["process"][counts].is_u64();
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
    let [before, after] = [&exec["process"], process];
    assert_eq!(before["id"], after["id"]);
    if transport() == Transport::Socket {
        assert!(after["id"].is_null() && after.get("program").is_none(), "{exit}");
        return;
    }
    let id: ProcessId = after["id"].as_str().expect("text").parse().expect("an id");
    assert_eq!(exit["tgid"], id.tgid);
    assert_eq!(after["start_boottime_ns"], id.start_boottime_ns);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("/proc is mounted");
    assert_eq!(id.boot_id.to_string(), boot.trim());
    assert_eq!((&before["execs"], &after["execs"]), (&1.into(), &1.into()), "{exit}");
    assert_eq!(exit["process_end"]["code"], 3);
    assert_eq!(exit["process_end"]["lifetime_ns"], after["lifetime_ns"]);
    assert_is_own_program(after);
}

/// The keys about the program of a process that executes this binary.
fn assert_is_own_program(keys: &Value) {
    assert_eq!(keys["filename"], own_path());
    let file = fs::metadata(own_path()).expect("this binary");
    assert_eq!(keys["program"]["ino"], file.ino(), "{keys}");
    let own = (&keys["program"]["deleted"], &keys["program"]["memfd"]);
    assert_eq!(own, (&false.into(), &false.into()), "{keys}");
    let (major, minor) = (sys::stat::major(file.dev()), sys::stat::minor(file.dev()));
    // On some file systems, `stat` reports another device than the kernel's.
    let is_plain = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    if is_plain.contains(&format!(" {major}:{minor} ")) {
        assert_eq!(keys["program"]["dev"], format!("{major}:{minor}"), "{keys}");
    }
}

fn json_has_what_the_kernel_recorded() {
    let repeated = RepeatedRole::start("exits_3", |_| {});
    let of_created = |line: &Value, event: &str| {
        let pid = line["tgid"].as_u64().and_then(|pid| pid.try_into().ok());
        line["event"] == event && pid.is_some_and(|pid| repeated.created(pid))
    };
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let options = ["--json", "--context", "--events", "exec,exit"];
    // The exec of the first process can precede the start of the program.
    let executed = RefCell::new(HashSet::new());
    let lines = watch_until(&options, |line| {
        let line = parse(line);
        if of_created(&line, "exec") {
            executed.borrow_mut().insert(line["tgid"].as_u64());
        }
        let is_socket = transport() == Transport::Socket;
        of_created(&line, "exit")
            && (is_socket || executed.borrow().contains(&line["tgid"].as_u64()))
    });
    let exit = parse(lines.last().expect("a line"));
    let tgid = &exit["tgid"];
    let mut lines = lines.iter().map(|line| parse(line));
    let exec = lines.find(|line| line["event"] == "exec" && line["tgid"] == *tgid);
    if transport() == Transport::Socket {
        assert!(exit.get("task").is_none() && exit.get("over").is_none(), "{exit}");
        return;
    }
    let Some(exec) = exec else { panic!("an exec before {exit}") };
    assert_is_own_program(&exec["task"]);
    assert_eq!(exec["task"]["args"], serde_json::json!([own_path()]));
    for line in [&exec, &exit] {
        let task = &line["task"];
        assert_eq!((&task["pid"], &task["tgid"]), (tgid, tgid));
        assert_eq!(task["parent_tgid"], std::process::id(), "{task}");
        assert_eq!(task["euid"], nix::unistd::geteuid().as_raw());
        assert_eq!(task["egid"], nix::unistd::getegid().as_raw());
        let session = nix::unistd::getsid(None).expect("a session").as_raw();
        assert_eq!(task["session"], session, "{task}");
        let pid_ns = fs::metadata("/proc/self/ns/pid").expect("/proc is mounted").ino();
        assert_eq!((&task["ns_tgid"], &task["pid_ns"]), (tgid, &pid_ns.into()), "{task}");
        if let Ok(uid) = fs::read_to_string("/proc/self/loginuid") {
            let uid = uid.trim().parse().ok().filter(|&uid: &u32| uid != u32::MAX);
            assert_eq!(task["login_uid"], Value::from(uid), "{task}");
        }
    }
    assert_eq!(exec["task"]["start_boottime_ns"], exit["task"]["start_boottime_ns"]);
    // Without `--who`, the end of the process comes from the kernel.
    assert_eq!((&exit["over"], &exit["process_end"]["code"]), (&true.into(), &3.into()), "{exit}");
    let used = |usage: &Value| usage["cpu_ns"].as_u64().expect("a number");
    // The only thread used what the process used.
    assert_eq!(used(&exit["process_end"]["usage"]), used(&exit["task"]["usage"]), "{exit}");
}
