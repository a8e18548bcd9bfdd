//! `wait`: how processes ended, compared with `waitpid`, and the exit status of the program.

mod common;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::Duration;

use common::failure::assert_fails;
use common::helper_process::{HelperProcess, command, pause, print_number};
use common::namespaces::{require_namespaces, run_role};
use common::program::{PROGRAM, Running, program, run, text};
use common::{Deadline, kernel_is_at_least, named, transport, transport_name};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{Pid, gettid};
use proc_connector::Transport;
use proc_connector::testing::behaviour::exit_thread;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let roles = named![
        ends_as_ordered,
        survives_its_first_thread,
        has_a_thread,
        has_no_connector,
        starts_and_reaps_a_child,
    ];
    let everywhere = named![a_wait_needs_no_connector, invalid_command_lines_are_rejected];
    let live = named![
        the_status_is_passed_on,
        the_first_failure_in_the_list_is_passed_on,
        ends_are_shown_as_they_happen,
        a_process_ends_with_its_last_thread,
        an_end_in_json_has_the_process,
        what_is_no_process_is_reported,
        a_process_that_was_not_reaped_is_found,
        a_process_that_is_no_child_can_be_waited_for,
        a_timeout_leaves_the_process_running,
        a_signal_ends_the_wait,
        without_a_reader_the_status_is_passed_on,
    ];
    common::main_with(&roles, &everywhere, &live)
}

/// Ends as the number on the standard input says: with this code, or by the signal 256 less.
fn ends_as_ordered() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let order: i32 = line.trim().parse().expect("a number");
    match order.checked_sub(256) {
        Some(signal @ 0..) => raise(Signal::try_from(signal).expect("a signal")).expect("an end"),
        _ => std::process::exit(order),
    }
}

fn survives_its_first_thread() {
    thread::spawn(|| {
        pause();
        std::process::exit(3)
    });
    exit_thread(0)
}

fn has_a_thread() {
    thread::spawn(|| {
        print_number(gettid().as_raw().try_into().expect("an id"));
        thread::sleep(Duration::from_secs(60));
    });
    pause();
}

/// Waits for a child in a network namespace, which receives no events.
fn has_no_connector() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a privileged process");
    for (order, code) in [("0", 0), ("3", 3), ("265", 137)] {
        let mut child = ordered();
        let pid = child.id().to_string();
        let wait = Running::start(&mut program(&["wait", &pid]));
        wait.until_it_waits_for(&pid);
        give(&mut child, order);
        child.wait().expect("an exit status");
        let (lines, output) = wait.end();
        // The kernel keeps the status of a reaped process since 6.15.
        let is_known = kernel_is_at_least(6, 15);
        assert_eq!(output.status.code(), Some(if is_known { code } else { 127 }), "{order}");
        assert_eq!(text(&output.stderr).is_empty(), is_known, "{}", text(&output.stderr));
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

fn starts_and_reaps_a_child() {
    let mut child = ordered();
    print_number(child.id());
    pause();
    give(&mut child, "5");
    child.wait().expect("an exit status");
    pause();
}

fn ordered() -> Child {
    command("ends_as_ordered").stdin(Stdio::piped()).spawn().expect("a child")
}

/// Ends a process as ordered.
fn give(child: &mut Child, order: &str) {
    let stdin = child.stdin.as_mut().expect("a pipe");
    writeln!(stdin, "{order}").expect("it reads");
}

/// The arguments of a `wait` over the transport of this test.
fn arguments<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["wait", "--transport", transport_name(), "--timeout", "60s"], rest].concat()
}

/// Starts a `wait` for these processes, and returns once it waits.
fn start(options: &[&str], pids: &[u32]) -> Running {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
    let running = Running::start(&mut program(&arguments(&[options, &pids].concat())));
    // The program adds the last process last.
    running.until_it_waits_for(pids[pids.len() - 1]);
    running
}

fn assert_ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

fn invalid_command_lines_are_rejected() {
    for arguments in
        [&["wait"][..], &["wait", "0"], &["wait", "-1"], &["wait", "1", "--timeout", "0s"]]
    {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

fn a_wait_needs_no_connector() {
    require_namespaces();
    run_role("has_no_connector");
}

fn the_status_is_passed_on() {
    for (order, code, shown) in
        [("0", 0, "exit 0"), ("3", 3, "exit 3"), ("265", 137, "killed by SIGKILL")]
    {
        let mut child = ordered();
        let pid = child.id();
        // The same process twice is one process.
        let wait = start(&[], &[pid, pid]);
        give(&mut child, order);
        let status = child.wait().expect("an exit status");
        assert_eq!(status.code().or(status.signal().map(|signal| 128 + signal)), Some(code));
        let (lines, output) = wait.end();
        assert_ended(&output, code);
        let [line] = &lines[..] else { panic!("{lines:#?}") };
        assert!(line.starts_with(&format!("{pid}  {shown} after ")), "{line}");
        assert!(line.ends_with(&std::env::current_exe().expect("/proc").display().to_string()));
    }
}

fn the_first_failure_in_the_list_is_passed_on() {
    for (orders, code) in [(["0", "4", "5"], 4), (["6", "0", "0"], 6), (["0", "0", "0"], 0)] {
        let mut children: Vec<Child> = (0..3).map(|_| ordered()).collect();
        let pids: Vec<u32> = children.iter().map(Child::id).collect();
        let wait = start(&[], &pids);
        // The order of the ends does not matter.
        for (child, order) in children.iter_mut().zip(orders).rev() {
            give(child, order);
            child.wait().expect("an exit status");
        }
        let (lines, output) = wait.end();
        assert_ended(&output, code);
        assert_eq!(lines.len(), 3, "{lines:#?}");
    }
}

fn ends_are_shown_as_they_happen() {
    let mut children: Vec<Child> = (0..2).map(|_| ordered()).collect();
    let mut wait = start(&[], &children.iter().map(Child::id).collect::<Vec<_>>());
    for child in children.iter_mut().rev() {
        give(child, "0");
        child.wait().expect("an exit status");
        assert!(wait.line().starts_with(&format!("{}  exit 0", child.id())));
    }
    assert_ended(&wait.end().1, 0);
}

fn a_process_ends_with_its_last_thread() {
    let mut helper = HelperProcess::start("survives_its_first_thread");
    let wait = start(&[], &[helper.pid()]);
    helper.resume();
    let pid = helper.pid();
    assert_eq!(helper.wait().code(), Some(3));
    let (lines, output) = wait.end();
    assert_ended(&output, 3);
    assert!(lines[0].starts_with(&format!("{pid}  exit 3")), "{lines:#?}");
}

fn an_end_in_json_has_the_process() {
    let mut child = ordered();
    let wait = start(&["--json"], &[child.id()]);
    give(&mut child, "3");
    child.wait().expect("an exit status");
    let (lines, output) = wait.end();
    assert_ended(&output, 3);
    let object: Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(object["tgid"], child.id());
    let status = (&object["code"], &object["signal"], &object["core_dumped"]);
    assert_eq!(status, (&json!(3), &json!(null), &json!(false)));
    assert!(object["lifetime_ns"].as_u64().is_some_and(|ns| ns > 0), "{object}");
    assert_eq!(object["process"]["tgid"], child.id());
    assert_eq!(object["process"]["parent"], std::process::id());
    assert_eq!(object["process"]["euid"], nix::unistd::geteuid().as_raw());
    assert_eq!(object["usage"].is_object(), transport() == Transport::Ring, "{object}");
}

fn what_is_no_process_is_reported() {
    let mut reaped = Command::new("true").spawn().expect("a child");
    reaped.wait().expect("an exit status");
    let mut helper = HelperProcess::start("has_a_thread");
    let thread = helper.read_number().to_string();
    let of_thread = format!("{thread} is the id of a thread of process {}", helper.pid());
    let reaped = reaped.id().to_string();
    for (pid, message) in
        [(&reaped, format!("no process has the id {reaped}")), (&thread, of_thread)]
    {
        let arguments = arguments(&[pid]);
        assert_fails(&arguments, &run(&arguments), 127, &message);
    }
    // The shell's process becomes that of the program.
    let script = format!("exec \"$0\" wait --transport {} $$", transport_name());
    let output = Command::new("sh").args(["-c", &script, PROGRAM]).output().expect("a shell");
    assert_fails(&["$$"], &output, 127, "a process cannot wait for its own end");
    // The other processes are still waited for.
    let mut child = ordered();
    let wait = start(&[], &[reaped.parse().expect("a number"), child.id()]);
    give(&mut child, "3");
    child.wait().expect("an exit status");
    let (lines, output) = wait.end();
    assert_eq!((lines.len(), output.status.code()), (1, Some(127)), "{lines:#?}");
}

fn a_process_that_was_not_reaped_is_found() {
    let mut child = ordered();
    give(&mut child, "3");
    let (deadline, stat) = (Deadline::new(), format!("/proc/{}/stat", child.id()));
    while !std::fs::read_to_string(&stat).expect("a process").contains(") Z ") {
        assert!(deadline.left().is_some(), "it does not end");
        thread::sleep(Duration::from_millis(1));
    }
    // The kernel shows the status of an unreaped process since 6.15.
    let code = if kernel_is_at_least(6, 15) { 3 } else { 127 };
    // No event will report the end. A short wait knows of it, too.
    for timeout in ["60s", "10ms"] {
        let pid = child.id().to_string();
        let wait = ["wait", "--transport", transport_name(), "--timeout", timeout, &pid];
        assert_ended(&run(&wait), code);
    }
    assert_eq!(child.wait().expect("an exit status").code(), Some(3));
}

fn a_process_that_is_no_child_can_be_waited_for() {
    let mut helper = HelperProcess::start("starts_and_reaps_a_child");
    let wait = start(&[], &[helper.read_number()]);
    helper.resume();
    let (lines, output) = wait.end();
    assert_ended(&output, 5);
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

fn a_timeout_leaves_the_process_running() {
    let (mut ends, mut runs) = (ordered(), ordered());
    let pids = [ends.id().to_string(), runs.id().to_string()];
    let wait = ["wait", "--transport", transport_name(), "--timeout", "1s", &pids[0], &pids[1]];
    let wait = Running::start(&mut program(&wait));
    give(&mut ends, "3");
    ends.wait().expect("an exit status");
    let (lines, output) = wait.end();
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).ends_with(&format!("still running at the timeout: {}\n", pids[1]))
    );
    assert!(lines.len() <= 1, "{lines:#?}");
    assert!(runs.try_wait().expect("its state").is_none());
    give(&mut runs, "0");
    runs.wait().expect("an exit status");
}

fn a_signal_ends_the_wait() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut child = ordered();
        let wait = start(&[], &[child.id()]);
        let (lines, output) = wait.end_by(signal);
        assert_eq!(output.status.signal(), Some(signal as i32), "{}", text(&output.stderr));
        assert_eq!((lines.len(), text(&output.stderr)), (0, ""));
        kill(Pid::from_raw(child.id().try_into().expect("a pid")), None).expect("it runs");
        give(&mut child, "0");
        child.wait().expect("an exit status");
    }
}

fn without_a_reader_the_status_is_passed_on() {
    let mut child = ordered();
    let mut wait = start(&[], &[child.id()]);
    drop(std::mem::replace(&mut wait.lines, no_lines()));
    give(&mut child, "3");
    child.wait().expect("an exit status");
    assert_ended(&wait.end().1, 3);
}

/// The lines of a program that has none.
fn no_lines() -> std::io::Lines<std::io::BufReader<std::process::ChildStdout>> {
    let mut child = Command::new(PROGRAM).arg("--version").stdout(Stdio::piped()).spawn();
    let stdout = child.as_mut().ok().and_then(|child| child.stdout.take()).expect("a pipe");
    child.expect("the program runs").wait().expect("an exit status");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    while lines.next().is_some() {}
    lines
}
