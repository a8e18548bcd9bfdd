//! `cargo xtask bench`: measures all published figures on this machine, and prints them as Markdown
//! tables.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;
use crate::workspace::{Metadata, PEER_BENCHES, cargo};

/// Measure the published figures, and print them as tables
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Run for one minute instead of twelve, with less precise results
    #[arg(long)]
    quick: bool,
}

/// Criterion benches: the bench, its subject, and the two results to compare.
const PARSING: [(&str, &str, [&str; 2]); 2] = [
    (
        "parse",
        "every field of 64 events",
        ["parse/walk and read every field", "parse/0.3.0: walk and read every field"],
    ),
    ("convert", "64 events to ProcEvent", ["convert/to ProcEvent", "convert/0.3.0: to ProcEvent"]),
];

/// Benches that listen and print their own tables.
const LIVE: [&str; 3] = ["drain", "load", "latency"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let target = Metadata::load()?.target_dir()?;
    let criterion = target.join("criterion");
    let mut rows = Vec::new();
    for (bench, what, compared) in PARSING {
        let mut measure = measurement(bench, &target);
        if args.quick {
            measure.args(["--", "--quick"]);
        }
        command::read(&mut measure)?;
        let [ours, theirs] = compared.map(|name| median_ns(&criterion, name));
        let (ours, theirs) = (ours?, theirs?);
        rows.push(format!("| {what} | {ours:.0} | {theirs:.0} | {:.2} |", theirs / ours));
    }
    println!("| parsing | ns | 0.3.0 ns | 0.3.0 costs |\n| --- | --: | --: | --: |");
    println!("{}", rows.join("\n"));
    for bench in LIVE {
        let mut measure = measurement(bench, &target);
        if args.quick {
            measure.args(["--", "--quick"]);
        }
        println!("{}", command::read(&mut measure)?.trim_end());
    }
    Ok(())
}

/// Runs `bench` with the target directory of the main workspace, which also receives criterion's
/// results.
fn measurement(bench: &str, target: &Path) -> std::process::Command {
    let mut command = cargo();
    command.args(["bench", "--quiet", "--manifest-path", PEER_BENCHES, "--bench", bench]);
    command.env("CARGO_TARGET_DIR", target);
    command
}

/// The median of a bench's last run, as stored by criterion.
fn median_ns(criterion: &Path, name: &str) -> Result<f64> {
    // Criterion replaces colons in the names of directories.
    let path = criterion.join(name.replace(':', "_")).join("new/estimates.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .with_context(|| format!("{} has no median of {name}", path.display()))
}
