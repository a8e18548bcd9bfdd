//! `trace`: the tree of processes, the exit status, and signals for the command.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use common::helper_process::command;
use common::program::{run, text};
use common::roles::{
    continue_the_tracer, die_by_9, exit_0, exit_3, family, have_a_failing_child, pause,
    stop_the_tracer,
};
use common::scratch::Scratch;
use common::tracing::{depth, line_of, printed_ids, run_traced, trace};
use common::{named, transport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid, setsid};
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        the_exit_status_is_that_of_the_command,
        a_command_that_cannot_run_exits_with_the_status_of_a_shell,
        standard_streams_belong_to_the_command,
        the_tree_contains_every_process_once,
        orphans_are_below_their_creators,
        processes_that_continue_are_shown,
        ctrl_c_is_handled_by_the_command,
        sigterm_is_passed_to_the_command,
        ignored_signals_stay_ignored,
        a_file_is_written_without_a_tree,
        repeated_children_are_one_line,
        large_trees_and_an_option_add_a_profile,
        the_critical_path_contains_the_processes_waited_for,
        a_loss_is_reported,
        a_failed_start_leaves_the_file_unchanged,
    ];
    let roles = named![
        exit_0,
        exit_3,
        die_by_9,
        family,
        have_a_failing_child,
        make_orphan,
        leave_an_orphan,
        be_an_orphan,
        leave_one_behind,
        pause_forever,
        exit_4_on_sigterm,
        report_whether_sighup_is_ignored,
        loop_of_20,
        wait_for_the_slower_of_two,
        sleep_for_300_ms,
        echo,
        overrun_the_tracer,
        pause,
    ];
    common::main(&roles, &live)
}

/// A grandchild in its own session, whose parent ends first.
fn make_orphan() {
    let middle = command("leave_an_orphan").stdout(Stdio::piped()).spawn();
    let mut middle = middle.expect("a child");
    println!("middle {}", middle.id());
    let mut printed = String::new();
    // The pipe ends when the last writer has closed it.
    middle.stdout.take().expect("a pipe").read_to_string(&mut printed).expect("text");
    print!("{printed}");
    middle.wait().expect("an exit status");
}

fn leave_an_orphan() {
    let own = std::process::id().to_string();
    #[expect(clippy::zombie_processes, reason = "an orphan is not waited for by its creator")]
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
    let child = command("pause_forever").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    println!("left {}", child.expect("a child").id());
}

fn pause_forever() {
    println!("ready {}", std::process::id());
    let _ = std::io::stdin().read(&mut [0]);
}

fn exit_4_on_sigterm() {
    let mut signals = signal_hook::iterator::Signals::new([15]).expect("signals");
    println!("ready {}", std::process::id());
    signals.forever().next();
    std::process::exit(4)
}

fn report_whether_sighup_is_ignored() {
    println!("ignored {}", is_sighup_ignored());
}

/// Returns 1 if this process ignores SIGHUP, like every process below `nohup`.
fn is_sighup_ignored() -> u32 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a line");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a number");
    u32::from(ignored & 1 != 0)
}

fn loop_of_20() {
    for _ in 0..20 {
        command("exit_0").spawn().expect("a child").wait().expect("an exit status");
    }
}

/// Starts two children at once. The second is paused until the first has ended.
fn wait_for_the_slower_of_two() {
    let mut slower = command("sleep_for_300_ms").stdin(Stdio::piped()).spawn().expect("a child");
    let mut faster = command("exit_0").spawn().expect("a child");
    faster.wait().expect("an exit status");
    drop(slower.stdin.take());
    println!("own {}\nslower {}\nfaster {}", std::process::id(), slower.id(), faster.id());
    slower.wait().expect("an exit status");
}

fn sleep_for_300_ms() {
    pause();
    std::thread::sleep(std::time::Duration::from_millis(300));
}

fn echo() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    print!("{line}");
    eprint!("error: {line}");
}

/// Exceeds the tracer's buffer while it is stopped; creates a child in the middle.
fn overrun_the_tracer() {
    stop_the_tracer();
    common::load::threads(3_000);
    let mut child = command("pause").stdin(Stdio::piped()).spawn().expect("a child");
    continue_the_tracer();
    println!("child {}", child.id());
    // Time for a scan of `/proc`, which is delayed by at most a second while events are being lost.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    drop(child.stdin.take());
    child.wait().expect("an exit status");
}

fn the_exit_status_is_that_of_the_command() {
    for (role, status, end) in
        [("exit_0", 0, "  exit 0 "), ("exit_3", 3, "✗ exit 3 "), ("die_by_9", 137, "✗ SIGKILL ")]
    {
        let output = run_traced(&[], role);
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        let tree = text(&output.stderr);
        assert!(tree.lines().nth(1).expect("a line").contains(end), "{tree}");
        let failed = u32::from(status != 0);
        let sum = format!("1 process, {failed} failed, ");
        assert!(tree.lines().last().expect("a line").starts_with(&sum), "{tree}");
    }
}

fn a_command_that_cannot_run_exits_with_the_status_of_a_shell() {
    let scratch = Scratch::new("unrunnable");
    let plain = scratch.file("plain");
    fs::write(&plain, "no program").expect("a writable directory");
    for (name, status) in [("no-such-program-anywhere", 127), (&*plain, 126)] {
        let output = run(&["trace", "--", name]);
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        let error = format!("proc-connector: cannot run {name}: ");
        assert!(text(&output.stderr).starts_with(&error), "{}", text(&output.stderr));
    }
}

fn standard_streams_belong_to_the_command() {
    let mut child =
        trace(&["--quiet"], "echo").stdin(Stdio::piped()).spawn().expect("a running process");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"hello\n").expect("it reads");
    let output = child.wait_with_output().expect("an exit status");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("hello\n", "error: hello\n"));
}

fn the_tree_contains_every_process_once() {
    let output = run_traced(&[], "family");
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let (tree, ids) = (text(&output.stderr), printed_ids(&output.stdout));
    let [own, killed, child, failing] =
        ["own", "die_by_9", "have_a_failing_child", "failing"].map(|name| line_of(tree, ids[name]));
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

fn orphans_are_below_their_creators() {
    let output = run_traced(&[], "make_orphan");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (tree, ids) = (text(&output.stderr), printed_ids(&output.stdout));
    let [middle, orphan, failing] =
        ["middle", "orphan", "failing"].map(|name| line_of(tree, ids[name]));
    assert!(0 < depth(middle) && depth(middle) < depth(orphan), "{tree}");
    assert!(depth(orphan) < depth(failing), "{tree}");
    assert!(failing.contains("✗ exit 3 "), "{tree}");
}

fn processes_that_continue_are_shown() {
    let mut child =
        trace(&[], "leave_one_behind").stdin(Stdio::piped()).spawn().expect("a running process");
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("an exit status");
    // The end of its input ends the command.
    drop(stdin);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (tree, ids) = (text(&output.stderr), printed_ids(&output.stdout));
    assert!(line_of(tree, ids["left"]).contains(" running "), "{tree}");
    assert!(tree.contains("2 processes, 0 failed, 1 still running"), "{tree}");
}

/// Starts a trace of a waiting command; returns the process id that it printed.
fn waiting(mut trace: Command) -> (Child, Pid) {
    let mut child = trace.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let pid = line.trim().strip_prefix("ready ").expect("a number").parse().expect("a number");
    (child, Pid::from_raw(pid))
}

fn ctrl_c_is_handled_by_the_command() {
    let mut trace = trace(&[], "pause_forever");
    // Like a terminal: the signal goes to the whole process group.
    let (child, command) = waiting(trace_in_group(&mut trace));
    let group = Pid::from_raw(-i32::try_from(child.id()).expect("a pid"));
    kill(group, Signal::SIGINT).expect("a group");
    let output = child.wait_with_output().expect("an exit status");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let tree = text(&output.stderr);
    let pid = u32::try_from(command.as_raw()).expect("a pid");
    assert!(line_of(tree, pid).contains("✗ SIGINT "), "{tree}");
}

fn trace_in_group(trace: &mut Command) -> Command {
    trace.process_group(0);
    std::mem::replace(trace, Command::new("true"))
}

fn sigterm_is_passed_to_the_command() {
    let (child, command) = waiting(trace(&[], "exit_4_on_sigterm"));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    // The trace may not be ready to pass on the signal.
    std::thread::sleep(std::time::Duration::from_millis(50));
    kill(pid, Signal::SIGTERM).expect("a child that runs");
    let output = child.wait_with_output().expect("an exit status");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let pid = u32::try_from(command.as_raw()).expect("a pid");
    assert!(line_of(text(&output.stderr), pid).contains("✗ exit 4 "));
}

fn ignored_signals_stay_ignored() {
    let own = run_traced(&["--quiet"], "report_whether_sighup_is_ignored");
    assert_eq!(printed_ids(&own.stdout)["ignored"], is_sighup_ignored());
    let traced = trace(&["--quiet"], "report_whether_sighup_is_ignored");
    let words = std::iter::once(traced.get_program()).chain(traced.get_args());
    let mut nohup = Command::new("nohup");
    nohup.args(words).envs(traced.get_envs().filter_map(|(key, value)| Some((key, value?))));
    match nohup.stdin(Stdio::null()).output() {
        Ok(output) => assert_eq!(printed_ids(&output.stdout)["ignored"], 1, "{output:?}"),
        Err(error) => common::skip(&format!("needs nohup: {error}")),
    }
}

fn a_file_is_written_without_a_tree() {
    let scratch = Scratch::new("files");
    let names = ["x.svg", "x.json", "x.jsonl"].map(|name| scratch.file(name));
    let options = ["--quiet", "-o", &names[0], "-o", &names[1], "-o", &names[2]];
    let output = run_traced(&options, "family");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stderr), "");
    let ids = printed_ids(&output.stdout);
    let pids: Vec<u32> = ids.values().copied().collect();
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
    // Every process started and ended once, and no others are included.
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

fn repeated_children_are_one_line() {
    let output = run_traced(&[], "loop_of_20");
    let tree = text(&output.stderr);
    assert!(tree.contains("\n21 processes, 0 failed, "), "{tree}");
    if transport() == Transport::Ring {
        assert_eq!(lines_of_tree(tree), 4, "{tree}");
        assert!(tree.lines().nth(2).expect("a line").trim_start().starts_with("20 × "), "{tree}");
    } else {
        // The name of a process that ended before it could be read may be incomplete or missing.
        assert!(lines_of_tree(tree) < 3 + 3 * 4, "{tree}");
    }
    let output = run_traced(&["--full"], "loop_of_20");
    assert_eq!(lines_of_tree(text(&output.stderr)), 23, "{}", text(&output.stderr));
}

/// The number of lines with the totals, which are the last line of the tree.
fn lines_of_tree(output: &str) -> usize {
    let totals = output.lines().position(|line| line.contains(" processes, "));
    totals.expect(output) + 1
}

fn large_trees_and_an_option_add_a_profile() {
    let is_parallelism = |line: &&str| line.contains(" processes at a time on average, at most ");
    for (options, role, is_expected) in [
        (&[][..], "family", false),
        (&["--profile"], "family", true),
        (&[], "loop_of_20", true),
        (&["--quiet"], "loop_of_20", false),
    ] {
        let output = run_traced(options, role);
        let tree = text(&output.stderr);
        assert_eq!(tree.lines().filter(is_parallelism).count(), usize::from(is_expected), "{tree}");
        assert_eq!(tree.contains("ON THE CRITICAL PATH"), is_expected, "{tree}");
        let is_ring = transport() == Transport::Ring;
        assert_eq!(tree.contains("PROGRAMS BY CPU TIME"), is_expected && is_ring, "{tree}");
        assert_eq!(tree.contains("PROGRAMS BY RUN TIME"), is_expected && !is_ring, "{tree}");
    }
}

/// The processes on the path are the role and the children that it waited for, not the child that ended
/// before them.
fn the_critical_path_contains_the_processes_waited_for() {
    let output = run_traced(&["--profile"], "wait_for_the_slower_of_two");
    let (output, ids) = (text(&output.stderr), printed_ids(&output.stdout));
    let (_, path) = output.split_once("ON THE CRITICAL PATH\n").expect(output);
    let on_path: Vec<u32> = path
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|pid| pid.parse().expect(path))
        .collect();
    // Most of the time passes in the last process of the chain.
    assert_eq!(on_path.first(), Some(&ids["slower"]), "{output}");
    assert!(on_path.contains(&ids["own"]), "{output}");
    assert!(!on_path.contains(&ids["faster"]), "{output}");
}

fn a_loss_is_reported() {
    let scratch = Scratch::new("loss");
    let file = scratch.file("x.svg");
    let output = run_traced(&["--buffer", "100", "-o", &file], "overrun_the_tracer");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let errors = text(&output.stderr);
    assert!(errors.contains("processes and exits may be missing"), "{errors}");
    let sum = errors.lines().find(|line| line.starts_with("2 processes, 0 failed, "));
    let lost =
        sum.and_then(|sum| sum.split(", ").find_map(|part| part.strip_suffix(" events lost")));
    let lost: u32 = lost.expect(errors).parse().expect("a number");
    // Each thread causes two events; up to two thousand were queued.
    assert!(lost >= 4_000, "{errors}");
    let svg = fs::read_to_string(&file).expect("a file");
    assert!(svg.contains(" events lost here</title>"));
    // The child started while events were lost. On a busy machine, its exit may be lost too.
    let child = line_of(errors, printed_ids(&output.stdout)["child"]);
    assert!(child.contains("  exit 0 ") || child.contains(" unknown "), "{errors}");
    assert!(depth(child) > 0, "{errors}");
}

fn a_failed_start_leaves_the_file_unchanged() {
    let scratch = Scratch::new("stays");
    let file = scratch.file("x.svg");
    fs::write(&file, "old").expect("a writable directory");
    let output = run(&["trace", "-o", &file, "--", "no-such-program-anywhere"]);
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "old");
    let output = run(&["trace", "-o", "/nowhere/x.svg", "--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/x.svg: "), "{}", text(&output.stderr));
}
