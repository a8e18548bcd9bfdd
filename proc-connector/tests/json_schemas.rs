//! The published schemas, held against the lines that the program writes, with an independent validator.

mod common;
#[path = "captures/full.rs"]
mod full;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;

use common::named;
use common::program::{RECORDING, Running, program, run, text};
use common::scratch::{Scratch, ScratchFile};
use common::wire::{self, COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, PTRACE, SID, UID};
use common::{transport, transport_name};
use jsonschema::Validator;
use proc_connector::parser::{Layer, ParseError};
use proc_connector::{LossCause, Lost, Transport};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    let everywhere = named![
        schemas_are_valid_and_describe_every_key,
        recorded_events_have_the_schema,
        every_key_of_the_schema_is_written,
        every_cause_of_a_loss_has_the_schema,
        a_changed_line_does_not_have_the_schema,
        readers_accept_new_keys,
        diagnoses_have_the_schema,
        comparisons_have_the_schema,
    ];
    let live =
        named![live_events_have_the_schema, statistics_have_the_schema, ends_have_the_schema];
    common::main_with(&[], &everywhere, &live)
}

const NAMES: [&str; 5] = ["events", "stats", "doctor", "diff", "wait"];

fn document(name: &str) -> Value {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let file = fs::read(directory.join(format!("{name}.v1.json"))).expect("a schema");
    serde_json::from_slice(&file).expect("JSON")
}

/// A schema as published, and one that permits no keys but those of the schema.
struct Schema {
    published: Validator,
    exact: Validator,
}

impl Schema {
    fn read(name: &str) -> Self {
        let published = document(name);
        let mut exact = published.clone();
        forbid_other_keys(&mut exact);
        let validator = |schema| jsonschema::validator_for(schema).expect("a schema");
        Self { published: validator(&published), exact: validator(&exact) }
    }

    fn assert_has(&self, line: &Value) {
        for validator in [&self.published, &self.exact] {
            let errors: Vec<_> = validator
                .iter_errors(line)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?} in {line}");
        }
    }
}

/// Closes every object of a schema.
fn forbid_other_keys(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && map.get("type") == Some(&json!("object")) {
                map.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(forbid_other_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_other_keys),
        _ => {}
    }
}

fn schemas_are_valid_and_describe_every_key() {
    for name in NAMES {
        let schema = document(name);
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        assert_eq!(schema["$id"], format!("urn:proc-connector:schema:{name}:v1"));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let definitions = schema["$defs"].as_object().expect("definitions");
        for (definition, key, form) in keys_of(&schema) {
            let target = form["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/"));
            let target = target.map(|target| &definitions[target]);
            let has_description = |form: &Value| form["description"].is_string();
            let is_constant = form.get("const").is_some();
            // The keys of counts are kinds of events.
            let is_kind = ["counts", "rates"].contains(&&*definition);
            assert!(
                is_constant
                    || is_kind
                    || has_description(&form)
                    || target.is_some_and(has_description),
                "{name}: {key} of {definition}"
            );
        }
    }
}

/// All keys of the objects that a schema defines, with the name of their definition.
fn keys_of(schema: &Value) -> Vec<(String, String, Value)> {
    let mut keys = Vec::new();
    for (definition, form) in schema["$defs"].as_object().expect("definitions") {
        for (key, form) in form["properties"].as_object().into_iter().flatten() {
            keys.push((definition.clone(), key.clone(), form.clone()));
        }
    }
    keys
}

/// The objects of a line: their definition in the schema, and their place.
fn objects_of(line: &Value) -> Vec<(String, String)> {
    fn add(object: &Map<String, Value>, place: &str, found: &mut Vec<(String, String)>) {
        for (key, value) in object {
            if let Value::Object(object) = value {
                let place = format!("{place}/{key}");
                found.push((key.clone(), place.clone()));
                add(object, &place, found);
            }
        }
    }
    let mut found = vec![(line["event"].as_str().expect("a kind").to_owned(), String::new())];
    add(line.as_object().expect("an object"), "", &mut found);
    found
}

fn object_at<'a>(line: &'a mut Value, place: &str) -> &'a mut Map<String, Value> {
    line.pointer_mut(place).and_then(Value::as_object_mut).expect("an object")
}

fn lines_of(output: &[u8]) -> Vec<Value> {
    text(output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A replay of a file with each combination of options.
fn replayed(file: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for options in [&[][..], &["--who"], &["--context"], &["--who", "--context"]] {
        let output = run(&[&["replay", "--json", file], options].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        lines.extend(lines_of(&output.stdout));
    }
    lines
}

/// Lines of every kind of event and of losses, with every key.
fn recorded() -> Vec<Value> {
    // All kinds, the last of which this version does not know, and a name that is not UTF-8.
    let words = [1, u32::MAX, 3, 4, 5, 6];
    let kinds = [FORK, EXEC, EXIT, UID, GID, SID, PTRACE, COREDUMP, NEW_KIND];
    let mut datagrams: Vec<Vec<u8>> = kinds.iter().map(|&kind| wire::event(kind, &words)).collect();
    let union =
        [&7_u32.to_ne_bytes()[..], &7_u32.to_ne_bytes(), b"a\xff not UTF-8\0\0\0\0\0"].concat();
    let event = wire::cn_msg(1, 1, &wire::proc_event(COMM, &union));
    datagrams.push(wire::message(wire::NLMSG_DONE, &event));
    let bare = ScratchFile::containing("datagrams", &datagrams.concat());
    let full = ScratchFile::containing("full", &full::capture());
    [replayed("--demo"), replayed(bare.path()), replayed(full.path())].concat()
}

fn recorded_events_have_the_schema() {
    let (schema, lines) = (Schema::read("events"), recorded());
    for line in &lines {
        schema.assert_has(line);
    }
    let kinds: BTreeSet<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    let expected = document("events")["properties"]["event"]["enum"].clone();
    let expected: Vec<String> = serde_json::from_value(expected).expect("kinds");
    assert_eq!(kinds, expected.iter().map(String::as_str).collect());
    let has_cut_arguments = |line: &Value| line["task"]["args_cut"] == true;
    assert!(lines.iter().any(has_cut_arguments));
}

fn every_key_of_the_schema_is_written() {
    let mut seen = BTreeSet::new();
    for mut line in recorded() {
        for (definition, place) in objects_of(&line) {
            for key in object_at(&mut line, &place).keys() {
                seen.insert((definition.clone(), key.clone()));
            }
        }
    }
    let documented = keys_of(&document("events"));
    let documented = documented.into_iter().map(|(definition, key, _)| (definition, key)).collect();
    // These are added to any event; the table has no process for some of them.
    let is_part = |(_, key): &&(String, String)| key == "task" || key == "process";
    let missing: Vec<_> =
        BTreeSet::difference(&documented, &seen).filter(|key| !is_part(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let undocumented: Vec<_> = seen.difference(&documented).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

fn every_cause_of_a_loss_has_the_schema() {
    let schema = Schema::read("events");
    let (layer, offset, needed, actual) = (Layer::CnMsg, 16, 20, 19);
    let malformed = [
        ParseError::Truncated { layer, offset, needed, actual },
        ParseError::InvalidLength { layer, offset, needed, actual },
        ParseError::UnexpectedConnector { offset, idx: 1, val: 2 },
        ParseError::RequestLength { offset, actual },
        ParseError::UnknownOperation { offset, op: 3 },
    ];
    let causes = [
        LossCause::Overrun,
        LossCause::Oversized,
        LossCause::Recorded,
        LossCause::QueueFull,
        LossCause::ShareExceeded,
        LossCause::Unfollowed,
    ];
    for cause in causes.into_iter().chain(malformed.map(LossCause::Malformed)) {
        for count in [None, Some(0), Some(u64::MAX)] {
            let mut line = serde_json::to_value(Lost::new(count, cause)).expect("data");
            line["time"] = json!("2026-01-02T03:04:05Z");
            schema.assert_has(&line);
        }
    }
}

/// Whether some lines lack a key.
fn is_optional(definition: &str, key: &str) -> bool {
    let keys: &[&str] = match definition {
        "unknown" if key == "raw_data" => return false,
        "exit" => &["over", "process_end", "task", "process"],
        "process_end" => &["lifetime_ns", "usage"],
        "usage" => &["max_rss"],
        "task" => &["child_start_boottime_ns", "usage", "filename", "exe", "program", "cwd"],
        "process" => &[
            "lifetime_ns",
            "start_boottime_ns",
            "filename",
            "program",
            "cwd",
            "tty",
            "login_uid",
            "audit_session",
            "ns_tgid",
            "pid_ns",
        ],
        _ => &["task", "process"],
    };
    keys.contains(&key) || key.starts_with("raw_")
}

fn a_changed_line_does_not_have_the_schema() {
    let schema = Schema::read("events");
    for mut line in recorded() {
        for (definition, place) in objects_of(&line) {
            let original = object_at(&mut line, &place).clone();
            for (key, value) in &original {
                let key = key.as_str();
                let mut changed = |change: &dyn Fn(&mut Map<String, Value>)| {
                    change(object_at(&mut line, &place));
                    let is_valid = (schema.published.is_valid(&line), schema.exact.is_valid(&line));
                    object_at(&mut line, &place).clone_from(&original);
                    is_valid
                };
                let context = format!("{key} of {definition}");
                let (missing, _) = changed(&|object| _ = object.remove(key));
                // A value that another key depends on is not optional.
                let is_used = original.contains_key(&format!("raw_{key}"));
                assert_eq!(missing, is_optional(&definition, key) && !is_used, "without {context}");
                let (_, renamed) = changed(&|object| {
                    let value = object.remove(key).expect("a key");
                    object.insert(format!("{key}_"), value);
                });
                assert!(!renamed, "{context} under another name");
                let others = [json!({}), json!([[[]]]), json!(-1), json!(0.5)];
                for other in others.iter().chain(value.is_number().then_some(&Value::from("1"))) {
                    let (mistyped, _) =
                        changed(&|object| _ = object.insert(key.to_owned(), other.clone()));
                    assert!(!mistyped, "{context} is {other}");
                }
            }
        }
    }
}

fn readers_accept_new_keys() {
    let schema = Schema::read("events");
    for mut line in recorded() {
        for (_, place) in objects_of(&line) {
            object_at(&mut line, &place).insert("new".to_owned(), json!([null]));
        }
        assert!(schema.published.is_valid(&line) && !schema.exact.is_valid(&line), "{line}");
    }
}

fn diagnoses_have_the_schema() {
    let schema = Schema::read("doctor");
    let output = run(&["doctor", "--json"]);
    let mut diagnosis: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    schema.assert_has(&diagnosis);
    for (key, other) in [("check", "c"), ("verdict", "Ok"), ("fact", "")] {
        let mut changed = diagnosis.clone();
        changed["findings"][0][key] = json!(other);
        assert!(!schema.published.is_valid(&changed), "{changed}");
    }
    diagnosis["findings"][1].as_object_mut().expect("a finding").remove("remedy");
    assert!(!schema.published.is_valid(&diagnosis));
}

fn comparisons_have_the_schema() {
    let schema = Schema::read("diff");
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/build.pcapng");
    // The first recording has no names and no usage.
    for old in [RECORDING, demo] {
        let output = run(&["replay", "--json", "--diff", old, demo]);
        let comparison: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        schema.assert_has(&comparison);
        for place in ["", "/old", "/change", "/programs/0", "/programs/0/new"] {
            let keys = comparison.pointer(place).and_then(Value::as_object).expect("an object");
            for key in keys.keys() {
                let mut changed = comparison.clone();
                object_at(&mut changed, place).remove(key);
                assert!(!schema.published.is_valid(&changed), "{place}/{key}");
                object_at(&mut changed, place).insert(key.clone(), json!(0.5));
                assert!(!schema.published.is_valid(&changed), "{place}/{key}");
            }
        }
    }
}

/// Processes that fail, crash, and have a name and arguments that are not UTF-8.
const ACTIONS: &str = r#"
    printf 'a\377b' > /proc/$$/comm
    (exit 3)
    sh -c 'kill -SEGV $$'
    env -i "$(printf 'A\377')=b" sh -c 'exit 5' x "$(printf 'y\377')"
    cd /proc && true & wait"#;

/// The output of a program that ends after some time. Until then the actions are repeated.
fn output_during_actions(mut program: Command) -> Output {
    let program = program.spawn().expect("the program runs");
    let waiting = thread::spawn(|| program.wait_with_output().expect("an exit status"));
    while !waiting.is_finished() {
        let mut shell = Command::new("sh");
        shell.args(["-c", ACTIONS]).stderr(Stdio::null()).status().expect("a shell");
    }
    waiting.join().expect("a thread without a panic")
}

fn live_events_have_the_schema() {
    let schema = Schema::read("events");
    let options = ["--duration", "1s", "--buffer", "100000", "--transport", transport_name()];
    for parts in [&[][..], &["--who"], &["--context"], &["--who", "--context"]] {
        if transport() == Transport::Socket && parts.contains(&"--context") {
            continue;
        }
        let watch = program(&[&["watch", "--json"], &options[..], parts].concat());
        let output = output_during_actions(watch);
        let lines = lines_of(&output.stdout);
        assert!(lines.len() > 20, "{}", text(&output.stderr));
        for line in &lines {
            schema.assert_has(line);
        }
    }
    let scratch = Scratch::new("lines");
    let file = scratch.file("events.jsonl");
    let trace = ["trace", "-q", "-o", &file, "--transport", transport_name(), "--", "sh", "-c"];
    let trace = run(&[&trace[..], &[ACTIONS]].concat());
    assert!(trace.status.success(), "{}", text(&trace.stderr));
    let lines = lines_of(&fs::read(&file).expect("a file"));
    for line in &lines {
        schema.assert_has(line);
    }
    assert!(lines.iter().any(|line| line["event"] == "exec"), "{lines:?}");
}

fn statistics_have_the_schema() {
    let schema = Schema::read("stats");
    let options = ["--interval", "500ms", "--count", "3", "--transport", transport_name()];
    let output = output_during_actions(program(&[&["stats", "--json"], &options[..]].concat()));
    let reports = lines_of(&output.stdout);
    assert!(!reports.is_empty(), "{}", text(&output.stderr));
    for report in &reports {
        schema.assert_has(report);
    }
    let report = reports.iter().max_by_key(|report| report["ended"].as_u64()).expect("a report");
    assert!(report["ended_by_name"].as_array().is_some_and(|rows| !rows.is_empty()), "{report}");
    for place in
        ["", "/counts", "/rate", "/ended_by_name/0", "/forks_by_user/0", "/ended_by_cgroup/0"]
    {
        let keys = report.pointer(place).and_then(Value::as_object).expect("an object");
        for key in keys.keys().filter(|key| !key.starts_with("raw_")) {
            let mut changed = report.clone();
            let removed = object_at(&mut changed, place).remove(key);
            assert!(removed.is_some() && !schema.published.is_valid(&changed), "{place}/{key}");
            let mut changed = report.clone();
            object_at(&mut changed, place).insert(key.clone(), json!([[-1]]));
            assert!(!schema.published.is_valid(&changed), "{place}/{key}");
        }
    }
}

fn ends_have_the_schema() {
    let schema = Schema::read("wait");
    // A name and arguments that are not UTF-8, an exit status, and a signal.
    let scripts = ["printf 'a\\377b' > /proc/$$/comm; read x; exit 3", "read x; kill -SEGV $$"];
    let start = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "x"]).arg(OsStr::from_bytes(b"y\xff"));
        shell.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell")
    };
    let children: Vec<Child> = scripts.into_iter().map(start).collect();
    let pids: Vec<String> = children.iter().map(|child| child.id().to_string()).collect();
    let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
    let options = ["wait", "--json", "--timeout", "60s", "--transport", transport_name()];
    let wait = Running::start(&mut program(&[&options[..], &pids].concat()));
    wait.until_it_waits_for(pids[pids.len() - 1]);
    for mut child in children {
        drop(child.stdin.take());
        child.wait().expect("an exit status");
    }
    let (lines, output) = wait.end();
    let lines = lines_of(lines.join("\n").as_bytes());
    assert_eq!(lines.len(), scripts.len(), "{}", text(&output.stderr));
    for line in &lines {
        schema.assert_has(line);
        assert!(line["process"]["raw_args"].is_array(), "{line}");
        for (key, is_required) in [
            ("tgid", true),
            ("code", true),
            ("signal", true),
            ("core_dumped", true),
            ("lifetime_ns", false),
            ("usage", false),
            ("process", false),
        ] {
            let mut changed = line.clone();
            changed.as_object_mut().expect("an object").remove(key);
            assert_eq!(schema.published.is_valid(&changed), !is_required, "without {key}");
            changed[key] = json!([[-1]]);
            assert!(!schema.published.is_valid(&changed), "{key}");
        }
    }
    // Without a connector.
    let unknown = json!({"tgid": 7, "code": null, "signal": null, "core_dumped": null});
    schema.assert_has(&unknown);
    schema.assert_has(&json!({"tgid": 7, "code": 255, "signal": null, "core_dumped": false}));
}
