//! Standard streams that are closed or full.

mod captures;
mod common;

use std::process::ExitCode;

use captures::DEMO;
use common::program::{RECORDING, run, started_by_shell, text};
use common::scratch::{Scratch, ScratchFile};
use common::{named, transport_name};

fn main() -> ExitCode {
    let everywhere = named![
        a_full_or_closed_standard_error_does_not_change_the_status,
        a_full_standard_output_is_an_error,
        a_closed_standard_output_is_an_error,
        a_closed_standard_input_is_an_error,
    ];
    let live = named![a_trace_with_a_full_standard_error_keeps_the_status,];
    common::main_with(&[], &everywhere, &live)
}

fn a_full_or_closed_standard_error_does_not_change_the_status() {
    let demo = ScratchFile::containing("demo.pcapng", DEMO);
    for (arguments, status) in [
        (&["replay", RECORDING][..], 0),
        (&["replay", demo.path()], 0),
        (&["replay", "/no/such/file"], 1),
        (&["replay", "/dev/null"], 1),
        (&["watch", "--events", "nosuch"], 2),
        (&["nosuch"], 2),
        (&["trace", "--", "/no/such/program"], 127),
        (&["record", "/no/such/directory/file"], 1),
    ] {
        let expected = run(arguments).status.code();
        // Without a connector, these commands fail for that reason.
        assert!(expected == Some(status) || expected == Some(1), "{arguments:?}: {expected:?}");
        for redirected in ["exec 2>/dev/full", "exec 2>&-"] {
            let output =
                started_by_shell(redirected, arguments).output().expect("a running process");
            assert_eq!(output.status.code(), expected, "{redirected} {arguments:?}");
        }
    }
}

fn a_full_standard_output_is_an_error() {
    for arguments in [
        &["replay", RECORDING][..],
        &["replay", RECORDING, "--json"],
        &["replay", RECORDING, "--json", "--who"],
        &["doctor"],
        &["doctor", "--json"],
        &["--help"],
        &["help", "watch"],
        &["watch", "--help"],
        &["--version"],
    ] {
        let output =
            started_by_shell("exec >/dev/full", arguments).output().expect("a running process");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = "proc-connector: cannot write to standard output: No space left on device";
        assert!(text(&output.stderr).starts_with(error), "{arguments:?} {}", text(&output.stderr));
    }
}

fn a_closed_standard_output_is_an_error() {
    for arguments in [
        &["replay", RECORDING][..],
        &["replay", RECORDING, "--json"],
        &["doctor"],
        &["--help"],
        &["--version"],
        &["record", "-"],
        &["wait", "1"],
        &["watch"],
        &["stats"],
    ] {
        let output = started_by_shell("exec >&-", arguments).output().expect("a running process");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let errors = text(&output.stderr);
        let is_named = errors.starts_with("proc-connector: standard output is closed");
        // Without a connector, these commands fail for that reason.
        let is_other = matches!(arguments[0], "watch" | "stats") && !errors.contains("panic");
        assert!(is_named || is_other, "{arguments:?}: {errors}");
    }
    let scratch = Scratch::new("closed");
    let file = scratch.file("x.svg");
    let arguments = ["replay", RECORDING, "-o", &file];
    let output = started_by_shell("exec >&-", &arguments).output().expect("a running process");
    assert_eq!(output.status.code(), Some(0), "nothing is written there: {}", text(&output.stderr));
}

fn a_closed_standard_input_is_an_error() {
    let output =
        started_by_shell("exec <&-", &["replay", "-"]).output().expect("a running process");
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.starts_with("proc-connector: standard input is closed"), "{errors}");
    let output =
        started_by_shell("exec <&-", &["replay", RECORDING]).output().expect("a running process");
    assert_eq!(output.status.code(), Some(0));
}

fn a_trace_with_a_full_standard_error_keeps_the_status() {
    let traced = ["trace", "--transport", transport_name(), "--", "sh", "-c", "exit 3"];
    for redirected in ["exec 2>/dev/full", "exec 2>&-", "exec >&-", "exec >&- 2>&- <&-"] {
        let output = started_by_shell(redirected, &traced).output().expect("a running process");
        assert_eq!(output.status.code(), Some(3), "{redirected}");
    }
}
