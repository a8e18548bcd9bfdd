//! Values of options: invalid values are rejected, reduced ones are reported, and valid ones take
//! effect.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};

use common::failure::assert_fails;
use common::program::{RECORDING, json_lines, program, run, text};
use common::{
    CAP_SETUID, NOBODY, kernel_is_at_least, named, require_capability, skip, transport,
    transport_name,
};
use proc_connector::Transport;

fn main() -> ExitCode {
    let everywhere = named![
        an_invalid_value_is_rejected_with_the_valid_ones,
        unknown_kinds_of_events_get_a_suggestion,
        times_need_units_in_every_option,
        a_recording_contains_no_user_names,
    ];
    let live = named![a_reduced_buffer_is_reported, enormous_values_are_handled];
    common::main_with(&[], &everywhere, &live)
}

fn an_invalid_value_is_rejected_with_the_valid_ones() {
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
        (&["--tree", "/usr/bin/make"], "use make"),
        (&["--comm", ""], "empty"),
        (&["--comm", "/usr/bin/make"], "use make"),
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
    for (options, message) in cases {
        let arguments = [&["watch"], *options].concat();
        let output = run(&arguments);
        let errors = assert_fails(&arguments, &output, 2, message);
        assert!(errors.lines().count() < 8 && errors.starts_with("error: "), "{errors}");
    }
    for (arguments, message) in [
        (&["stats", "--interval", "9ms"][..], "10ms or longer"),
        (&["stats", "--count", "0"], "1 or more"),
        (&["stats", "--top=-1"], "negative"),
        (&["trace", "--buffer", "0", "--", "true"], "1 or more"),
        (&["record", "--pid", "0", "-"], "1 to 4194303"),
        (&["replay", RECORDING, "--pid", "0"], "1 to 4194303"),
        (&["replay", RECORDING, "--count", "0"], "1 or more"),
    ] {
        assert_fails(arguments, &run(arguments), 2, message);
    }
}

fn unknown_kinds_of_events_get_a_suggestion() {
    for (kinds, message) in [
        ("exce", "'exec'"),
        ("fork,exti", "'exit'"),
        ("core_dump", "'coredump'"),
        // No event has this kind, so waiting for it would never end.
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
            assert_fails(arguments, &run(arguments), 2, message);
        }
    }
    for kinds in ["exec,exit", "EXEC,Exit", "exec, exit", "exit,exec,exit"] {
        let output = run(&["replay", RECORDING, "--json", "--events", kinds]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = json_lines(&output.stdout);
        // The number in the demo's bytes.
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
            assert_fails(&arguments, &run(&arguments), 2, hint);
        }
    }
}

fn a_recording_contains_no_user_names() {
    let arguments = ["replay", RECORDING, "--user", "root"];
    assert_fails(&arguments, &run(&arguments), 2, "give the id of root");
    // The demo contains a process that became this user.
    let output = run(&["replay", RECORDING, "--json", "--user", "65534"]);
    assert!(text(&output.stdout).contains(r#""event":"uid""#), "{}", text(&output.stdout));
}

fn a_reduced_buffer_is_reported() {
    require_capability(CAP_SETUID, "CAP_SETUID");
    if transport() != Transport::Socket || !kernel_is_at_least(6, 6) {
        skip("only over a socket, and without privileges, is a buffer cut");
    }
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("/proc is mounted");
    // The kernel grants twice the limit; an event takes 832 bytes.
    let holds = 2 * limit.trim().parse::<u64>().expect("a number") / 832;
    let message = format!(
        "proc-connector: the receive buffer holds {holds} events, not the requested 100000000: \
         net.core.rmem_max is {}",
        limit.trim(),
    );
    for arguments in [
        &["watch", "--json", "--duration", "50ms", "--buffer", "100000000"][..],
        &["record", "--duration", "50ms", "--buffer", "100000000", "-"],
        &["stats", "--json", "--duration", "50ms", "--buffer", "100000000"],
        &["trace", "--quiet", "--buffer", "100000000", "--", "true"],
    ] {
        let output =
            program(arguments).uid(NOBODY).gid(NOBODY).output().expect("a running process");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert_eq!(errors.matches(&message).count(), 1, "{arguments:?}: {errors}");
    }
    let granted = ["watch", "--json", "--duration", "50ms", "--buffer", "100"];
    let output = program(&granted).uid(NOBODY).gid(NOBODY).output().expect("a running process");
    assert!(!text(&output.stderr).contains("receive buffer"), "{}", text(&output.stderr));
}

fn enormous_values_are_handled() {
    let long = ["9223372036854775807s", "2562047788015215h", "200000000000h"];
    for time in long {
        // Each command ends by its count.
        let load = ShortLivedProcesses::start();
        for option in ["--duration", "--coalesce"] {
            let arguments = [
                &["watch", "--json", "--count", "3", "--transport", transport_name()][..],
                &[option, time],
            ]
            .concat();
            let output = run(&arguments);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        }
        drop(load);
    }
    let huge = ["18446744073709551615", "1000000000000"];
    for buffer in huge {
        let arguments = ["watch", "--json", "--duration", "50ms", "--buffer", buffer];
        let output = run(&arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        assert!(errors.contains(&format!("not the requested {buffer}: ")), "{errors}");
    }
}

/// Creates short-lived processes.
struct ShortLivedProcesses(Child);

impl ShortLivedProcesses {
    fn start() -> Self {
        // The loop is finite, in case the test does not end it.
        let script = "i=0; while [ $i -lt 20000 ]; do /bin/true; i=$((i+1)); done";
        Self(Command::new("/bin/sh").args(["-c", script]).spawn().expect("a shell"))
    }
}

impl Drop for ShortLivedProcesses {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
