//! Charts of recordings.

mod captures;
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::ExitCode;

use captures::{DEMO, demo_events};
use common::named;
use common::program::{RECORDING, run, text};
use common::scratch::Scratch;
use common::wire::{EXEC, EXIT, FORK};
use serde_json::Value;

fn main() -> ExitCode {
    let everywhere = named![
        a_file_of_another_kind_is_bad_usage,
        a_recording_can_be_drawn_as_a_timeline,
        a_recording_can_be_written_as_trace_events,
        a_recording_can_be_folded_into_lines,
        a_tree_of_a_recording_is_drawn_alone,
        a_file_that_cannot_be_written_is_named,
        each_file_on_a_full_disk_is_named,
        a_failed_read_leaves_the_file_unchanged,
    ];
    common::main_with(&[], &everywhere, &[])
}

fn a_file_of_another_kind_is_bad_usage() {
    for arguments in
        [&["trace", "-o", "x.png", "--", "true"][..], &["replay", RECORDING, "-o", "chart"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        for name in [".svg", ".html", ".json", ".jsonl"] {
            assert!(text(&output.stderr).contains(name), "{}", text(&output.stderr));
        }
    }
    assert_eq!(run(&["trace"]).status.code(), Some(2));
    let both = ["replay", RECORDING, "--json", "-o", "x.svg"];
    assert_eq!(run(&both).status.code(), Some(2));
}

/// The processes of the demo with their wait statuses, from its bytes.
fn demo_processes() -> BTreeMap<u32, u32> {
    let events = demo_events();
    let forks =
        events.iter().filter(|event| event.what == FORK && event.words[2] == event.words[3]);
    let exits =
        events.iter().filter(|event| event.what == EXIT && event.words[0] == event.words[1]);
    let statuses: BTreeMap<u32, u32> = exits.map(|exit| (exit.words[0], exit.words[2])).collect();
    forks.map(|fork| fork.words[2]).map(|pid| (pid, statuses[&pid])).collect()
}

fn a_recording_can_be_drawn_as_a_timeline() {
    let scratch = Scratch::new("timeline");
    let file = scratch.file("demo.svg");
    let output = run(&["replay", RECORDING, "-o", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).starts_with("74 events, 0 lost"), "{}", text(&output.stderr));
    let svg = fs::read_to_string(&file).expect("a file");
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let titles: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("title"))
        .filter_map(|node| node.text())
        .collect();
    let processes = demo_processes();
    // Each process is drawn, alone or in a bundle of processes with short lifetimes.
    let alone = titles.iter().filter(|title| title.contains("\npid ")).count();
    let bundled = titles.iter().filter_map(|title| title.split_once(" processes"));
    let bundled: usize = bundled.filter_map(|(count, _)| count.parse::<usize>().ok()).sum();
    assert_eq!(alone + bundled, processes.len());
    let failed = processes.values().filter(|&&status| status != 0).count();
    let sum = format!(">{} processes, {failed} failed, ", processes.len());
    assert!(svg.contains(&sum), "{sum}");
}

fn a_recording_can_be_written_as_trace_events() {
    let scratch = Scratch::new("events");
    let file = scratch.file("demo.json");
    fs::write(&file, "x".repeat(100_000)).expect("a writable directory");
    let recording = scratch.file("demo.pcapng");
    fs::write(&recording, DEMO).expect("a writable directory");
    assert_eq!(run(&["replay", &recording, "-o", &file]).status.code(), Some(0));
    let trace: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let found: BTreeMap<u32, u32> = events
        .iter()
        .filter(|event| event["ph"] == "X")
        .map(|event| {
            let args = &event["args"];
            let number = |key: &str| args[key].as_u64().map(|n| u32::try_from(n).expect("32 bits"));
            let status = number("exit_code").map(|code| code << 8).or_else(|| number("signal"));
            (number("pid").expect("a number"), status.expect("an end"))
        })
        .collect();
    let without_core = |(pid, status): (u32, u32)| (pid, status & !0x80);
    assert_eq!(found, demo_processes().into_iter().map(without_core).collect());
    let parents = events.iter().filter_map(|event| {
        Some((event["args"].get("pid")?.as_u64()?, event["args"].get("parent")?.as_u64()?))
    });
    let demo = demo_events();
    let forks = demo.iter().filter(|event| event.what == FORK && event.words[2] == event.words[3]);
    // The first process's parent did nothing else.
    let made = forks.skip(1).map(|fork| (fork.words[2].into(), fork.words[1].into()));
    assert_eq!(parents.collect::<BTreeMap<u64, u64>>(), made.collect());
    let execs = events.iter().filter(|event| event["name"] == "exec").count();
    assert_eq!(execs, demo_events().iter().filter(|event| event.what == EXEC).count());
}

fn a_recording_can_be_folded_into_lines() {
    let scratch = Scratch::new("lines");
    let file = scratch.file("demo.jsonl");
    assert_eq!(run(&["replay", RECORDING, "-o", &file]).status.code(), Some(0));
    let lines = run(&["replay", RECORDING, "--json"]);
    let parsed = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let mut events = parsed(&fs::read_to_string(&file).expect("a file"));
    // The table of processes, which `--json` alone does not need, finds the ends of processes.
    let mut statuses = BTreeMap::new();
    for event in events.iter_mut().filter_map(Value::as_object_mut) {
        event.remove("over");
        if let Some(end) = event.remove("process_end") {
            let status = end["code"].as_u64().map(|code| code << 8).or(end["signal"].as_u64());
            statuses.insert(event["tgid"].as_u64().expect("a number"), status.expect("an end"));
        }
    }
    assert_eq!(events, parsed(text(&lines.stdout)));
    assert_eq!(events.len(), 74);
    let known =
        demo_processes().into_iter().map(|(pid, status)| (pid.into(), (status & !0x80).into()));
    assert_eq!(statuses, known.collect());
}

/// The descendants of a process, including the process.
fn demo_tree(root: u32) -> BTreeSet<u32> {
    let mut tree = BTreeSet::from([root]);
    for fork in demo_events().iter().filter(|event| event.what == FORK) {
        if fork.words[2] == fork.words[3] && tree.contains(&fork.words[1]) {
            tree.insert(fork.words[2]);
        }
    }
    tree
}

fn a_tree_of_a_recording_is_drawn_alone() {
    let scratch = Scratch::new("tree");
    let files = ["x.json", "x.jsonl"].map(|name| scratch.file(name));
    let root = 14_759;
    let tree = root.to_string();
    let options = ["replay", RECORDING, "--tree", &tree, "-o", &files[0], "-o", &files[1]];
    assert_eq!(run(&options).status.code(), Some(0));
    let [trace, lines] = files.map(|file| fs::read_to_string(file).expect("a file"));
    let trace: Value = serde_json::from_str(&trace).expect("JSON");
    let processes: Vec<&Value> = trace["traceEvents"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["ph"] == "X")
        .collect();
    let drawn = processes.iter().map(|event| event["args"]["pid"].as_u64().expect("a number"));
    let drawn: BTreeSet<u32> = drawn.map(|pid| u32::try_from(pid).expect("32 bits")).collect();
    assert_eq!(drawn, demo_tree(root));
    assert!(drawn.len() > 1 && drawn.len() < demo_processes().len());
    // The chart covers only their lifetimes.
    let first = processes.iter().filter_map(|event| event["ts"].as_f64()).reduce(f64::min);
    assert_eq!(first, Some(0.0));
    let same = run(&["replay", RECORDING, "--tree", &tree, "--json"]);
    assert_eq!(lines, text(&same.stdout));
}

fn a_file_that_cannot_be_written_is_named() {
    let output = run(&["replay", RECORDING, "-o", "/nowhere/x.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/x.svg: "), "{}", text(&output.stderr));
}

fn each_file_on_a_full_disk_is_named() {
    let scratch = Scratch::new("full");
    let files = ["x.svg", "x.html", "x.json"].map(|name| scratch.file(name));
    let mut arguments = vec!["replay", RECORDING];
    for file in &files {
        symlink("/dev/full", file).expect("a link");
        arguments.extend(["-o", file]);
    }
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    for file in &files {
        let error = format!("proc-connector: {file}: No space left on device");
        assert_eq!(errors.matches(&error).count(), 1, "{errors}");
    }
}

fn a_failed_read_leaves_the_file_unchanged() {
    let scratch = Scratch::new("unread");
    let [file, empty] = ["old.svg", "empty.pcapng"].map(|name| scratch.file(name));
    fs::write(&file, "old").expect("a writable directory");
    fs::write(&empty, "").expect("a writable directory");
    let output = run(&["replay", &empty, "-o", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("empty"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "old");
}
