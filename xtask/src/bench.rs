//! `cargo xtask bench`: measures all published figures on this machine, and prints them as Markdown
//! tables.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;
use crate::workspace::{Metadata, PEER_BENCHES, cargo};

/// Measure the published figures, and print them as tables
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Run for five minutes instead of half an hour, with less precise results
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

/// The profiles under which the library is measured: the bench's with LTO, and that of a dependent
/// program that sets nothing.
const PROFILES: [(&str, &str); 2] = [("bench", "LTO"), ("user", "a user's release build")];

/// Benches that listen and print their own tables.
const LIVE: [&str; 5] = ["load", "latency", "capacity", "lives", "choose"];

/// What the lines contain that the bench of the table of processes prints itself.
const TABLE: [&str; 3] = ["event with", " processes: ", " execs"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let target = Metadata::load()?.target_dir()?;
    parsing(args, &target)?;
    for (profile, name) in PROFILES {
        println!("\nWith {name}:");
        println!("{}", peer_bench("drain", profile, args, &target)?.trim_end());
    }
    for bench in LIVE {
        println!("{}", peer_bench(bench, "bench", args, &target)?.trim_end());
    }
    table(args, &target)
}

fn parsing(args: &Args, target: &Path) -> Result<()> {
    let criterion = target.join("criterion");
    println!("| parsing | ns | 0.3.0 ns | 0.3.0 costs |\n| --- | --: | --: | --: |");
    for (profile, build) in PROFILES {
        for (bench, what, compared) in PARSING {
            peer_bench(bench, profile, args, target)?;
            let [ours, theirs] = compared.map(|name| median_ns(&criterion, name));
            let (ours, theirs) = (ours?, theirs?);
            println!("| {what}, {build} | {ours:.0} | {theirs:.0} | {:.2} |", theirs / ours);
        }
    }
    Ok(())
}

/// Measures the table of processes, and prints the lines that the bench prints itself.
fn table(args: &Args, target: &Path) -> Result<()> {
    let mut measure = cargo();
    measure.args(["bench", "--quiet", "--bench", "process", "--features", "process"]);
    measure.env("CARGO_TARGET_DIR", target);
    let output = command::read(quick(&mut measure, args))?;
    println!("\nTable of processes:");
    for line in output.lines().filter(|line| TABLE.iter().any(|words| line.contains(words))) {
        println!("{line}");
    }
    Ok(())
}

/// Runs a bench beside the released crate, and returns its output. It uses the target directory of
/// the main workspace, which also receives criterion's results.
fn peer_bench(bench: &str, profile: &str, args: &Args, target: &Path) -> Result<String> {
    let mut command = cargo();
    command.args(["bench", "--quiet", "--manifest-path", PEER_BENCHES, "--bench", bench]);
    command.args(["--profile", profile]);
    command.env("CARGO_TARGET_DIR", target);
    command::read(quick(&mut command, args))
}

fn quick<'a>(command: &'a mut Command, args: &Args) -> &'a mut Command {
    if args.quick {
        command.args(["--", "--quick"]);
    }
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
