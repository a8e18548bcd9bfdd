//! `record`: what a recording contains beside another recording, in a pipe, and after a failure.

mod captures;
mod common;

use std::fs;
use std::process::ExitCode;

use common::helper_process::run_to_end;
use common::program::{Running, feed, json_lines, program, remove_end, run, text};
use common::scratch::ScratchFile;
use common::{Deadline, named};
use nix::sys::signal::Signal;
use proc_connector::capture::Reader;
use proc_connector::{Received, WallClock};
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        a_filtered_recording_has_all_that_a_filtered_replay_chooses,
        a_recording_to_a_closed_pipe_ends,
        a_failed_recording_leaves_the_file_unchanged,
    ];
    common::main(&named![exit_3], &live)
}

fn exit_3() {
    std::process::exit(3)
}

/// A running recorder.
struct Recorder {
    record: Running,
    file: ScratchFile,
}

impl Recorder {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let file = ScratchFile::new(name);
        // The duration limits a test that fails.
        let arguments = [&["record", file.path(), "--duration", "60s"], arguments].concat();
        Self { record: Running::start(&mut program(&arguments)), file }
    }

    /// The recorded events; the file is complete at any time.
    fn lines(&self) -> Vec<Value> {
        lines(&self.file)
    }

    /// Starts children that exit with 3 until one of them is recorded; returns its exit.
    fn mark(&self) -> Value {
        let (deadline, mut marks) = (Deadline::new(), Vec::new());
        loop {
            assert!(deadline.left().is_some(), "nothing is recorded");
            marks.push(run_to_end("exit_3"));
            let is_mark = |line: &&Value| {
                line["event"] == "exit" && marks.iter().any(|&mark| line["pid"] == mark)
            };
            if let Some(line) = self.lines().iter().find(is_mark) {
                return line.clone();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn end(self) -> Vec<Value> {
        let (_, output) = self.record.end_by(Signal::SIGINT);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        assert!(errors.contains(" events, 0 lost, "), "{errors}");
        lines(&self.file)
    }
}

/// The events of a file.
fn lines(file: &ScratchFile) -> Vec<Value> {
    json_lines(&run(&["replay", "--json", file.path()]).stdout)
}

fn a_filtered_recording_has_all_that_a_filtered_replay_chooses() {
    // A recording is filtered by threads, a replay by processes, whose last thread has their status.
    let options = ["--events", "exec,exit,comm", "--failed"];
    let all = Recorder::start("all.pcapng", &[]);
    let filtered = Recorder::start("filtered.pcapng", &options);
    // Between two exits that both recorders contain, both have recorded everything.
    let first = filtered.mark();
    all.mark();
    let first = [first, filtered.mark()].into_iter().map(|mark| time(&mark)).max();
    common::load::threads(50);
    let failed: Vec<u32> = (0..20).map(|_| run_to_end("exit_3")).collect();
    let last = [all.mark(), filtered.mark()].iter().map(time).min();
    let path = all.file.path().to_owned();
    let whole = all.lines();
    let chosen = json_lines(&run(&[&["replay", "--json", &path], &options[..]].concat()).stdout);
    let (everything, recorded) = (all.end(), filtered.end());
    assert!(whole.len() > chosen.len());
    assert_eq!(everything[..whole.len()], whole, "a recording only grows");
    let between = |lines: Vec<Value>| -> Vec<Value> {
        let inside = |line: &Value| Some(time(line)) > first && Some(time(line)) < last;
        let mut lines: Vec<Value> = lines.into_iter().filter(inside).collect();
        // Two sockets may receive the events of two CPUs in different orders, and each recorder
        // compares the clocks independently.
        lines.sort_by_key(|line| (time(line), line["cpu"].as_u64(), line["seq"].as_u64()));
        for line in &mut lines {
            remove_end(line);
            line.as_object_mut().expect("an object").remove("time");
        }
        lines
    };
    let (chosen, recorded) = (between(chosen), between(recorded));
    let ends =
        |line: &&Value| line["exit_code"] == 768 && failed.iter().any(|&f| line["tgid"] == f);
    assert_eq!(chosen.iter().filter(ends).count(), failed.len());
    // A first thread that exits last with 0 may end a process that has failed.
    for line in chosen.iter().filter(|line| line["exit_code"] != 0) {
        assert!(recorded.contains(line), "{line}");
    }
}

fn time(line: &Value) -> u64 {
    line["timestamp_ns"].as_u64().expect("a time stamp")
}

fn a_recording_to_a_closed_pipe_ends() {
    let fail = || _ = run_to_end("exit_3");
    let output = common::load::repeat_during(fail, || {
        run(&["record", "-", "--anonymous", "--events", "exec", "--count", "20"])
    });
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).starts_with("20 events, 0 lost"), "{}", text(&output.stderr));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("/proc is mounted");
    let named = format!("recorded on {}", host.trim());
    let has = |text: &str| output.stdout.windows(text.len()).any(|at| at == text.as_bytes());
    assert!(!has(&named) && has("--events exec"));
    let lines = json_lines(&feed(&["replay", "-", "--json"], &output.stdout).stdout);
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| line["event"] == "exec"));
    // The time of day is that of the event, within the precision of two clock comparisons.
    let clock = WallClock::new();
    let mut reader = Reader::new(&output.stdout[..]).expect("a capture");
    while let Some(recorded) = reader.next().expect("no damage") {
        let Received::Event(event) = recorded.received else { panic!("a loss") };
        let (time, own) = (recorded.time.expect("a time"), clock.time(event.timestamp_ns()));
        let apart = captures::nanos(time).abs_diff(captures::nanos(own));
        assert!(apart < 1_000_000_000, "{apart} ns");
    }
}

fn a_failed_recording_leaves_the_file_unchanged() {
    let scratch = ScratchFile::containing("kept", b"existing contents");
    let too_many: Vec<String> = (1..=1025_u32).map(|pid| pid.to_string()).collect();
    let output = run(&["record", scratch.path(), "--pid", &too_many.join(",")]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(scratch.path()).expect("an existing file"), b"existing contents");
    let output = run(&["record", "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/does/not/exist: "), "{}", text(&output.stderr));
}
