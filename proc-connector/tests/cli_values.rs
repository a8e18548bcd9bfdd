//! Values of options: what cannot be meant is refused, what is cut is reported, and the rest works.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use common::listening::listening;
use common::program::{program, run, text, transport_name};
use common::scratch::Scratch;
use common::{CAP_SETUID, Deadline, kernel_is_since, named, need, skip, terminal, transport};
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    let everywhere = named![
        what_cannot_be_meant_is_refused_with_what_to_write,
        unknown_kinds_of_events_get_a_suggestion,
        times_need_units_in_every_option,
        a_recording_has_no_names_of_users,
    ];
    let live = named![
        what_does_not_exist_is_an_error,
        a_thread_is_not_a_process,
        a_buffer_that_is_cut_is_reported,
        enormous_values_do_no_harm,
        a_choice_that_matches_nothing_yet_is_said_on_a_terminal,
        scripts_are_chosen_by_their_whole_names,
        users_are_chosen_by_name_and_id,
    ];
    common::main_with(&named![], &everywhere, &live)
}

/// Asserts that the program ended with a status, and what it said; gives that.
fn fails<'a>(arguments: &[&str], output: &'a Output, code: i32, says: &str) -> &'a str {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(errors.contains(says), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    errors
}

fn what_cannot_be_meant_is_refused_with_what_to_write() {
    let cases: &[(&[&str], &str)] = &[
        (&["--pid", "0"], "1 to 4194303"),
        (&["--pid", "4194304"], "1 to 4194303"),
        (&["--pid=-1"], "1 to 4194303"),
        (&["--pid", "-1"], "-1"),
        (&["--pid", "99999999999999999999"], "1 to 4194303"),
        (&["--pid", "1,,2"], "--pid"),
        (&["--pid", ""], "--pid"),
        (&["--pid", "+5x"], "1 to 4194303"),
        (&["--tree", "0"], "1 to 4194303"),
        (&["--tree", "4294967296"], "1 to 4194303"),
        (&["--tree=-1"], "1 to 4194303"),
        (&["--tree", ""], "empty"),
        (&["--tree", "/usr/bin/make"], "write make"),
        (&["--comm", ""], "empty"),
        (&["--comm", "/usr/bin/make"], "write make"),
        (&["--comm", "a["], "character 2"),
        (&["--comm", "a**b"], "character"),
        (&["--user", ""], "empty"),
        (&["--user", "4294967295"], "0 to 4294967294"),
        (&["--user", "99999999999999999999"], "0 to 4294967294"),
        (&["--user=-1"], "0 to 4294967294"),
        (&["--cgroup", ""], "begins with `/`"),
        (&["--cgroup", "system.slice"], "begins with `/`"),
        (&["--cgroup", "4f1c0a9e"], "12 to 64"),
        (&["--cgroup", "/a["], "character 3"),
        (&["--buffer", "0"], "1 or more"),
        (&["--buffer=-1"], "negative"),
        (&["--buffer", "99999999999999999999"], "larger than"),
        (&["--buffer", "1e6"], "whole number"),
        (&["--count", "0"], "1 or more"),
        (&["--count=-3"], "negative"),
        (&["--count", "many"], "whole number"),
        (&["--duration", "0s"], "longer than zero"),
        (&["--duration", "0ms"], "longer than zero"),
        (&["--duration=-5s"], "negative"),
        (&["--duration", "99999999999999999999h"], "10s"),
        (&["--duration", "5 parsecs"], "10s"),
        (&["--duration", ""], "10s"),
        (&["--coalesce", "inf"], "10s"),
        (&["--duration", "1s", "--duration", "2s"], "multiple times"),
        (&["--transport", "pigeon"], "socket"),
        (&["--threads", "--processes"], "--processes"),
    ];
    for (options, says) in cases {
        let arguments = [&["watch"], *options].concat();
        let output = run(&arguments);
        let errors = fails(&arguments, &output, 2, says);
        assert!(errors.lines().count() < 8 && errors.starts_with("error: "), "{errors}");
    }
    for (arguments, says) in [
        (&["stats", "--interval", "9ms"][..], "10ms or more"),
        (&["stats", "--count", "0"], "1 or more"),
        (&["stats", "--top=-1"], "--top"),
        (&["trace", "--buffer", "0", "--", "true"], "1 or more"),
        (&["record", "--pid", "0", "-"], "1 to 4194303"),
        (&["replay", "--demo", "--pid", "0"], "1 to 4194303"),
        (&["replay", "--demo", "--count", "0"], "1 or more"),
    ] {
        fails(arguments, &run(arguments), 2, says);
    }
}

fn unknown_kinds_of_events_get_a_suggestion() {
    for (kinds, says) in [
        ("exce", "'exec'"),
        ("fork,exti", "'exit'"),
        ("core_dump", "'coredump'"),
        // No event is of this kind: it would be waited for in vain.
        ("nonzero_exit", "possible values"),
        ("0x2", "possible values"),
        ("", "possible values"),
        ("exec,", "possible values"),
    ] {
        for arguments in [
            &["watch", "--events", kinds][..],
            &["record", "--events", kinds, "-"],
            &["replay", "--events", kinds, "-"],
        ] {
            fails(arguments, &run(arguments), 2, says);
        }
    }
    for kinds in ["exec,exit", "EXEC,Exit", "exec, exit", "exit,exec,exit"] {
        let output = run(&["replay", "--demo", "--json", "--events", kinds]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = text(&output.stdout).lines();
        let lines: Vec<Value> =
            lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
        // The demo's, as its bytes have it.
        assert_eq!(lines.iter().filter(|line| line["event"] == "exec").count(), 18, "{kinds}");
        assert!(lines.iter().all(|line| line["event"] == "exec" || line["event"] == "exit"));
    }
}

fn times_need_units_in_every_option() {
    for (command, option) in [
        ("watch", "--duration"),
        ("watch", "--coalesce"),
        ("record", "--duration"),
        ("record", "--coalesce"),
        ("stats", "--duration"),
        ("stats", "--coalesce"),
        ("stats", "--interval"),
    ] {
        for (bare, hint) in
            [("5", "5s for seconds, 5ms"), ("0", "0s"), ("1.5", "1.5s"), (" 5 ", "5ms")]
        {
            let mut arguments = vec![command, option, bare];
            if command == "record" {
                arguments.push("-");
            }
            fails(&arguments, &run(&arguments), 2, hint);
        }
    }
}

fn a_recording_has_no_names_of_users() {
    let arguments = ["replay", "--demo", "--user", "root"];
    fails(&arguments, &run(&arguments), 2, "give the id of root");
    // The demo has a process that became this user.
    let output = run(&["replay", "--demo", "--json", "--user", "65534"]);
    assert!(text(&output.stdout).contains(r#""event":"uid""#), "{}", text(&output.stdout));
}

/// The arguments of a `watch` that would end by itself.
fn watch<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["watch", "--duration", "60s", "--transport", transport_name()], options].concat()
}

/// An id that no process has: that of one which was reaped.
fn no_process() -> String {
    let mut child = Command::new("/bin/true").spawn().expect("a child");
    child.wait().expect("its end");
    child.id().to_string()
}

fn what_does_not_exist_is_an_error() {
    let pid = no_process();
    let gone = format!("no process has the id {pid}");
    let cases: &[(&[&str], &str)] = &[
        (&["--pid", &pid], &gone),
        (&["--json", "--pid", &pid], &gone),
        (&["--tree", &pid], &gone),
        (&["--json", "--who", "--tree", &pid], &gone),
        (&["--user", "no-such-user"], "no user is called no-such-user"),
        (&["--json", "--user", "no\x1b[2Jsuch"], "no\\u{1b}[2Jsuch"),
        (&["--cgroup", "/no/such.slice"], "there is no cgroup /no/such.slice"),
    ];
    for (options, says) in cases {
        let arguments = watch(options);
        let output = run(&arguments);
        let errors = fails(&arguments, &output, 1, says);
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    // A file of that name stays as it is where nothing can be recorded.
    let scratch = Scratch::new("absent");
    let file = scratch.file("events.pcapng");
    let arguments = ["record", "--pid", &pid, &file];
    fails(&arguments, &run(&arguments), 1, &gone);
    assert!(!Path::new(&file).exists());
}

fn a_thread_is_not_a_process() {
    let (told, wait) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let thread = std::thread::spawn(move || {
        told.0.send(nix::unistd::gettid()).expect("a listener");
        let _ = wait.1.recv();
    });
    let (id, process) = (told.1.recv().expect("an id").to_string(), std::process::id());
    let says = format!("{id} is a thread of process {process}: choose {process}");
    for option in ["--pid", "--tree"] {
        let arguments = watch(&[option, &id]);
        fails(&arguments, &run(&arguments), 1, &says);
    }
    drop(wait.0);
    thread.join().expect("its end");
}

/// A user of every system.
const NOBODY: u32 = 65_534;

fn a_buffer_that_is_cut_is_reported() {
    need(CAP_SETUID, "CAP_SETUID");
    if transport() != Transport::Socket || !kernel_is_since(6, 6) {
        skip("only over a socket, and without privileges, is a buffer cut");
    }
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("/proc is mounted");
    // The kernel grants twice the limit, and an event takes 832 bytes of that.
    let holds = 2 * limit.trim().parse::<u64>().expect("a number") / 832;
    let says = format!(
        "proc-connector: the receive buffer holds {holds} events, not the 100000000 asked for: \
         net.core.rmem_max is {}",
        limit.trim(),
    );
    for arguments in [
        &["watch", "--json", "--duration", "50ms", "--buffer", "100000000"][..],
        &["record", "--duration", "50ms", "--buffer", "100000000", "-"],
        &["stats", "--json", "--duration", "50ms", "--buffer", "100000000"],
        &["trace", "--quiet", "--buffer", "100000000", "--", "true"],
    ] {
        let output = program(arguments).uid(NOBODY).gid(NOBODY).output().expect("it runs");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert_eq!(errors.matches(&says).count(), 1, "{arguments:?}: {errors}");
    }
    let granted = ["watch", "--json", "--duration", "50ms", "--buffer", "100"];
    let output = program(&granted).uid(NOBODY).gid(NOBODY).output().expect("it runs");
    assert!(!text(&output.stderr).contains("receive buffer"), "{}", text(&output.stderr));
}

fn enormous_values_do_no_harm() {
    let long = ["9223372036854775807s", "2562047788015215h", "200000000000h"];
    for time in long {
        // Each ends by its count.
        let busy = Busy::start();
        for option in ["--duration", "--coalesce"] {
            let arguments = [
                &["watch", "--json", "--count", "3", "--transport", transport_name()][..],
                &[option, time],
            ]
            .concat();
            let output = run(&arguments);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        }
        drop(busy);
    }
    let huge = ["18446744073709551615", "1000000000000"];
    for buffer in huge {
        let arguments = ["watch", "--json", "--duration", "50ms", "--buffer", buffer];
        let output = run(&arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        assert!(errors.contains(&format!("not the {buffer} asked for")), "{errors}");
    }
}

/// Processes that come and go.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        // Ends by itself too, should the test not do it.
        let script = "i=0; while [ $i -lt 20000 ]; do /bin/true; i=$((i+1)); done";
        Self(Command::new("/bin/sh").args(["-c", script]).spawn().expect("a shell"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn a_choice_that_matches_nothing_yet_is_said_on_a_terminal() {
    const SAID: &str = "waiting: no process matches yet";
    for (options, is_said) in [
        (&["--comm", "no such name"][..], true),
        (&["--tree", "no such name"], true),
        (&["--json", "--comm", "no such name"], true),
        (&["--user", "3999999999"], true),
        (&["--cgroup", &"4f1c0a9e".repeat(8)], true),
        (&["--comm", "*"], false),
        (&["--tree", "1"], false),
        (&[], false),
    ] {
        let common = ["watch", "--duration", "100ms", "--transport", transport_name()];
        let arguments = [&common[..], options].concat();
        let (status, shown) = terminal::run(&mut program(&arguments), 80);
        assert!(status.success(), "{shown}");
        assert_eq!(shown.matches(SAID).count(), usize::from(is_said), "{options:?}: {shown}");
        let piped = run(&arguments);
        assert!(!text(&piped.stderr).contains("waiting"), "{}", text(&piped.stderr));
    }
}

/// Starts an executable script, which ends when its input does.
fn start_script(scratch: &Scratch, name: &str, first_line: &str) -> Child {
    let path = scratch.file(name);
    let mut file = fs::File::create(&path).expect("a file");
    writeln!(file, "{first_line}\nread line").expect("a file");
    drop(file);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file");
    let mut command = Command::new(&path);
    command.arg("deploy-everything-else.sh").stdin(Stdio::piped());
    loop {
        match command.spawn() {
            // A child of another thread may still have the file open for writing.
            Err(error) if error.raw_os_error() == Some(nix::libc::ETXTBSY) => {}
            child => return child.expect("a script"),
        }
    }
}

/// Waits until a shell that runs a script is what it will be, after `env` if that comes first.
fn wait_for_name(pid: u32, is_after_env: bool) {
    let deadline = Deadline::new();
    loop {
        let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = args.split(|&byte| byte == 0).next().unwrap_or_default();
        let is_there = if is_after_env { program == b"sh" } else { program == b"/bin/sh" };
        if is_there {
            return;
        }
        assert!(deadline.left().is_some(), "{}", String::from_utf8_lossy(&args));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn scripts_are_chosen_by_their_whole_names() {
    let scratch = Scratch::new("scripts");
    for (place, first_line) in ["#!/bin/sh", "#!/bin/sh -e", "#!/usr/bin/env sh"].iter().enumerate()
    {
        let name = format!("deploy-everything-{place}.sh");
        for pattern in [name.as_str(), "deploy-every*-[0-9].sh"] {
            let chosen = start_and_end_until_shown(&["--comm", pattern], || {
                end(start_script(&scratch, "another-script-of-a-long-name.sh", first_line));
                let script = start_script(&scratch, &name, first_line);
                wait_for_name(script.id(), first_line.contains("env"));
                script
            });
            assert!(chosen, "{first_line}, {pattern}");
        }
    }
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().expect("its end");
}

/// Starts processes, and ends each after a moment, until a `watch` with these options shows the exit
/// of one process. Whether it was one of these.
fn start_and_end_until_shown(options: &[&str], start: impl Fn() -> Child) -> bool {
    let common = ["--json", "--events", "exit", "--processes", "--count", "1"];
    let mut watch = listening(program(&watch(&[&common, options].concat())));
    let mut started = Vec::new();
    while watch.try_wait().expect("its state").is_none() {
        let child = start();
        started.push(child.id());
        // Long enough for the table of processes to see some of them.
        std::thread::sleep(Duration::from_millis(30));
        end(child);
    }
    let output = watch.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout).lines().next().map(serde_json::from_str::<Value>);
    let shown = shown.and_then(Result::ok).and_then(|line| line["tgid"].as_u64());
    shown.is_some_and(|shown| started.iter().any(|&pid| u64::from(pid) == shown))
}

fn users_are_chosen_by_name_and_id() {
    need(CAP_SETUID, "CAP_SETUID");
    let name = nix::unistd::User::from_uid(NOBODY.into()).expect("users");
    let name = name.map_or_else(|| NOBODY.to_string(), |user| user.name);
    for user in [NOBODY.to_string(), name] {
        let chosen = start_and_end_until_shown(&["--user", &user], || {
            end(Command::new("/bin/sh")
                .args(["-c", ":"])
                .stdin(Stdio::piped())
                .spawn()
                .expect("a shell"));
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "read line"]).uid(NOBODY).stdin(Stdio::piped());
            command.spawn().expect("a shell")
        });
        assert!(chosen, "{user}");
    }
}
