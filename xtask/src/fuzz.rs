//! `cargo xtask fuzz`: every fuzz target for a while, from its seeds.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command;
use crate::workspace;

/// Run every fuzz target
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        command::available("cargo-fuzz", &["--version"]),
        "cargo-fuzz is missing: cargo install cargo-fuzz --locked"
    );
    ensure!(
        command::available("rustup", &["run", "nightly", "rustc", "--version"]),
        "fuzzing needs nightly: rustup toolchain install nightly --profile minimal"
    );

    let folder = workspace::root().join("fuzz");
    let seeds = folder.join("seeds");
    let targets = command::read(cargo_fuzz().arg("list"))?;
    ensure!(!targets.trim().is_empty(), "cargo fuzz list names no target");
    for target in targets.split_whitespace() {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;

        let mut fuzz = cargo_fuzz();
        // libFuzzer writes what it finds to the first folder and only reads the others.
        fuzz.args(["run", target]).arg(corpus);
        // Datagrams are something to start from for each, and a target may have its own.
        fuzz.args(["datagrams", target].map(|name| seeds.join(name)).iter().filter(|s| s.is_dir()));
        let time = format!("-max_total_time={}", args.seconds);
        let words = format!("-dict={}", folder.join("proc_events.dict").display());
        command::run(fuzz.args(["--", &time, &words, "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// `cargo fuzz` of nightly, whichever toolchain runs this program.
fn cargo_fuzz() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]).current_dir(workspace::root());
    command
}
