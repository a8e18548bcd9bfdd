//! `--format ocsf`: the lines of each kind of event have the schema of this program and the published one.

mod common;
#[path = "captures/full.rs"]
mod full;
mod ocsf;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use common::program::{RECORDING, feed, json_lines, run, text};
use common::scratch::ScratchFile;
use common::{named, skip};
use ocsf::{
    assert_have_the_published_schema, assert_have_the_schema, document, has_published_schema,
    replayed, schemas, seen_attributes,
};
use proc_connector::capture::{Origin, Writer};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::{LossCause, Lost, Received};
use serde_json::{Value, json};

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
    common::main_with(&[], &everywhere, &[])
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

fn every_kind_of_line_has_the_schema() {
    let lines = lines();
    assert_have_the_schema(&lines);
    let seen: BTreeSet<&str> =
        lines.iter().filter_map(|line| line["activity_name"].as_str()).collect();
    let expected = KINDS.iter().map(|kind| kind.1).chain(["Events Lost"]).collect();
    assert_eq!(seen, expected);
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
