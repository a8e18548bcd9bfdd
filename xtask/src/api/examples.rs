//! Checks that the documentation of the main types contains an example.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The main types, by the crate that defines them.
const MAIN: &[(&str, &[&str])] = &[
    (
        "proc-connector-core",
        &[
            "Args",
            "Context",
            "CpuSequence",
            "Event",
            "EventMask",
            "EventRecord",
            "ExitStatus",
            "Filter",
            "Notifications",
            "Payload",
        ],
    ),
    (
        "proc-connector",
        &[
            "AsyncConnector",
            "Batch",
            "Builder",
            "Change",
            "Diagnosis",
            "Error",
            "LossCause",
            "Lost",
            "NetlinkMessageIter",
            "NoRing",
            "Origin",
            "OwnedEvent",
            "OwnedReceived",
            "ProcConnector",
            "ProcEvent",
            "Process",
            "ProcessTable",
            "Reader",
            "Received",
            "Shutdown",
            "Stats",
            "Transport",
            "WallClock",
            "Writer",
        ],
    ),
];

/// Fails if a main type of `package` has no example.
pub(super) fn check(package: &str, json: &Path) -> Result<()> {
    let json: Value = serde_json::from_str(&fs::read_to_string(json)?)?;
    let index = json["index"].as_object().context("no index in rustdoc's JSON")?;
    let main = MAIN.iter().find(|(name, _)| *name == package).map_or(&[][..], |(_, types)| types);
    let without: Vec<&str> =
        main.iter().copied().filter(|name| !index.values().any(|it| is_shown(it, name))).collect();
    ensure!(
        without.is_empty(),
        "main types of {package} that have no example in their documentation: {}",
        without.join(", ")
    );
    Ok(())
}

/// Whether this is the type with this name, and its documentation contains a block of code.
fn is_shown(item: &Value, name: &str) -> bool {
    let is_type = ["struct", "enum"].iter().any(|kind| item["inner"].get(kind).is_some());
    let docs = item["docs"].as_str().unwrap_or_default();
    is_type && item["name"] == name && docs.contains("```")
}
