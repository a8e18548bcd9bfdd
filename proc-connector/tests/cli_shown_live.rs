//! Names and arguments of live processes and users are escaped in human-readable output, so that
//! they neither control nor deceive a terminal.

mod common;

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;

use common::helper_process::{command, pause, with_role};
use common::hostile::{HOSTILE, assert_seen};
use common::live_output::{LiveOutput, transport_option, watch};
use common::program::{piped, program, text};
use common::scratch::Scratch;
use common::{CAP_SETUID, CAP_SYS_ADMIN, Deadline, named, require_capability, transport};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::execv;
use proc_connector::Transport;

fn main() -> ExitCode {
    let roles = named![ends, pauses, executes_nameless, forks_under_a_name, become_watcher];
    let live = named![
        a_hostile_user_name_is_escaped,
        arguments_of_a_watched_process_are_escaped,
        a_tree_quotes_arguments_for_a_shell,
        truncated_arguments_are_marked,
        a_program_without_arguments_is_shown_by_name,
        names_in_statistics_are_escaped,
    ];
    common::main(&roles, &live)
}

fn ends() {}

fn own_exe() -> CString {
    let own = std::env::current_exe().expect("/proc is mounted");
    CString::new(own.as_os_str().as_bytes()).expect("a path")
}

fn pauses() {
    pause();
}

/// Executes the same program without any argument, not even its name.
fn executes_nameless() {
    if std::env::args_os().next().is_some_and(|name| !name.is_empty()) {
        let none: [&CStr; 0] = [];
        let Err(error) = execv(&own_exe(), &none);
        panic!("{error}");
    }
    pause();
}

/// Sets its argument as its name, and creates children until its output is closed.
fn forks_under_a_name() {
    let name = std::env::args_os().nth(1).expect("a name");
    nix::sys::prctl::set_name(&CString::new(name.as_bytes()).expect("no zero")).expect("a name");
    for _ in 0..1_000 {
        Command::new("true").status().expect("a program of every system");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A user that exists only in a file of one test.
const USER: u32 = 54_321;
/// The name of that user.
const USERS_NAME: &str = "root\u{1b}[2K\u{202e}\u{200b}\\";
const USERS_SHOWN: &str = "root\\u{1b}[2K\\u{202e}\\u{200b}\\\\";

/// Executes the program in a mount namespace in which that file is `/etc/passwd`.
fn become_watcher() {
    let mut arguments = std::env::args_os().skip(1);
    let file = arguments.next().expect("a file");
    unshare(CloneFlags::CLONE_NEWNS).expect("a namespace");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("a private mount");
    mount(Some(&*file), "/etc/passwd", none, MsFlags::MS_BIND, none)
        .expect("a file mounted over a file");
    panic!("{}", Command::new(env!("CARGO_BIN_EXE_proc-connector")).args(arguments).exec());
}

/// The program on a system where a user has a hostile name, and a process of that user.
fn among_hostile_users(arguments: &[&str], scratch: &Scratch) -> Command {
    let file = scratch.file("passwd");
    let lines = format!("root:x:0:0::/:/bin/sh\n{USERS_NAME}:x:{USER}:{USER}::/:/bin/sh\n");
    fs::write(&file, lines).expect("a file");
    let mut watcher = command("become_watcher");
    watcher.arg(file);
    piped(watcher, arguments)
}

/// Runs a process as that user.
fn as_user() -> u32 {
    let mut child = Command::new("true").uid(USER).gid(USER).spawn().expect("a child");
    child.wait().expect("an exit status");
    child.id()
}

fn a_hostile_user_name_is_escaped() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    require_capability(CAP_SETUID, "CAP_SETUID");
    let scratch = Scratch::new("users");
    let arguments = watch(&["--events", "exec,exit"]);
    let mut watch = LiveOutput::start(among_hostile_users(&arguments, &scratch));
    let (done, again) = mpsc::channel();
    let running = std::thread::spawn(move || while done.send(as_user()).is_ok() {});
    let line = watch.line(|line| {
        let user = line.split_whitespace().nth(3).unwrap_or_default();
        user.starts_with("root") && user != "root"
    });
    drop(again);
    running.join().expect("an exit status");
    assert_seen(&line);
    assert!(format!("{line} ").contains(&format!(" {USERS_SHOWN} ")), "{line}");

    let stats = ["stats", "--duration", "3s", "--interval", "60s", transport_option()];
    let mut stats = among_hostile_users(&stats, &scratch).spawn().expect("a running process");
    let deadline = Deadline::new();
    while stats.try_wait().expect("its state").is_none() && deadline.left().is_some() {
        as_user();
    }
    let output = stats.wait_with_output().expect("an exit status");
    let shown = text(&output.stdout);
    assert_seen(shown);
    // Truncated to the width of its column.
    assert!(shown.contains(&USERS_SHOWN[..14]), "{shown}");
}

fn arguments_of_a_watched_process_are_escaped() {
    if transport() == Transport::Socket {
        // The test requires a process that lives until its arguments were read.
        return;
    }
    let mut watch = LiveOutput::start(program(&watch(&["--events", "exec"])));
    for (word, shown) in HOSTILE {
        let mut child = command("ends").arg0("a helper").arg(OsStr::from_bytes(word)).spawn();
        let child = child.as_mut().expect("a child");
        child.wait().expect("an exit status");
        let pid = format!(" {} ", child.id());
        let line = watch.line(|line| line.contains(&pid));
        assert_seen(&line);
        assert!(line.ends_with(&format!("  a helper {shown}")), "{shown} in {line}");
    }
}

fn a_tree_quotes_arguments_for_a_shell() {
    let own = own_exe();
    for (word, shown) in HOSTILE {
        let mut trace = with_role(
            "ends",
            program(&["trace", "--full", "--buffer", "100000", transport_option(), "--"]),
        );
        trace.arg(OsStr::from_bytes(own.to_bytes())).arg(OsStr::from_bytes(word)).arg("it's");
        let output = trace.output().expect("the program runs");
        let tree = text(&output.stderr);
        assert_seen(tree);
        let process = tree.lines().nth(1).expect("a process");
        assert!(process.ends_with(&format!(" $'{shown}' 'it'\\''s'")), "{shown} in {tree}");
    }
}

fn truncated_arguments_are_marked() {
    let mut watch = LiveOutput::start(program(&watch(&["--wide", "--events", "exec"])));
    let long = "x".repeat(40_000);
    let many = vec!["x"; 20_000];
    // The limits of 32 KiB and 4,096 bytes, within an argument and between two.
    for (words, end) in [(&[&*long][..], "xx…"), (&many, " x …"), (&["…", "x"], " … x")] {
        let mut helper = command("pauses");
        let mut child = helper.arg0("helper1").args(words).stdin(Stdio::piped()).spawn();
        let child = child.as_mut().expect("a child");
        let pid = format!(" {} ", child.id());
        let line = watch.line(|line| line.contains(&pid));
        drop(child.stdin.take());
        child.wait().expect("an exit status");
        assert!(line.ends_with(end), "{end} in {line}");
    }
}

fn a_program_without_arguments_is_shown_by_name() {
    let own = own_exe().into_string().expect("text");
    let file = own.rsplit('/').next().expect("a name");
    let name = &file[..file.len().min(15)];
    let mut watch = LiveOutput::start(program(&watch(&["--events", "exec"])));
    for (role, words, shown) in [
        ("pauses", &[""][..], name.to_owned()),
        ("pauses", &["  "], name.to_owned()),
        ("pauses", &["", "", " "], name.to_owned()),
        ("pauses", &["", "a word"], format!("{name} a word")),
        ("executes_nameless", &["a helper"], name.to_owned()),
    ] {
        let mut helper = command(role);
        helper.arg0(words[0]).args(&words[1..]).stdin(Stdio::piped());
        let mut child = helper.spawn().expect("a child");
        let pid = format!(" {} ", child.id());
        let execs = if role == "executes_nameless" { 2 } else { 1 };
        let lines: Vec<String> =
            (0..execs).map(|_| watch.line(|line| line.contains(&pid))).collect();
        drop(child.stdin.take());
        child.wait().expect("an exit status");
        assert!(lines[execs - 1].ends_with(&format!("  {shown}")), "{shown} in {lines:?}");
    }
    if transport() == Transport::Socket {
        // The traced process may end before its name is read.
        return;
    }
    let mut trace = with_role(
        "executes_nameless",
        program(&["trace", "--full", "--buffer", "100000", transport_option(), "--"]),
    );
    let output = trace.arg(&own).output().expect("the program runs");
    let tree = text(&output.stderr);
    let line = tree.lines().nth(1).expect("a process");
    assert!(line.contains(&format!("  {name}")) && !line.contains("''"), "{tree}");
}

fn names_in_statistics_are_escaped() {
    for (name, shown) in [HOSTILE[0], HOSTILE[4], HOSTILE[14]] {
        let mut helper = command("forks_under_a_name");
        let mut helper = helper.arg(OsStr::from_bytes(name)).spawn().expect("a child");
        let stats =
            ["stats", "--duration", "3s", "--interval", "60s", "--top", "1000", transport_option()];
        let output = program(&stats).output().expect("the program runs");
        helper.kill().expect("a child");
        helper.wait().expect("an exit status");
        let stats = text(&output.stdout);
        assert_seen(stats);
        assert!(stats.contains(&format!(" {shown} ")), "{shown} in {stats}");
    }
}
