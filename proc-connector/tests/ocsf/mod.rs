//! Replays of recordings as OCSF, and the schemas of its lines.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::common::program::{json_lines, run, text};

pub(crate) const OCSF: [&str; 2] = ["--format", "ocsf"];

pub(crate) fn replayed(file: &str, options: &[&str]) -> Vec<Value> {
    let output = run(&[&["replay", file], &OCSF[..], options].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    json_lines(&output.stdout)
}

pub(crate) fn document() -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/ocsf.v1.json");
    serde_json::from_slice(&fs::read(file).expect("a schema")).expect("JSON")
}

/// The schema, which permits new attributes, and the same without them.
pub(crate) fn schemas() -> [Validator; 2] {
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

pub(crate) fn assert_have_the_schema(lines: &[Value]) {
    for schema in schemas() {
        for line in lines {
            let errors: Vec<_> = schema.iter_errors(line).map(|it| it.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?} in {line}");
        }
    }
}

/// Whether the schema that the OCSF project publishes is installed: `pip install ocsf-json-schema`.
pub(crate) fn has_published_schema() -> bool {
    let python = Command::new("python3").args(["-c", "import ocsf_json_schema"]).output();
    python.is_ok_and(|output| output.status.success())
}

/// The published schema of a class.
pub(crate) fn published(version: &str, class: &str, profiles: &str) -> Validator {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ocsf_published.py");
    let python = Command::new("python3").args([SCRIPT, version, class, profiles]).output();
    let output = python.expect("Python runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let schema = serde_json::from_slice(&output.stdout).expect("a schema");
    jsonschema::validator_for(&schema).expect("a schema")
}

/// Holds lines against the published schemas of their version and of the next.
pub(crate) fn assert_have_the_published_schema(lines: &[Value]) {
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

pub(crate) fn seen_attributes(
    object: &Map<String, Value>,
    name: &str,
    seen: &mut BTreeSet<(String, String)>,
) {
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
