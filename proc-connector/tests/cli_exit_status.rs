//! Each command exits with the statuses documented in its help and its man page, which `cli_dist`
//! compares.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use common::listening::listening;
use common::program::{program, run, text};
use common::scratch::ScratchFile;
use common::{named, transport_name};
use serde_json::Value;

fn main() -> ExitCode {
    let everywhere = named![replays_exit_as_documented];
    let live = named![
        a_traced_command_keeps_its_status,
        listening_commands_exit_as_documented,
        threads_end_with_the_documented_signal,
    ];
    common::main_with(&[], &everywhere, &live)
}

fn a_traced_command_keeps_its_status() {
    let file = ScratchFile::containing("not-executable", b"#!/bin/sh\n");
    let no_interpreter = ScratchFile::containing("no-interpreter", b"#!/no/such/interpreter\n");
    for file in [&file, &no_interpreter] {
        let mode = if file.path().ends_with("executable") { 0o600 } else { 0o700 };
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("a file");
    }
    let cases: &[(&[&str], i32)] = &[
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -KILL $$"], 128 + 9),
        (&["sh", "-c", "kill -TERM $$"], 128 + 15),
        (&["sh", "-c", "kill -SEGV $$"], 128 + 11),
        (&[file.path()], 126),
        (&["/"], 126),
        (&["/no/such/program"], 127),
        (&["no-such-program"], 127),
        (&[""], 127),
        (&[no_interpreter.path()], 126),
    ];
    for (command, status) in cases {
        let trace = ["trace", "--quiet", "--transport", transport_name(), "--"];
        let output = run(&[&trace[..], command].concat());
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*status), "{command:?}: {errors}");
        assert_eq!(errors.contains("cannot run"), [126, 127].contains(status), "{errors}");
    }
    // A missing program, with a directory in PATH that cannot be searched.
    let mut denied = program(&["trace", "--quiet", "--", "no-such-program"]);
    let output =
        denied.env("PATH", "/proc/1/fd:/etc/passwd:/bin").output().expect("a running process");
    assert_eq!(output.status.code(), Some(127), "{}", text(&output.stderr));
    assert_eq!(run(&["trace"]).status.code(), Some(2));
    let unwritable = ["trace", "-o", "/no/such/place.svg", "--", "true"];
    assert_eq!(run(&unwritable).status.code(), Some(1));
}

fn replays_exit_as_documented() {
    let damaged = include_bytes!("captures/build.pcapng");
    let damaged = ScratchFile::containing("damaged", &damaged[..damaged.len() / 2]);
    for (arguments, status) in [
        (&["replay", "--demo"][..], 0),
        (&["replay", "--demo", "--count", "3"], 0),
        (&["replay", damaged.path()], 1),
        (&["replay", "/no/such/file"], 1),
        (&["replay", "/"], 1),
        (&["replay"], 2),
        (&["replay", "--demo", "/no/such/file"], 2),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", text(&output.stderr));
    }
}

fn listening_commands_exit_as_documented() {
    let file = ScratchFile::new("recorded");
    let common = ["--duration", "50ms", "--transport", transport_name()];
    for (command, status) in [
        (&["watch"][..], 0),
        (&["watch", "--json"], 0),
        (&["stats"], 0),
        (&["record", file.path()], 0),
        (&["record", "/no/such/place"], 1),
        (&["watch", "--user", "no such user"], 1),
        (&["watch", "--who"], 2),
        (&["stats", "--interval", "5"], 2),
    ] {
        let output = run(&[command, &common].concat());
        assert_eq!(output.status.code(), Some(status), "{command:?}: {}", text(&output.stderr));
    }
}

/// No parent is notified of a thread's exit: the kernel reports -1 as the signal.
fn threads_end_with_the_documented_signal() {
    const NONE: u64 = 4_294_967_295;
    let process = std::process::id();
    let id = process.to_string();
    let arguments = ["watch", "--json", "--events", "exit", "--pid", &id, "--count", "3"];
    let watch = listening(program(&[&arguments[..], &["--transport", transport_name()]].concat()));
    let threads = common::load::threads(3);
    let output = watch.wait_with_output().expect("an exit status");
    for line in text(&output.stdout).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let pid = line["pid"].as_u64().expect("an id");
        assert!(threads.iter().any(|&thread| u64::from(thread) == pid), "{line}");
        assert_eq!(
            (line["tgid"].as_u64(), line["exit_signal"].as_u64()),
            (Some(process.into()), Some(NONE))
        );
    }
    let help = run(&["watch", "--help"]);
    assert!(text(&help.stdout).contains(&NONE.to_string()), "{}", text(&help.stdout));
}
