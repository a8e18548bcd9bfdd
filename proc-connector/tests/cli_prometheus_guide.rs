//! The guide's configuration for Prometheus, checked by `promtool` and by the metrics that are served.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode};

use common::prometheus::{has_prometheus, promtool};
use common::scrape::Exporter;
use common::scratch::Scratch;
use common::{named, transport};
use proc_connector::Transport;

const GUIDE: &str = include_str!("../docs/pipelines.md");

fn main() -> ExitCode {
    let everywhere = named![
        the_scrape_configuration_is_valid,
        the_rules_for_alerts_are_valid,
        the_queries_are_valid
    ];
    let live = named![every_metric_of_the_guide_is_served];
    common::main_with(&[], &everywhere, &live)
}

/// The chapter's section on metrics.
fn section() -> &'static str {
    let (_, section) = GUIDE.split_once("\n## Metrics\n").expect("a section on metrics");
    section.split("\n## ").next().expect("a text")
}

/// The block of YAML that begins with this key.
fn yaml(key: &str) -> &'static str {
    let mut blocks = section().split("```yaml\n").skip(1);
    let block = blocks.find(|block| block.starts_with(key)).expect("a block with this key");
    block.split_once("```").expect("the end of the block").0
}

/// The queries of the table.
fn queries() -> Vec<&'static str> {
    let rows = section().lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| row.strip_suffix("` |")?.split_once("| `")).map(|row| row.1).collect()
}

/// Runs a check of `promtool` on a file. Returns what it prints.
fn check(kind: &str, content: &str) -> String {
    if !has_prometheus() {
        common::skip("needs Debian's package prometheus");
    }
    let scratch = Scratch::new(&format!("guide-{kind}"));
    let file = scratch.file("file.yml");
    fs::write(&file, content).expect("a writable directory");
    promtool(&["check", kind, &file], "")
}

fn the_scrape_configuration_is_valid() {
    check("config", yaml("scrape_configs:"));
}

fn the_rules_for_alerts_are_valid() {
    let rules = yaml("groups:");
    let count = rules.matches("- alert: ").count();
    let output = check("rules", rules);
    assert!(count > 0 && output.contains(&format!("SUCCESS: {count} rules found")), "{output}");
}

/// `promtool` of Debian 12 has no check for a single query, so each becomes a recording rule.
fn the_queries_are_valid() {
    let queries = queries();
    let mut rules = "groups:\n  - name: queries\n    rules:\n".to_owned();
    for (index, query) in queries.iter().enumerate() {
        let rule = format!("      - {{record: 'query{index}', expr: '{query}'}}\n");
        rules.push_str(&rule);
    }
    let output = check("rules", &rules);
    let count = queries.len();
    assert!(count >= 7 && output.contains(&format!("SUCCESS: {count} rules found")), "{output}");
}

fn every_metric_of_the_guide_is_served() {
    if transport() != Transport::Ring {
        common::skip("only the ring transport reports usage");
    }
    let exporter = Exporter::start(&[]);
    // A family appears with its first value.
    assert!(Command::new("true").status().expect("a process").success());
    exporter.scrape_until(|samples| {
        ["exits_total", "ended_processes_measured_total", "ended_threads_io_bytes_total"]
            .iter()
            .all(|name| samples.0.keys().any(|(key, _)| *key == format!("proc_connector_{name}")))
    });
    let body = exporter.request("GET /metrics HTTP/1.0\r\n\r\n").body;
    let types = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let served: BTreeSet<&str> = types.collect();
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = yaml("groups:").split(|char| !is_part(char));
    let words = words.chain(queries().into_iter().flat_map(|query| query.split(|c| !is_part(c))));
    let named: BTreeSet<&str> = words
        .filter(|word| word.starts_with("proc_connector_") || word.starts_with("process_"))
        .collect();
    assert!(named.len() >= 8, "{named:?}");
    assert!(named.is_subset(&served), "{:?}", named.difference(&served).collect::<Vec<_>>());
}
