//! A replay shows what `watch` showed of the same events.

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, ExitCode, Stdio};

use common::program::{Running, program, run, text};
use common::scratch::{Scratch, ScratchFile};
use common::{Deadline, named, transport, transport_name};
use nix::sys::signal::Signal;
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    common::main(
        &[],
        &named![
            a_replay_shows_what_watch_showed,
            secrets_are_in_no_output,
            an_anonymous_recording_has_only_ids,
            a_chart_does_not_begin_with_the_creation_of_older_processes,
        ],
    )
}

/// An event: its CPU, and its number there.
type Key = (u64, u64);

/// The lines of events about these processes.
fn lines<'a>(output: impl Iterator<Item = &'a str>, tgids: &[u64]) -> HashMap<Key, Value> {
    let mut lines = HashMap::new();
    for line in output {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_ne!(line["event"], "lost", "the machine is too busy");
        let ids = ["/tgid", "/child_tgid", "/parent_tgid", "/process/parent"];
        let ids = ids.map(|key| line.pointer(key).and_then(Value::as_u64));
        if ids.iter().flatten().any(|id| tgids.contains(id)) {
            let number = |key: &str| line[key].as_u64().expect("a number");
            lines.insert((number("cpu"), number("seq")), line);
        }
    }
    lines
}

/// The end of a file, which has the latest events.
fn tail(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let len = file.metadata().map_or(0, |file| file.len());
        file.seek(SeekFrom::Start(len.saturating_sub(1 << 17))).expect("a file");
        file.read_to_end(&mut bytes).expect("a file");
    }
    bytes
}

/// Whether the output has events of a process.
fn has_json(path: &str, id: u64) -> bool {
    contains(&tail(path), &format!("\"tgid\":{id},"))
}

/// The same for a recording.
fn has_packet(path: &str, id: u64) -> bool {
    let id = u32::try_from(id).expect("an id").to_ne_bytes();
    tail(path).windows(4).any(|window| window == id)
}

/// Removes what two connectors measure separately: the offset of the clocks, and CPU time up to the moment
/// at which each receives the exit.
fn comparable(mut line: Value) -> Value {
    fn remove(value: &mut Value) {
        const MEASURED: [&str; 6] =
            ["time", "start_ns", "lifetime_ns", "cpu_ns", "user_ns", "system_ns"];
        if let Value::Object(map) = value {
            for key in MEASURED {
                map.remove(key);
            }
            map.values_mut().for_each(remove);
        }
    }
    remove(&mut line);
    line
}

/// Runs processes that execute programs, change their user, and fail. Returns the id of the first.
fn run_processes() -> u64 {
    let script =
        "ls / >/dev/null; (exit 3); sh -c 'kill -SEGV $$'; exec env A=b sh -c 'exit 5' x 'y z'";
    let mut child = Command::new("sh");
    child.args(["-c", script]).stderr(Stdio::null());
    let mut child = child.spawn().expect("a shell");
    child.wait().expect("an exit status");
    child.id().into()
}

fn a_replay_shows_what_watch_showed() {
    let scratch = Scratch::new("whole");
    let file = scratch.file("events.pcapng");
    let file = file.as_str();
    let output = scratch.file("watch.json");
    let listen = ["--duration", "60s", "--buffer", "100000", "--transport", transport_name()];
    let mut watch = program(&[&["watch", "--json", "--who"], &listen[..]].concat());
    watch.stdout(File::create(&output).expect("a file"));
    let watch = watch.spawn().expect("the program runs");
    let record = Running::start(&mut program(&[&["record", file], &listen[..]].concat()));
    let (deadline, mut both) = (Deadline::new(), 0);
    let has = |path: &str, id: u64| has_json(path, id) || has_packet(path, id);
    // After some processes of which both have seen events, those of later ones are complete.
    let mut tgids = Vec::new();
    while tgids.len() < 5 {
        assert!(deadline.left().is_some(), "no events");
        let id = run_processes();
        if both >= 3 {
            tgids.push(id);
        } else if has(&output, id) && has(file, id) {
            both += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let last = tgids.last().copied().expect("a process");
    while !(has(&output, last) && has(file, last)) {
        assert!(deadline.left().is_some(), "no events");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let watch_pid = nix::unistd::Pid::from_raw(watch.id().try_into().expect("a pid"));
    nix::sys::signal::kill(watch_pid, Signal::SIGINT).expect("a child that runs");
    watch.wait_with_output().expect("an exit status");
    let (_, recorded) = record.end_by(Signal::SIGINT);
    assert!(recorded.status.success(), "{recorded:?}");

    let replay = run(&["replay", "--json", "--who", file]);
    assert!(replay.status.success(), "{}", text(&replay.stderr));
    assert!(!text(&replay.stderr).contains("could not be read"), "{}", text(&replay.stderr));
    let shown = std::fs::read_to_string(&output).expect("text");
    let shown = lines(shown.lines(), &tgids);
    let replayed = lines(text(&replay.stdout).lines(), &tgids);
    // A fork, three execs and an exit; and of three children a fork and an exit, and two execs.
    assert!(shown.len() >= (5 + 3 * 2 + 2) * tgids.len(), "{}", shown.len());
    assert_eq!(shown.len(), replayed.len());
    for (key, line) in shown {
        let replayed = replayed.get(&key).unwrap_or_else(|| panic!("missing: {line}"));
        if transport() == Transport::Ring {
            assert_eq!(comparable(replayed.clone()), comparable(line));
        } else {
            // The socket records no programs. Those that existed before are known from `/proc`.
            assert_eq!(replayed["process"]["tgid"], line["process"]["tgid"]);
        }
    }
    if transport() == Transport::Ring {
        let names: Vec<_> = replayed.values().map(|line| &line["process"]["args"]).collect();
        let expected = serde_json::json!(["sh", "-c", "exit 5", "x", "y z"]);
        assert!(names.contains(&&expected), "{names:?}");
    }
}

const SECRET: &str = "hunter2hunter2";

/// Runs a process with a secret argument.
fn run_with_secret() -> u64 {
    let mut child = Command::new("sh");
    child.args(["-c", "sleep 0.02", "marked", "--token", SECRET, "--pass=hunter2hunter2"]);
    let mut child = child.spawn().expect("a shell");
    child.wait().expect("an exit status");
    child.id().into()
}

/// Runs processes until the output has an event of one, and two more.
fn run_until_seen(has: impl Fn(u64) -> bool) {
    let (deadline, mut seen) = (Deadline::new(), 0);
    while seen < 3 {
        assert!(deadline.left().is_some(), "no events");
        let id = run_with_secret();
        std::thread::sleep(std::time::Duration::from_millis(20));
        seen += usize::from(has(id));
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Records with these options while processes run. The file, and its events as `replay` shows them.
fn recorded(options: &[&str]) -> (Vec<u8>, String) {
    let scratch = Scratch::new("redact");
    let file = scratch.file("events.pcapng");
    let always = ["record", &file, "--duration", "60s", "--transport", transport_name()];
    let record = Running::start(&mut program(&[&always, options].concat()));
    // This process exists when the recording begins.
    let mut earlier = Command::new("sh");
    earlier.args(["-c", "read x", "earlier", "--token", SECRET]).stdin(Stdio::piped());
    let mut earlier = earlier.spawn().expect("a shell");
    let has = |id: u64| has_packet(&file, id);
    run_until_seen(has);
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{output:?}");
    drop(earlier.stdin.take());
    earlier.wait().expect("an exit status");
    let replay = run(&["replay", "--json", "--who", "--context", &file]);
    assert!(replay.status.success(), "{replay:?}");
    (std::fs::read(&file).expect("a file"), text(&replay.stdout).to_owned())
}

fn secrets_are_in_no_output() {
    let redact = ["--redact", "*token", "--redact", "PASS"];
    let (file, replayed) = recorded(&redact);
    assert!(!contains(&file, SECRET));
    if transport() == Transport::Ring {
        assert!(contains(&file, "marked,--token,***,--pass=***"));
        assert!(replayed.contains("\"--token\",\"***\""), "{replayed}");
    }
    let listen = ["--duration", "2s", "--transport", transport_name()];
    let mut watch =
        program(&[&["watch", "--json", "--who", "--context"], &listen[..], &redact].concat());
    let shown = common::load::repeat_during(
        || _ = run_with_secret(),
        || watch.output().expect("the program runs").stdout,
    );
    assert!(!contains(&shown, SECRET));
    assert!(contains(&shown, "\"--token\",\"***\""), "{}", text(&shown));

    let scratch = Scratch::new("trace");
    let files = ["svg", "html", "json", "jsonl"].map(|kind| scratch.file(&format!("trace.{kind}")));
    let outputs: Vec<&str> = files.iter().flat_map(|file| ["-o", file]).collect();
    let command =
        ["--", "sh", "-c", "true; sh -c true x --token hunter2hunter2", "--token", SECRET];
    let options = ["--transport", transport_name()];
    let trace = run(&[&["trace"], &outputs[..], &options, &redact, &command].concat());
    assert!(trace.status.success(), "{trace:?}");
    assert!(!contains(&trace.stderr, SECRET), "{}", text(&trace.stderr));
    for file in &files {
        assert!(!contains(&std::fs::read(file).expect("a file"), SECRET), "{file}");
    }
}

fn an_anonymous_recording_has_only_ids() {
    let (file, replayed) = recorded(&["--anonymous"]);
    for name in ["marked", SECRET, "sleep", "/bin/", "root", "earlier"] {
        assert!(!contains(&file, name), "{name}");
    }
    let first: Value =
        serde_json::from_str(replayed.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["process"]["args"], Value::Null);
    assert_eq!(first["process"]["user"], Value::Null);
    assert!(first["process"]["tgid"].is_number() || first["process"].is_null(), "{first}");
}

fn a_chart_does_not_begin_with_the_creation_of_older_processes() {
    let (file, replayed) = recorded(&[]);
    let capture = ScratchFile::containing("older", &file);
    let scratch = Scratch::new("older-chart");
    let chart = scratch.file("x.json");
    let replay = run(&["replay", capture.path(), "-o", &chart]);
    assert!(replay.status.success(), "{replay:?}");
    let chart = std::fs::read(&chart).expect("a file");
    let chart: Value = serde_json::from_slice(&chart).expect("JSON");
    // This process is the parent of others in the recording, and older.
    let pids: Vec<u64> = chart["traceEvents"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|event| event["args"]["pid"].as_u64())
        .collect();
    assert!(pids.contains(&std::process::id().into()), "{pids:?}");
    let first = replayed.lines().next().expect("a line");
    let first: Value = serde_json::from_str(first).expect("JSON");
    let first = first["timestamp_ns"].as_u64().expect("a time");
    let begin = chart["otherData"]["begin_ns"].as_u64().expect("a time");
    // Events of different CPUs may be a little out of order, and a fork takes some time.
    assert!(begin + 50_000_000 > first, "{begin} is before {first}");
}
