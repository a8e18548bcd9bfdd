//! The details that a viewer shows of a selected process.

use std::collections::HashMap;

use proc_connector::{ExitStatus, Usage};
use serde_json::{Value, json};

use super::super::forest::{Forest, Life};

/// The arguments, the end and the usage of a process. Unknown values have no key.
pub(super) fn details(forest: &Forest, index: usize) -> Value {
    let life = &forest.lives[index];
    let mut details = HashMap::from([
        ("pid", json!(life.tgid)),
        ("command", json!(life.command())),
        ("end", json!(life.outcome())),
        ("wall_ns", json!(forest.duration(index))),
    ]);
    let creator = life.creator.map(|creator| forest.lives[creator].tgid);
    let known = [
        ("parent", creator.map(u64::from)),
        ("exit_code", life.status.and_then(ExitStatus::code).map(u64::from)),
        ("signal", life.status.and_then(ExitStatus::signal).map(u64::from)),
        ("threads", Some(life.threads).filter(|&threads| threads > 0).map(u64::from)),
        ("read_bytes", life.io.map(|io| io.read)),
        ("write_bytes", life.io.map(|io| io.written)),
    ];
    let known = known.into_iter().chain(usage(life));
    details.extend(known.filter_map(|(key, value)| Some((key, json!(value?)))));
    json!(details)
}

/// What a process used, with the keys of `watch --json`.
fn usage(life: &Life) -> [(&'static str, Option<u64>); 8] {
    let usage = life.usage.as_ref();
    [
        ("cpu_ns", usage.map(|usage| usage.cpu_ns)),
        ("user_ns", usage.map(Usage::user_ns)),
        ("system_ns", usage.map(Usage::system_ns)),
        ("max_rss", usage.and_then(|usage| usage.max_rss)),
        ("min_flt", usage.map(|usage| usage.min_flt)),
        ("maj_flt", usage.map(|usage| usage.maj_flt)),
        ("nvcsw", usage.map(|usage| usage.nvcsw)),
        ("nivcsw", usage.map(|usage| usage.nivcsw)),
    ]
}
