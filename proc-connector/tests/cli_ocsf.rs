//! `--format ocsf`: the lines have the schema of this program and the published one, and describe what
//! the processes did.

mod common;
#[path = "captures/full.rs"]
mod full;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use common::program::{RECORDING, feed, json_lines, program, run, text};
use common::scratch::{Scratch, ScratchFile};
use common::{named, skip, transport, transport_name};
use jsonschema::Validator;
use proc_connector::capture::{Origin, Writer};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::{LossCause, Lost, Received, Transport};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    let everywhere = named![
        every_kind_of_line_has_the_schema,
        every_kind_of_line_has_the_published_schema,
        every_attribute_of_the_schema_is_written,
        a_changed_line_does_not_have_the_schema,
        kinds_of_events_are_activities,
        lines_and_json_agree,
        losses_are_base_events,
        the_machine_is_that_of_the_recording,
        contradictions_are_usage_errors,
        a_recording_without_times_is_refused,
        ids_that_were_left_out_stay_unknown,
    ];
    let live = named![
        lines_describe_what_processes_do,
        a_recording_has_the_lines_of_the_watch,
        secrets_and_persons_are_left_out,
    ];
    common::main_with(&[], &everywhere, &live)
}

const OCSF: [&str; 2] = ["--format", "ocsf"];

fn replayed(file: &str, options: &[&str]) -> Vec<Value> {
    let output = run(&[&["replay", file], &OCSF[..], options].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    json_lines(&output.stdout)
}

/// A recording with an event of each kind, in the order of `KINDS`, and a loss.
fn all_kinds() -> Vec<u8> {
    recording(&kinds())
}

fn kinds() -> [EventData<'static>; 13] {
    let (process_pid, process_tgid, parent_pid, parent_tgid) = (7, 7, 1, 1);
    [
        EventData::Fork { parent_pid, parent_tgid, child_pid: 7, child_tgid: 7 },
        EventData::Fork { parent_pid: 7, parent_tgid: 7, child_pid: 8, child_tgid: 7 },
        EventData::Exec { process_pid, process_tgid },
        EventData::Uid { process_pid, process_tgid, ruid: 1000, euid: 0 },
        EventData::Gid { process_pid, process_tgid, rgid: 1000, egid: 0 },
        EventData::Sid { process_pid, process_tgid },
        EventData::Ptrace { process_pid, process_tgid, tracer_pid: 5, tracer_tgid: 5 },
        EventData::Ptrace { process_pid, process_tgid, tracer_pid: 0, tracer_tgid: 0 },
        EventData::Comm {
            process_pid: 8,
            process_tgid,
            comm: *b"a\xff\x1b\"b\0\0\0\0\0\0\0\0\0\0\0",
        },
        EventData::Unknown { what: 0x0040_0000, data: &[1, 2, 3, 4] },
        EventData::Exit {
            process_pid: 8,
            process_tgid,
            exit_code: 2 << 8,
            exit_signal: u32::MAX,
            parent_pid,
            parent_tgid,
        },
        EventData::Coredump { process_pid, process_tgid, parent_pid, parent_tgid },
        EventData::Exit {
            process_pid,
            process_tgid,
            exit_code: 0x8b,
            exit_signal: 17,
            parent_pid,
            parent_tgid,
        },
    ]
}

/// A recording of these events, which begins at the sequence number 100.
fn recording(kinds: &[EventData<'_>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut origin = Origin::default();
    origin.host = Some("the machine".to_owned());
    let mut writer = Writer::with_origin(&mut file, &origin).expect("memory");
    for (&data, seq) in kinds.iter().zip(100..) {
        let timestamp_ns = u64::from(seq) * 1_000_000_000;
        let record = EventRecord { seq, cpu: 3, timestamp_ns, data };
        let mut datagram = [0; 256];
        let len = record.encode_native(&mut datagram).expect("capacity");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram[..len]).next()
        else {
            panic!("an event");
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(timestamp_ns + 5_999_999);
        writer.write(&Received::Event(event), time).expect("memory");
        if seq == 104 {
            let lost = Received::Lost(Lost::new(Some(17), LossCause::Overrun));
            writer.write(&lost, time).expect("memory");
        }
    }
    writer.finish().expect("memory");
    file
}

/// The activities of that recording, without the loss: `activity_id`, `activity_name`, `launch_type_id`,
/// and the ids of the actor and of the process.
type Activity = (u64, &'static str, Option<u64>, u64, u64);
const KINDS: [Activity; 13] = [
    (1, "Launch", Some(2), 1, 7),
    (99, "Start Thread", None, 7, 7),
    (1, "Launch", Some(3), 7, 7),
    (5, "Set User ID", None, 7, 7),
    (99, "Set Group ID", None, 7, 7),
    (99, "Set Session ID", None, 7, 7),
    (3, "Open", None, 5, 7),
    (99, "Stop Tracing", None, 7, 7),
    (99, "Set Name", None, 7, 7),
    (99, "Unknown Process Event", None, 0, 0),
    (99, "Exit Thread", None, 7, 7),
    (99, "Dump Core", None, 7, 7),
    (2, "Terminate", None, 7, 7),
];

/// Lines of every kind, with every attribute.
fn lines() -> Vec<Value> {
    let kinds = ScratchFile::containing("ocsf-kinds", &all_kinds());
    let full = ScratchFile::containing("ocsf-full", &full::capture());
    let mut lines = Vec::new();
    for file in ["--demo", RECORDING, kinds.path(), full.path()] {
        for options in [&[][..], &["--threads"]] {
            lines.extend(replayed(file, options));
        }
    }
    lines
}

fn document() -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/ocsf.v1.json");
    serde_json::from_slice(&fs::read(file).expect("a schema")).expect("JSON")
}

/// The schema, which permits new attributes, and the same without them.
fn schemas() -> [Validator; 2] {
    fn forbid_others(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                if map.contains_key("properties") && map.get("type") == Some(&json!("object")) {
                    map.insert("unevaluatedProperties".to_owned(), json!(false));
                }
                map.values_mut().for_each(forbid_others);
            }
            Value::Array(items) => items.iter_mut().for_each(forbid_others),
            _ => {}
        }
    }
    let schema = document();
    let mut exact = schema.clone();
    forbid_others(&mut exact);
    [schema, exact].map(|it| jsonschema::validator_for(&it).expect("a schema"))
}

fn assert_have_the_schema(lines: &[Value]) {
    for schema in schemas() {
        for line in lines {
            let errors: Vec<_> = schema.iter_errors(line).map(|it| it.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?} in {line}");
        }
    }
}

fn every_kind_of_line_has_the_schema() {
    let lines = lines();
    assert_have_the_schema(&lines);
    let seen: BTreeSet<&str> =
        lines.iter().filter_map(|line| line["activity_name"].as_str()).collect();
    let expected = KINDS.iter().map(|kind| kind.1).chain(["Events Lost"]).collect();
    assert_eq!(seen, expected);
}

/// Whether the schema that the OCSF project publishes is installed: `pip install ocsf-json-schema`.
fn has_published_schema() -> bool {
    let python = Command::new("python3").args(["-c", "import ocsf_json_schema"]).output();
    python.is_ok_and(|output| output.status.success())
}

/// The published schema of a class.
fn published(version: &str, class: &str, profiles: &str) -> Validator {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ocsf_published.py");
    let python = Command::new("python3").args([SCRIPT, version, class, profiles]).output();
    let output = python.expect("Python runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let schema = serde_json::from_slice(&output.stdout).expect("a schema");
    jsonschema::validator_for(&schema).expect("a schema")
}

/// Holds lines against the published schemas of their version and of the next.
fn assert_have_the_published_schema(lines: &[Value]) {
    let mut validators = HashMap::new();
    for line in lines {
        let profiles = line["metadata"]["profiles"].as_array().expect("profiles");
        let profiles: Vec<&str> = profiles.iter().filter_map(Value::as_str).collect();
        let profiles = profiles.join(",");
        let class = match line["class_uid"].as_u64() {
            Some(0) => "base_event",
            Some(1007) => "process_activity",
            other => panic!("{other:?}"),
        };
        let version = line["metadata"]["version"].as_str().expect("a version");
        for version in [version, "1.8.0"] {
            let key = (version.to_owned(), class, profiles.clone());
            let schema = validators
                .entry(key.clone())
                .or_insert_with(|| published(version, class, &profiles));
            let errors: Vec<_> = schema.iter_errors(line).map(|it| it.to_string()).collect();
            assert!(errors.is_empty(), "{key:?}: {errors:#?} in {line}");
        }
    }
    // The schemas include those of the objects.
    let mut changed = lines[0].clone();
    changed["device"]["os"]["type_id"] = json!("200");
    assert!(validators.values().all(|schema| !schema.is_valid(&changed)));
    assert!(!validators.is_empty());
}

fn every_kind_of_line_has_the_published_schema() {
    if !has_published_schema() {
        skip("requires the Python package ocsf-json-schema");
    }
    assert_have_the_published_schema(&lines());
}

/// All attributes that the schema defines, or that lines have, by their object.
fn attributes(schema: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (definition, form) in schema["$defs"].as_object().expect("definitions") {
        for (key, form) in form["properties"].as_object().into_iter().flatten() {
            let has_description = form["description"].is_string() || form["$ref"].is_string();
            assert!(has_description || form["anyOf"].is_array(), "{key} of {definition}");
            found.insert((definition.clone(), key.clone()));
        }
    }
    found
}

fn seen_attributes(object: &Map<String, Value>, name: &str, seen: &mut BTreeSet<(String, String)>) {
    for (key, value) in object {
        seen.insert((name.to_owned(), key.clone()));
        if let Value::Object(object) = value {
            let name = match key.as_str() {
                "parent_process" => "process",
                "group" | "session" | "container" => "id",
                "unmapped" if object["event"] == "lost" => "loss",
                key => key,
            };
            seen_attributes(object, name, seen);
        }
    }
}

fn every_attribute_of_the_schema_is_written() {
    let mut seen = BTreeSet::new();
    for line in lines() {
        let class = if line["class_uid"] == 0 { "base_event" } else { "process_activity" };
        seen_attributes(line.as_object().expect("an object"), class, &mut seen);
    }
    let schema = document();
    assert!(jsonschema::meta::is_valid(&schema));
    let documented = attributes(&schema);
    let undocumented: Vec<_> = seen.difference(&documented).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
    // The recordings were made outside of containers and without a login. A live test has the boot id.
    let rare = ["container", "namespace_pid", "auid", "boot_uid", "is_deleted", "read_bytes"];
    let missing: Vec<_> = documented
        .difference(&seen)
        .filter(|(object, key)| {
            let is_identity = key == "uid" && ["metadata", "process"].contains(&&**object);
            !rare.contains(&&**key) && !is_identity
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn a_changed_line_does_not_have_the_schema() {
    let [schema, _] = schemas();
    let all: BTreeMap<String, Value> = lines()
        .into_iter()
        .map(|line| (format!("{} {}", line["activity_name"], line["launch_type"]), line))
        .collect();
    for line in all.values() {
        for key in line.as_object().expect("an object").keys() {
            let is_optional = ["exit_code", "message", "count"].contains(&key.as_str());
            let mut changed = line.clone();
            changed.as_object_mut().expect("an object").remove(key);
            let is_loss = line["activity_name"] == "Events Lost";
            let is_valid = schema.is_valid(&changed);
            assert_eq!(is_valid, is_optional && !(is_loss && key == "message"), "{key} of {line}");
            for other in [json!(1_000_000.5), json!([]), json!(null)] {
                changed[key] = other;
                assert!(!schema.is_valid(&changed), "{changed}");
            }
        }
        for (place, other) in [
            ("/type_uid", json!(100_701 + u64::from(line["activity_id"] == 1))),
            ("/activity_id", json!(4)),
            ("/metadata/version", json!("1.6.0")),
            ("/device/os/type_id", json!("200")),
        ] {
            let mut changed = line.clone();
            *changed.pointer_mut(place).expect("a value") = other;
            assert!(!schema.is_valid(&changed), "{place}: {changed}");
        }
    }
    assert!(all.len() > 12, "{:?}", all.keys());
}

fn kinds_of_events_are_activities() {
    let file = ScratchFile::containing("kinds", &all_kinds());
    let lines = replayed(file.path(), &["--threads"]);
    let (losses, events): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line["activity_name"] == "Events Lost");
    assert_eq!((losses.len(), events.len()), (1, KINDS.len()));
    for ((line, kind), seq) in events.iter().zip(KINDS).zip(100..) {
        let (id, name, launch, actor, process) = kind;
        let expected = json!([id, name, launch]);
        let found = json!([line["activity_id"], line["activity_name"], line["launch_type_id"]]);
        assert_eq!(found, expected, "{line}");
        let class = if process == 0 { 0 } else { 1007 };
        assert_eq!(line["type_uid"], class * 100 + id, "{line}");
        // Milliseconds, rounded down.
        assert_eq!(line["time"], seq * 1_000 + 5, "{line}");
        assert_eq!(line["unmapped"]["timestamp_ns"], seq * 1_000_000_000_u64);
        assert_eq!(line["unmapped"]["cpu"], 3);
        if process == 0 {
            assert_eq!(line["unmapped"]["what"], 0x0040_0000);
            continue;
        }
        assert_eq!(line["metadata"]["sequence"], seq);
        assert_eq!(line["actor"]["process"]["pid"], actor, "{line}");
        assert_eq!(line["process"]["pid"], process, "{line}");
    }
    let of =
        |name: &str| *events.iter().find(|line| line["activity_name"] == name).expect("a line");
    let process = &of("Set User ID")["process"];
    assert_eq!(json!([process["user"]["uid"], process["euid"]]), json!(["1000", 0]));
    let process = &of("Set Group ID")["process"];
    assert_eq!(json!([process["group"]["uid"], process["egid"]]), json!(["1000", 0]));
    let line = of("Set Name");
    assert_eq!(line["unmapped"]["comm"], "a\u{fffd}\u{1b}\"b");
    assert_eq!(line["process"]["ptid"], 8);
    let line = of("Exit Thread");
    assert_eq!(json!([line["unmapped"]["code"], line["exit_code"]]), json!([2, null]));
    let line = of("Terminate");
    assert_eq!(line["message"], "killed by SIGSEGV (core dumped)");
    assert_eq!(
        json!([line["unmapped"]["signal"], line["unmapped"]["core_dumped"]]),
        json!([11, true])
    );
    assert_eq!(line["process"]["terminated_time"], line["time"]);
    assert_eq!(line["process"]["created_time"], events[0]["time"]);
    assert_eq!(line["exit_code"], Value::Null);
    // Without --threads, threads are left out.
    let names: Vec<_> =
        replayed(file.path(), &[]).iter().map(|line| line["activity_name"].to_string()).collect();
    let threads = ["\"Start Thread\"", "\"Exit Thread\"", "\"Set Name\""];
    assert!(!names.iter().any(|name| threads.contains(&&**name)), "{names:?}");
    assert_eq!(names.len(), lines.len() - 3, "{names:?}");
}

/// The JSON format has the same values under other keys.
fn lines_and_json_agree() {
    for file in ["--demo", RECORDING] {
        let output = run(&["replay", file, "--json", "--who", "--processes"]);
        let expected = json_lines(&output.stdout);
        let lines = replayed(file, &[]);
        let lines = lines.iter().filter(|line| !line["process"].is_null()).collect::<Vec<_>>();
        assert_eq!(lines.len(), expected.len(), "{file}");
        for (line, expected) in lines.iter().zip(&expected) {
            let (found, process) = (&line["process"], &expected["process"]);
            let number = |text: &Value| text.as_str().and_then(|text| text.parse::<u64>().ok());
            for (found, expected) in [
                (&found["pid"], &process["tgid"]),
                (&found["euid"], &process["euid"]),
                (&found["egid"], &process["egid"]),
                (&found["file"]["path"], &process["exe"]),
                (&found["working_directory"], &process["cwd"]),
                (&json!(number(&found["user"]["uid"])), &process["ruid"]),
                (&json!(number(&found["group"]["uid"])), &process["rgid"]),
                (&json!(number(&found["session"]["uid"])), &process["session"]),
                (&found["parent_process"]["pid"], &process["parent"]),
                (&line["exit_code"], &expected["process_end"]["code"]),
                (&line["unmapped"]["signal"], &expected["process_end"]["signal"]),
                (&line["unmapped"]["usage"], &expected["process_end"]["usage"]),
                (&line["unmapped"]["event"], &expected["event"]),
                (&line["unmapped"]["cpu"], &expected["cpu"]),
                (&line["metadata"]["sequence"], &expected["seq"]),
                (&line["unmapped"]["timestamp_ns"], &expected["timestamp_ns"]),
            ] {
                // The table does not have the parents of all processes.
                let is_parent = found.is_null() && expected == &process["parent"];
                assert!(found == expected || is_parent, "{found} != {expected}: {line} {expected}");
            }
            let time: jiff::Timestamp =
                expected["time"].as_str().expect("a time").parse().expect("RFC 3339");
            let milliseconds = i64::try_from(time.as_nanosecond().div_euclid(1_000_000));
            assert_eq!(line["time"], milliseconds.expect("a time of this age"));
        }
    }
}

fn losses_are_base_events() {
    let file = ScratchFile::containing("kinds", &all_kinds());
    let lines = replayed(file.path(), &[]);
    let loss = lines.iter().find(|line| line["activity_name"] == "Events Lost").expect("a loss");
    for (key, expected) in [
        ("class_uid", json!(0)),
        ("category_uid", json!(0)),
        ("type_uid", json!(99)),
        ("count", json!(17)),
        ("message", json!("17 events: the receive buffer was full")),
        ("unmapped", json!({"event": "lost", "count": 17, "cause": "overrun"})),
    ] {
        assert_eq!(loss[key], expected, "{loss}");
    }
}

fn the_machine_is_that_of_the_recording() {
    let file = ScratchFile::containing("kinds", &all_kinds());
    let machines = |file: &str| -> HashSet<String> {
        replayed(file, &[]).iter().map(|line| line["device"].to_string()).collect()
    };
    let os = r#""os":{"name":"Linux","type_id":200}"#;
    let named = format!(r#"{{"hostname":"the machine",{os},"type_id":0}}"#);
    let unknown = format!(r#"{{"name":"Unknown",{os},"type_id":0}}"#);
    assert_eq!(machines(file.path()), HashSet::from([named.clone()]));
    assert_eq!(machines(RECORDING), HashSet::from([unknown.clone()]));
    // A section that follows another has its own machine.
    let mut anonymous = Vec::new();
    Writer::with_origin(&mut anonymous, &Origin::default())
        .expect("memory")
        .finish()
        .expect("memory");
    let both = [all_kinds(), anonymous, fs::read(RECORDING).expect("a file")].concat();
    let both = ScratchFile::containing("both", &both);
    assert_eq!(machines(both.path()), HashSet::from([named, unknown]));
}

fn contradictions_are_usage_errors() {
    for (options, reason) in [
        (&["watch", "--json", "--format", "ocsf"][..], "--json contradicts"),
        (&["watch", "--json", "--format", "text"], "--json contradicts"),
        (&["watch", "--format", "ocsf", "--who"], "--who requires --json"),
        (&["watch", "--format", "ocsf", "--context"], "--context requires --json"),
        (&["watch", "--who"], "--who requires --json"),
        (&["replay", "--demo", "--context"], "--context requires --json"),
        (&["replay", "--demo", "--format", "ocsf", "--who"], "--who requires --json"),
        (&["replay", "--demo", "--format", "ocsf", "-o", "/none.svg"], "--output writes files"),
        (&["replay", "--demo", "--format", "json", "-o", "/none.svg"], "--output writes files"),
        (&["replay", "--format", "ocsf", "--diff", RECORDING, RECORDING], "--diff compares"),
        (&["watch", "--format", "ocsf", "--threads", "--processes"], "cannot be used with"),
        (&["watch", "--format", "xml"], "possible values: text, json, ocsf"),
    ] {
        let output = run(options);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    for options in [&["--json"][..], &["--format", "json"], &["--json", "--format", "json"]] {
        let output = run(&[&["replay", "--demo", "--who", "--context"], options].concat());
        assert_eq!(
            output.stdout,
            run(&["replay", "--demo", "--json", "--who", "--context"]).stdout
        );
    }
    let as_text = run(&["replay", "--demo", "--format", "text"]);
    assert_eq!(as_text.stdout, run(&["replay", "--demo"]).stdout);
}

fn a_recording_without_times_is_refused() {
    let data = EventData::Exec { process_pid: 7, process_tgid: 7 };
    let mut datagram = [0; 256];
    let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: 1, data };
    let len = record.encode_native(&mut datagram).expect("capacity");
    let output = feed(&["replay", "-", "--format", "ocsf"], &datagram[..len]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(text(&output.stderr).contains("no time of day"), "{}", text(&output.stderr));
}

/// An anonymous recording has -1 for the ids of users and groups.
fn ids_that_were_left_out_stay_unknown() {
    let (process_pid, process_tgid, none) = (7, 7, u32::MAX);
    let file = recording(&[
        EventData::Uid { process_pid, process_tgid, ruid: none, euid: none },
        EventData::Gid { process_pid, process_tgid, rgid: none, egid: none },
        EventData::Comm { process_pid, process_tgid, comm: [0; 16] },
    ]);
    let file = ScratchFile::containing("ocsf-anonymous", &file);
    for line in replayed(file.path(), &[]) {
        let keys = ["ruid", "euid", "rgid", "egid", "comm"];
        assert!(keys.iter().all(|key| line["unmapped"].get(key).is_none()), "{line}");
        let keys = ["user", "euid", "group", "egid", "name"];
        assert!(keys.iter().all(|key| line["process"].get(key).is_none()), "{line}");
        assert!(line["actor"].get("user").is_none(), "{line}");
    }
    let output = run(&["replay", file.path(), "--json", "--who"]);
    for line in json_lines(&output.stdout) {
        for key in ["ruid", "euid", "user", "rgid", "egid"] {
            assert_eq!(line["process"][key], Value::Null, "{line}");
        }
    }
    let output = run(&["replay", file.path(), "--threads"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("changed") && !shown.contains(&none.to_string()), "{shown}");
}

/// A shell that forks, executes, fails, crashes, and changes its session, as words for `sh -c`.
const ACTIONS: &str = r#"
    (exit 3)
    sh -c 'kill -SEGV $$'
    setsid sh -c 'sleep 0.1; exit 4' marked "two words" &
    wait; cat /proc/sys/kernel/hostname /proc/sys/kernel/random/boot_id; echo $$"#;

/// The output of a program that ends after some time, and of the actions, which are repeated until then.
fn during_actions(mut program: Command) -> (Output, Vec<[String; 3]>) {
    let program = program.spawn().expect("the program runs");
    let waiting = thread::spawn(|| program.wait_with_output().expect("an exit status"));
    let mut shells = Vec::new();
    while !waiting.is_finished() {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", ACTIONS]).stderr(Stdio::null()).output().expect("a shell");
        let mut words = text(&shell.stdout).lines().map(str::to_owned);
        shells.push(std::array::from_fn(|_| words.next().expect("a line")));
    }
    (waiting.join().expect("a thread without a panic"), shells)
}

fn watch(options: &[&str]) -> Command {
    let common = ["watch", "--duration", "2s", "--buffer", "100000", "--transport"];
    program(&[&common[..], &[transport_name()], &OCSF, options].concat())
}

fn lines_describe_what_processes_do() {
    let before = SystemTime::now();
    let (output, shells) = during_actions(watch(&[]));
    let after = SystemTime::now();
    let lines = json_lines(&output.stdout);
    assert_have_the_schema(&lines);
    let uids: Vec<&str> =
        lines.iter().map(|line| line["metadata"]["uid"].as_str().expect("an identity")).collect();
    assert_eq!(uids.iter().collect::<HashSet<_>>().len(), uids.len(), "an identity twice");
    let me = std::process::id();
    let ms = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        u64::try_from(since.as_millis()).expect("a time of this age")
    };
    // The watch did not see the first shells start, and the last ones end.
    let pid_of = |shell: &[String; 3]| shell[2].parse::<u64>().expect("a number");
    let sees = |shell: &[String; 3], activity: &str| {
        lines.iter().any(|line| {
            line["process"]["pid"] == pid_of(shell)
                && (line["launch_type"] == activity || line["activity_name"] == activity)
        })
    };
    let first = shells.iter().position(|shell| sees(shell, "Fork")).expect("a start");
    let last = shells.iter().rposition(|shell| sees(shell, "Terminate")).expect("an end");
    assert!(last > first + 2, "{shells:?}");
    for shell in &shells[first + 1..last] {
        let ([host, boot, _], pid) = (shell, pid_of(shell));
        let of = |pid: u64| lines.iter().filter(move |line| line["process"]["pid"] == pid);
        let [fork, exec, end] = ["Fork", "Exec", "Terminate"].map(|name| {
            let is = |line: &&Value| line["launch_type"] == name || line["activity_name"] == name;
            of(pid).find(is).unwrap_or_else(|| panic!("no {name} of {pid}"))
        });
        assert_eq!(of(pid).count(), 3, "{:?}", of(pid).collect::<Vec<_>>());
        for line in [fork, exec, end] {
            assert_eq!(line["device"]["hostname"], host.as_str());
            assert_eq!(line["device"]["boot_uid"], boot.as_str());
            assert!(line["metadata"]["uid"].as_str().is_some_and(|uid| uid.starts_with(boot)));
            assert_eq!(line["process"]["parent_process"]["pid"], me, "{line}");
            let time = line["time"].as_u64().expect("a time");
            assert!((ms(before)..=ms(after)).contains(&time), "{line}");
            assert_eq!(line["process"]["created_time"], fork["time"], "{line}");
            if transport() == Transport::Ring {
                assert_eq!(line["process"]["uid"], fork["process"]["uid"]);
                assert!(line["process"]["uid"].as_str().is_some_and(|uid| uid.starts_with(boot)));
            }
            let user =
                fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it));
            assert_eq!(line["process"]["user"]["uid"], user.expect("/proc").to_string());
        }
        assert_eq!(fork["actor"]["process"]["pid"], me, "{fork}");
        assert_eq!(exec["actor"]["process"]["pid"], pid, "{exec}");
        assert_eq!(exec["process"]["name"], "sh");
        // Before the exec, the process had the program of this test.
        let program = std::env::current_exe().expect("/proc");
        for actor in [fork, exec].map(|line| &line["actor"]["process"]) {
            assert_eq!(actor["file"]["path"].as_str().map(PathBuf::from), Some(program.clone()));
        }
        assert_eq!(end["exit_code"], 0, "{end}");
        assert_eq!(end["process"]["terminated_time"], end["time"]);
        let children: Vec<&Value> = lines
            .iter()
            .filter(|line| line["activity_name"] == "Terminate")
            .filter(|line| line["process"]["parent_process"]["pid"] == pid)
            .collect();
        assert!(children.iter().any(|line| line["exit_code"] == 3), "{children:?}");
        let crash = |line: &&Value| {
            line["unmapped"]["signal"] == 11
                && line["exit_code"].is_null()
                && !line["message"].is_null()
        };
        assert!(children.iter().any(crash), "{children:?}");
        let session = lines.iter().find(|line| {
            line["activity_name"] == "Set Session ID"
                && line["process"]["parent_process"]["pid"] == pid
        });
        let session = session.expect("a new session");
        let new = session["process"]["pid"].as_u64().expect("a number");
        assert_eq!(session["process"]["session"]["uid"], new.to_string());
        assert_ne!(session["actor"]["process"]["session"]["uid"], new.to_string());
        let typed = "sh -c 'sleep 0.1; exit 4' marked 'two words'";
        assert!(of(new).any(|line| line["process"]["cmd_line"] == typed), "{typed}");
    }
}

/// All events that both have are equal, in every attribute.
fn a_recording_has_the_lines_of_the_watch() {
    let scratch = Scratch::new("ocsf");
    let file = scratch.file("events.pcapng");
    let mut record = program(&["record", &file, "--buffer", "100000", "--duration", "6s"]);
    record.args(["--transport", transport_name()]);
    let record = record.spawn().expect("the program runs");
    while fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
        thread::sleep(Duration::from_millis(20));
    }
    let (output, _) = during_actions(watch(&[]));
    let recorded = record.wait_with_output().expect("an exit status");
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let (seen, replayed) = (json_lines(&output.stdout), replayed(&file, &[]));
    if has_published_schema() {
        assert_have_the_published_schema(&[&seen[..], &replayed].concat());
    }
    let by_uid: HashMap<_, _> =
        replayed.iter().map(|line| (&line["metadata"]["uid"], line)).collect();
    // Both programs received all events of the processes that this test has created since. They may have
    // read the processes that existed only after the first shells had started.
    let me = u64::from(std::process::id());
    let mut created = HashSet::new();
    let (mut shells, mut compared) = (0, 0);
    for line in &seen {
        let pid = |process: &Value| process["pid"].as_u64().expect("a number");
        let Some(replayed) = by_uid.get(&line["metadata"]["uid"]) else { continue };
        let creator = pid(&line["actor"]["process"]);
        if line["launch_type"] == "Fork" && creator == me {
            shells += 1;
        }
        if line["launch_type"] == "Fork"
            && (creator == me && shells > 2 || created.contains(&creator))
        {
            created.insert(pid(&line["process"]));
        } else if !created.contains(&pid(&line["process"])) {
            continue;
        }
        assert_agree(line, replayed, "");
        compared += 1;
    }
    assert!(compared > 30, "{compared} of {} and {}", seen.len(), by_uid.len());
}

/// Checks that a replayed line has the values of the watch. Over the socket, each
/// program has read `/proc` at other times, and may have missed a short process.
fn assert_agree(seen: &Value, replayed: &Value, place: &str) {
    // The start of a process that existed before is known with a resolution of 10 ms, and each listener's
    // program in the kernel reads the CPU time at its own moment.
    let differing = ["created_time", "lifetime_ns", "cpu_ns", "user_ns", "system_ns"];
    if differing.iter().any(|key| place.ends_with(key)) {
        return;
    }
    let (Value::Object(seen), Value::Object(replayed)) = (seen, replayed) else {
        // Each program relates the clock of the events to the time of day, and milliseconds are cut.
        let is_same_time = |seen: i64, replayed: i64| (seen - replayed).abs() <= 1;
        let is_time = place.ends_with("time");
        let times = seen.as_i64().zip(replayed.as_i64()).filter(|_| is_time);
        let is_same = times.map_or(seen == replayed, |(one, other)| is_same_time(one, other));
        assert!(is_same, "{place}: {seen}, {replayed}");
        return;
    };
    let keys: BTreeSet<&String> = seen.keys().chain(replayed.keys()).collect();
    for key in keys {
        let place = format!("{place}/{key}");
        let is_of_process = ["/process/", "/actor/", "/unmapped/args_cut"]
            .iter()
            .any(|start| place.starts_with(start));
        match (seen.get(key), replayed.get(key)) {
            (Some(seen), Some(replayed)) => assert_agree(seen, replayed, &place),
            // One of the programs did not receive the exec of this process, or read `/proc` too late.
            (Some(_), None) | (None, Some(_))
                if ["/file/uid", "/working_directory", "/unmapped/cgroup"]
                    .iter()
                    .any(|end| place.ends_with(end)) => {}
            (Some(_), None) | (None, Some(_))
                if is_of_process && transport() == Transport::Socket => {}
            (one, other) => panic!("{place}: {one:?}, {other:?}"),
        }
    }
}

fn secrets_and_persons_are_left_out() {
    let act = |mut program: Command| {
        let program = program.spawn().expect("the program runs");
        let waiting = thread::spawn(|| program.wait_with_output().expect("an exit status"));
        while !waiting.is_finished() {
            let mut shell = Command::new("sh");
            shell.args(["-c", "sleep 0.02; exit 6", "x", "--password=hunter2"]);
            shell.env("PGPASSWORD", "hunter2").status().expect("a shell");
        }
        waiting.join().expect("a thread without a panic")
    };
    let output = act(watch(&["--redact", "*password*"]));
    let lines = text(&output.stdout);
    assert!(lines.contains("--password='***'") || lines.contains("--password=***"), "{lines}");
    assert!(!lines.contains("hunter2"));
    let scratch = Scratch::new("ocsf");
    let file = scratch.file("anonymous.pcapng");
    let record = ["record", &file, "--anonymous", "--duration", "2s", "--transport"];
    let recorded = act(program(&[&record[..], &[transport_name()]].concat()));
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let watched = json_lines(&act(watch(&["--anonymous"])).stdout);
    for lines in [watched, replayed(&file, &[])] {
        assert_have_the_schema(&lines);
        let mut seen = BTreeSet::new();
        for line in &lines {
            seen_attributes(line.as_object().expect("an object"), "process_activity", &mut seen);
        }
        let personal: Vec<_> = seen
            .iter()
            .filter(|(object, key)| match object.as_str() {
                "process" => ["name", "cmd_line", "file", "user", "euid", "group", "egid", "auid"]
                    .contains(&key.as_str()),
                "actor" => key == "user",
                "device" => key == "hostname" || key == "boot_uid",
                _ => ["comm", "cgroup"].contains(&key.as_str()),
            })
            .collect();
        assert!(personal.is_empty(), "{personal:?}");
        assert!(lines.iter().any(|line| line["exit_code"] == 6));
        let unknown =
            |line: &Value| line["device"]["name"] == "Unknown" && line["metadata"]["uid"].is_null();
        assert!(lines.iter().all(unknown), "{}", lines[0]);
    }
}
