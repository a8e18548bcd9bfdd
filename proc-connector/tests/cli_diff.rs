//! `replay --diff`, compared with the processes that ran and with the ends that `replay` shows.

mod common;

use std::process::{Command, ExitCode};

use common::program::{RECORDING, Running, program, run, text};
use common::scratch::{Scratch, ScratchFile};
use common::{Deadline, named, transport, transport_name};
use nix::sys::signal::Signal;
use proc_connector::Transport;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let everywhere = named![
        a_recording_does_not_differ_from_itself,
        sums_are_those_of_the_ends,
        recordings_without_contexts_are_compared_by_count_and_time,
        processes_are_selected,
        files_that_cannot_be_read_are_named,
        what_precedes_the_damage_is_compared,
    ];
    common::main_with(&[], &everywhere, &named![more_processes_are_a_change])
}

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/build.pcapng");

fn diff(old: &str, new: &str, options: &[&str]) -> (Value, String) {
    let output = run(&[&["replay", "--json", "--diff", old, new], options].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    (serde_json::from_slice(&output.stdout).expect("JSON"), text(&output.stderr).to_owned())
}

fn programs(comparison: &Value) -> &Vec<Value> {
    comparison["programs"].as_array().expect("a list")
}

/// The costs of a program.
fn program_of<'a>(comparison: &'a Value, name: &str) -> Option<&'a Value> {
    programs(comparison).iter().find(|row| row["program"] == name)
}

fn a_recording_does_not_differ_from_itself() {
    let (comparison, errors) = diff(DEMO, DEMO, &[]);
    assert_eq!(errors, "");
    let none = json!({"processes": 0, "failed": 0, "run_ns": 0, "cpu_ns": 0, "max_rss": 0});
    assert!(programs(&comparison).len() > 5);
    for costs in programs(&comparison).iter().chain([&comparison]) {
        assert_eq!(costs["change"], none);
        assert_eq!(costs["old"], costs["new"]);
    }
    let output = run(&["replay", "--diff", DEMO, DEMO]);
    let table = text(&output.stdout);
    assert!(table.starts_with("PROGRAM ") && table.contains("\ntotal "), "{table}");
    // Two lines of headings, a line for each program, and the totals.
    assert_eq!(table.lines().count(), programs(&comparison).len() + 3);
}

fn sums_are_those_of_the_ends() {
    let output = run(&["replay", "--json", "--who", DEMO]);
    let lines = text(&output.stdout)
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).expect("JSON") });
    let ends: Vec<Value> = lines.filter(|line| line["process_end"].is_object()).collect();
    let number = |value: &Value| value.as_u64().expect("a number");
    let sums = |ends: &[&Value]| {
        let cpu: u64 = ends.iter().map(|end| number(&end["process_end"]["usage"]["cpu_ns"])).sum();
        // The peak memory of a process can be unknown.
        let rss =
            ends.iter().filter_map(|end| end["process_end"]["usage"]["max_rss"].as_u64()).max();
        let failed = ends.iter().filter(|end| end["process_end"]["code"] != 0).count();
        json!([ends.len(), failed, cpu, rss])
    };
    let found = |costs: &Value| {
        json!([costs["processes"], costs["failed"], costs["cpu_ns"], costs["max_rss"]])
    };
    let (comparison, _) = diff(DEMO, DEMO, &[]);
    assert_eq!(found(&comparison["new"]), sums(&ends.iter().collect::<Vec<_>>()));
    for name in ["cc1", "ld", "collect2"] {
        let path = format!("/{name}");
        let is_of_program = |end: &&Value| {
            end["process"]["filename"].as_str().is_some_and(|file| file.ends_with(&path))
        };
        let of_program: Vec<&Value> = ends.iter().filter(is_of_program).collect();
        assert!(of_program.len() > 1, "{name}");
        let row = program_of(&comparison, name).expect(name);
        assert_eq!(found(&row["old"]), sums(&of_program), "{name}");
        let lifetimes = of_program.iter().map(|end| number(&end["process_end"]["lifetime_ns"]));
        assert_eq!(number(&row["old"]["run_ns"]), lifetimes.sum::<u64>(), "{name}");
    }
}

fn recordings_without_contexts_are_compared_by_count_and_time() {
    let (comparison, errors) = diff(RECORDING, DEMO, &[]);
    assert_eq!(comparison["old"]["cpu_ns"], Value::Null);
    assert_eq!(comparison["change"]["cpu_ns"], Value::Null);
    assert!(comparison["new"]["cpu_ns"].is_number() && comparison["change"]["run_ns"].is_number());
    assert!(errors.contains("build.pcapng: CPU time and memory were not recorded"), "{errors}");
    assert!(errors.contains("build.pcapng: the names of programs were not recorded"), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
    let output = run(&["replay", "--diff", RECORDING, RECORDING]);
    let table = text(&output.stdout);
    assert!(table.contains("PROCESSES") && table.contains("RUN TIME"), "{table}");
    assert!(!table.contains("CPU") && !table.contains("MEMORY"), "{table}");
}

fn processes_are_selected() {
    let (comparison, _) = diff(DEMO, DEMO, &["--comm", "cc1"]);
    let names: Vec<_> = programs(&comparison).iter().map(|row| &row["program"]).collect();
    assert_eq!(names, ["cc1"]);
    for other in
        [&["--who"][..], &["--context"], &["-o", "x.svg"], &["--events", "exit"], &["--demo"]]
    {
        let output = run(&[&["replay", "--json", "--diff", DEMO, DEMO], other].concat());
        assert_eq!(output.status.code(), Some(2), "{other:?}");
    }
    assert_eq!(run(&["replay", "--diff", DEMO]).status.code(), Some(2));
}

fn files_that_cannot_be_read_are_named() {
    let broken = ScratchFile::containing("broken", b"this is no capture, but text");
    for (old, new) in [(DEMO, "/missing/file"), ("/missing/file", DEMO), (DEMO, broken.path())] {
        let output = run(&["replay", "--diff", old, new]);
        let errors = text(&output.stderr);
        let name = if old == DEMO { new } else { old };
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains(name) && !errors.contains(DEMO) && output.stdout.is_empty(),
            "{errors}"
        );
    }
}

fn what_precedes_the_damage_is_compared() {
    let whole = std::fs::read(DEMO).expect("the demo");
    let cut = ScratchFile::containing("cut.pcapng", &whole[..=whole.len() * 2 / 3]);
    for files in [[cut.path(), DEMO], [DEMO, cut.path()]] {
        let output = run(&["replay", "--json", "--diff", files[0], files[1]]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("cut.pcapng: truncated pcapng block"), "{errors}");
        let comparison: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        for costs in [&comparison["old"], &comparison["new"]] {
            assert!(costs["processes"].as_u64() > Some(0), "{comparison}");
        }
    }
}

/// Records while a shell runs a program this often, and ends the recording when it has the last process.
fn recorded(file: &str, shell: &str, count: usize) {
    let listen = ["--duration", "60s", "--buffer", "100000", "--transport", transport_name()];
    let record = Running::start(&mut program(&[&["record", file], &listen[..]].concat()));
    let script = format!("for i in $(seq {count}); do env true; done; uname -a; exit 3");
    let deadline = Deadline::new();
    let has_event = |id: u32| {
        let id = id.to_ne_bytes();
        std::fs::read(file).is_ok_and(|bytes| bytes.windows(4).any(|part| part == id))
    };
    // The first processes may be created before the program listens.
    loop {
        assert!(deadline.left().is_some(), "no events");
        let mut child = Command::new("true").spawn().expect("a program of every system");
        child.wait().expect("an exit status");
        std::thread::sleep(std::time::Duration::from_millis(50));
        if has_event(child.id()) {
            break;
        }
    }
    let mut shell = Command::new(shell);
    shell.args(["-c", &script]).stdout(std::process::Stdio::null());
    shell.status().expect("a shell");
    let mut last = Command::new("true").spawn().expect("a program of every system");
    last.wait().expect("an exit status");
    while !has_event(last.id()) {
        assert!(deadline.left().is_some(), "no events");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{output:?}");
}

fn more_processes_are_a_change() {
    let scratch = Scratch::new("diff");
    let (old, new) = (scratch.file("old.pcapng"), scratch.file("new.pcapng"));
    // No other test has a shell of this name.
    let name = format!("diff-{}", std::process::id());
    let shell = scratch.file(&name);
    std::os::unix::fs::symlink("/bin/sh", &shell).expect("a link");
    recorded(&old, &shell, 3);
    recorded(&new, &shell, 7);
    let (comparison, errors) = diff(&old, &new, &["--tree", &name]);
    if transport() == Transport::Socket {
        // The socket records ids. Names are those that processes set, so nothing is selected by name.
        assert!(errors.contains("old.pcapng: no processes"), "{errors}");
        let (comparison, errors) = diff(&old, &new, &[]);
        assert!(errors.contains("new.pcapng: CPU time and memory were not recorded"), "{errors}");
        assert!(comparison["change"]["run_ns"].is_number());
        return;
    }
    assert_eq!(errors, "");
    // `env` executes `true` in the same process.
    let row = program_of(&comparison, "true").expect("a program");
    let counts = |key: &str| json!([row["old"][key], row["new"][key], row["change"][key]]);
    assert_eq!(counts("processes"), json!([3, 7, 4]), "{comparison}");
    assert_eq!(counts("failed"), json!([0, 0, 0]));
    assert_eq!(counts("measured"), json!([3, 7, null]));
    let uname = program_of(&comparison, "uname").expect("a program");
    assert_eq!(uname["change"]["processes"], 0);
}
