//! `trace`, run as its users do.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use common::actor::command;
use common::scratch::Scratch;
use common::{named, transport};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{Pid, getppid, setsid};
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        the_status_is_the_commands,
        what_cannot_be_run_has_the_status_that_shells_give,
        input_and_outputs_are_the_commands,
        the_tree_has_every_process_once,
        orphans_are_below_who_made_them,
        what_goes_on_is_shown_to,
        ctrl_c_is_for_the_command,
        a_request_to_end_is_passed_on,
        what_was_ignored_stays_ignored,
        files_are_written_without_a_tree,
        a_loop_is_a_line,
        a_loss_is_told,
        a_file_stays_as_it_is_where_nothing_can_be_run,
    ];
    let acts = named![
        exit_0,
        exit_3,
        die_by_9,
        family,
        have_a_failing_child,
        make_orphan,
        leave_an_orphan,
        be_an_orphan,
        leave_one_behind,
        pause_for_ever,
        exit_4_on_sigterm,
        tell_whether_hangups_are_ignored,
        loop_of_20,
        echo,
        overrun_the_tracer,
        pause,
    ];
    common::main(&acts, &live)
}

fn exit_0() {}

fn exit_3() {
    std::process::exit(3)
}

fn die_by_9() {
    raise(Signal::SIGKILL).expect("a signal");
}

/// Two children: one with a child of its own that fails, one that is killed. Says who they are.
fn family() {
    for act in ["die_by_9", "have_a_failing_child"] {
        let mut child = command(act).spawn().expect("a child");
        println!("{act} {}", child.id());
        child.wait().expect("its end");
    }
    println!("own {}", std::process::id());
    std::process::exit(7)
}

fn have_a_failing_child() {
    let mut failing = command("exit_3").spawn().expect("a child");
    println!("failing {}", failing.id());
    failing.wait().expect("its end");
}

/// A grandchild in a session of its own, whose parent ends before it does something.
fn make_orphan() {
    let middle = command("leave_an_orphan").stdout(Stdio::piped()).spawn();
    let mut middle = middle.expect("a child");
    println!("middle {}", middle.id());
    let mut said = String::new();
    // Which ends when nobody can say anything any more.
    middle.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    print!("{said}");
    middle.wait().expect("its end");
}

fn leave_an_orphan() {
    let own = std::process::id().to_string();
    #[expect(clippy::zombie_processes, reason = "that is what an orphan is")]
    let orphan = command("be_an_orphan").env(PARENT, own).spawn().expect("a child");
    println!("orphan {}", orphan.id());
}

const PARENT: &str = "PROC_CONNECTOR_TEST_PARENT";

fn be_an_orphan() {
    setsid().expect("a session");
    let parent = std::env::var(PARENT).expect("a number");
    while getppid().to_string() == parent {
        std::thread::yield_now();
    }
    have_a_failing_child();
}

fn leave_one_behind() {
    let child = command("pause_for_ever").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    println!("left {}", child.expect("a child").id());
}

fn pause_for_ever() {
    println!("ready {}", std::process::id());
    let _ = std::io::stdin().read(&mut [0]);
}

fn exit_4_on_sigterm() {
    let mut signals = signal_hook::iterator::Signals::new([15]).expect("signals");
    println!("ready {}", std::process::id());
    signals.forever().next();
    std::process::exit(4)
}

fn tell_whether_hangups_are_ignored() {
    println!("ignored {}", ignored_hangups());
}

/// 1 if this process ignores hangups, as all do that something like `nohup` has started.
fn ignored_hangups() -> u32 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a line");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a number");
    u32::from(ignored & 1 != 0)
}

fn loop_of_20() {
    for _ in 0..20 {
        command("exit_0").spawn().expect("a child").wait().expect("its end");
    }
}

fn echo() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    print!("{line}");
    eprint!("error: {line}");
}

/// More than it has room for, while it does nothing; a child is made in the middle of that.
fn overrun_the_tracer() {
    kill(getppid(), Signal::SIGSTOP).expect("a parent");
    common::load::threads(1_000);
    let mut child = command("pause").stdin(Stdio::piped()).spawn().expect("a child");
    kill(getppid(), Signal::SIGCONT).expect("a parent");
    println!("child {}", child.id());
    // Time for a look at `/proc`, which a second is waited for at most while events are lost.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    drop(child.stdin.take());
    child.wait().expect("its end");
}

fn pause() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// The program, about to trace an act.
fn trace(options: &[&str], act: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_proc-connector"));
    let transport = match transport() {
        Transport::Ring => "ring",
        _ => "socket",
    };
    program.args(["trace", "--transport", transport]).args(options).arg("--");
    let act = command(act);
    program.arg(act.get_program());
    for (key, value) in act.get_envs() {
        program.env(key, value.expect("a value"));
    }
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn run(options: &[&str], act: &str) -> Output {
    trace(options, act).output().expect("the program runs")
}

fn program(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_proc-connector"));
    program.args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// What an act said: names and process ids.
fn said(output: &[u8]) -> BTreeMap<&str, u32> {
    text(output)
        .lines()
        .map(|line| line.split_once(' ').expect("a name and a number"))
        .map(|(name, number)| (name, number.parse().expect("a number")))
        .collect()
}

/// The one line of a tree that is about a process.
fn line_of(tree: &str, pid: u32) -> &str {
    let pid = pid.to_string();
    let mut lines = tree.lines().filter(|line| line.split_whitespace().next() == Some(&pid));
    let line = lines.next().unwrap_or_else(|| panic!("no {pid} in {tree}"));
    assert_eq!(lines.next(), None, "twice in {tree}");
    line
}

/// How far to the right the command is.
fn depth(line: &str) -> usize {
    let before = line.split(['├', '└']).next().expect("a text");
    if before.len() == line.len() { 0 } else { before.chars().count() }
}

fn the_status_is_the_commands() {
    for (act, status, end) in
        [("exit_0", 0, "  exit 0 "), ("exit_3", 3, "✗ exit 3 "), ("die_by_9", 137, "✗ SIGKILL ")]
    {
        let output = run(&[], act);
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        let tree = text(&output.stderr);
        assert!(tree.lines().nth(1).expect("a line").contains(end), "{tree}");
        let failed = u32::from(status != 0);
        let sum = format!("1 process, {failed} failed, ");
        assert!(tree.lines().last().expect("a line").starts_with(&sum), "{tree}");
    }
}

fn what_cannot_be_run_has_the_status_that_shells_give() {
    let scratch = Scratch::new("unrunnable");
    let plain = scratch.file("plain");
    fs::write(&plain, "no program").expect("room for it");
    for (name, status) in [("no-such-program-anywhere", 127), (&*plain, 126)] {
        let output = program(&["trace", "--", name]);
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        let error = format!("proc-connector: cannot run {name}: ");
        assert!(text(&output.stderr).starts_with(&error), "{}", text(&output.stderr));
    }
}

fn input_and_outputs_are_the_commands() {
    let mut child = trace(&["--quiet"], "echo").stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"hello\n").expect("it reads");
    let output = child.wait_with_output().expect("its end");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("hello\n", "error: hello\n"));
}

fn the_tree_has_every_process_once() {
    let output = run(&[], "family");
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let (tree, said) = (text(&output.stderr), said(&output.stdout));
    let [own, killed, child, failing] = ["own", "die_by_9", "have_a_failing_child", "failing"]
        .map(|name| line_of(tree, said[name]));
    assert!(own.contains("✗ exit 7 "), "{tree}");
    assert!(killed.contains("✗ SIGKILL "), "{tree}");
    assert!(child.contains("  exit 0 "), "{tree}");
    assert!(failing.contains("✗ exit 3 "), "{tree}");
    assert_eq!(depth(own), 0, "{tree}");
    assert!(depth(killed) > 0 && depth(killed) == depth(child), "{tree}");
    assert_eq!(depth(failing), depth(child) + 3, "{tree}");
    let sum = tree.lines().last().expect("a line");
    assert!(sum.starts_with("4 processes, 3 failed, "), "{tree}");
    assert_eq!(tree.lines().count(), 6, "{tree}");
}

fn orphans_are_below_who_made_them() {
    let output = run(&[], "make_orphan");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (tree, said) = (text(&output.stderr), said(&output.stdout));
    let [middle, orphan, failing] =
        ["middle", "orphan", "failing"].map(|name| line_of(tree, said[name]));
    assert!(0 < depth(middle) && depth(middle) < depth(orphan), "{tree}");
    assert!(depth(orphan) < depth(failing), "{tree}");
    assert!(failing.contains("✗ exit 3 "), "{tree}");
}

fn what_goes_on_is_shown_to() {
    let mut child = trace(&[], "leave_one_behind").stdin(Stdio::piped()).spawn().expect("it runs");
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("its end");
    // Which ends it.
    drop(stdin);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (tree, said) = (text(&output.stderr), said(&output.stdout));
    assert!(line_of(tree, said["left"]).contains(" running "), "{tree}");
    assert!(tree.contains("2 processes, 0 failed, 1 still running"), "{tree}");
}

/// A trace of something that waits, and what that said of itself.
fn waiting(mut trace: Command) -> (Child, Pid) {
    let mut child = trace.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let pid = line.trim().strip_prefix("ready ").expect("a number").parse().expect("a number");
    (child, Pid::from_raw(pid))
}

fn ctrl_c_is_for_the_command() {
    let mut trace = trace(&[], "pause_for_ever");
    // As a terminal does: to all of a process group.
    let (child, command) = waiting(trace_in_group(&mut trace));
    let group = Pid::from_raw(-i32::try_from(child.id()).expect("a pid"));
    kill(group, Signal::SIGINT).expect("a group");
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let tree = text(&output.stderr);
    let pid = u32::try_from(command.as_raw()).expect("a pid");
    assert!(line_of(tree, pid).contains("✗ SIGINT "), "{tree}");
}

fn trace_in_group(trace: &mut Command) -> Command {
    trace.process_group(0);
    std::mem::replace(trace, Command::new("true"))
}

fn a_request_to_end_is_passed_on() {
    let (child, command) = waiting(trace(&[], "exit_4_on_sigterm"));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    // It may not have got as far as to pass it on.
    std::thread::sleep(std::time::Duration::from_millis(50));
    kill(pid, Signal::SIGTERM).expect("a child that runs");
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let pid = u32::try_from(command.as_raw()).expect("a pid");
    assert!(line_of(text(&output.stderr), pid).contains("✗ exit 4 "));
}

fn what_was_ignored_stays_ignored() {
    let own = run(&["--quiet"], "tell_whether_hangups_are_ignored");
    assert_eq!(said(&own.stdout)["ignored"], ignored_hangups());
    let traced = trace(&["--quiet"], "tell_whether_hangups_are_ignored");
    let words = std::iter::once(traced.get_program()).chain(traced.get_args());
    let mut nohup = Command::new("nohup");
    nohup.args(words).envs(traced.get_envs().filter_map(|(key, value)| Some((key, value?))));
    match nohup.stdin(Stdio::null()).output() {
        Ok(output) => assert_eq!(said(&output.stdout)["ignored"], 1, "{output:?}"),
        Err(error) => common::skip(&format!("needs nohup: {error}")),
    }
}

fn files_are_written_without_a_tree() {
    let scratch = Scratch::new("files");
    let names = ["x.svg", "x.json", "x.jsonl"].map(|name| scratch.file(name));
    let options = ["--quiet", "-o", &names[0], "-o", &names[1], "-o", &names[2]];
    let output = run(&options, "family");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stderr), "");
    let said = said(&output.stdout);
    let pids: Vec<u32> = said.values().copied().collect();
    let [svg, trace, lines] = names.map(|name| fs::read_to_string(name).expect("a file"));
    roxmltree::Document::parse(&svg).expect("XML");
    let trace: Value = serde_json::from_str(&trace).expect("JSON");
    let processes = trace["traceEvents"].as_array().expect("a list").iter();
    let mut traced: Vec<u64> = processes
        .filter(|event| event["ph"] == "X")
        .map(|event| event["args"]["pid"].as_u64().expect("a number"))
        .collect();
    traced.sort_unstable();
    let mut expected: Vec<u64> = pids.iter().map(|&pid| pid.into()).collect();
    expected.sort_unstable();
    assert_eq!(traced, expected);
    // Each began, and ended, and nobody else is there.
    let mut ends: BTreeMap<u64, [u32; 2]> = BTreeMap::new();
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let of = |key: &str| event[key].as_u64();
        let (pid, which) = match event["event"].as_str().expect("a kind") {
            "fork" => (of("child_tgid"), Some(0)),
            "exit" => (of("tgid"), Some(1)),
            _ => (of("tgid"), None),
        };
        let counts = ends.entry(pid.expect("a number")).or_default();
        if let Some(which) = which {
            counts[which] += 1;
        }
    }
    assert_eq!(ends.keys().copied().collect::<Vec<_>>(), expected);
    assert!(ends.values().all(|counts| *counts == [1, 1]), "{ends:?}");
}

fn a_loop_is_a_line() {
    let output = run(&[], "loop_of_20");
    let tree = text(&output.stderr);
    assert!(tree.contains("\n21 processes, 0 failed, "), "{tree}");
    if transport() == Transport::Ring {
        assert_eq!(tree.lines().count(), 4, "{tree}");
        assert!(tree.lines().nth(2).expect("a line").trim_start().starts_with("20 × "), "{tree}");
    } else {
        // For what is gone before one looks, there may be half a name, or none.
        assert!(tree.lines().count() < 3 + 3 * 4, "{tree}");
    }
    let output = run(&["--full"], "loop_of_20");
    assert_eq!(text(&output.stderr).lines().count(), 23, "{}", text(&output.stderr));
}

fn a_loss_is_told() {
    let scratch = Scratch::new("loss");
    let file = scratch.file("x.svg");
    let output = run(&["--buffer", "100", "-o", &file], "overrun_the_tracer");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let errors = text(&output.stderr);
    assert!(errors.contains("processes and exits may be missing"), "{errors}");
    let sum = errors.lines().find(|line| line.starts_with("2 processes, 0 failed, "));
    let lost =
        sum.and_then(|sum| sum.split(", ").find_map(|part| part.strip_suffix(" events lost")));
    let lost: u32 = lost.expect(errors).parse().expect("a number");
    // Two events for each thread, of which up to two hundred were queued.
    assert!(lost >= 1_700, "{errors}");
    let svg = fs::read_to_string(&file).expect("a file");
    assert!(svg.contains(" events lost here</title>"));
    // The child began while events were lost. Where others keep the machine busy, its end may be
    // lost too.
    let child = line_of(errors, said(&output.stdout)["child"]);
    assert!(child.contains("  exit 0 ") || child.contains(" unknown "), "{errors}");
    assert!(depth(child) > 0, "{errors}");
}

fn a_file_stays_as_it_is_where_nothing_can_be_run() {
    let scratch = Scratch::new("stays");
    let file = scratch.file("x.svg");
    fs::write(&file, "old").expect("room for it");
    let output = program(&["trace", "-o", &file, "--", "no-such-program-anywhere"]);
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "old");
    let output = program(&["trace", "-o", "/nowhere/x.svg", "--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/x.svg: "), "{}", text(&output.stderr));
}
