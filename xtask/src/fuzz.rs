//! `cargo xtask fuzz`: runs every fuzz target for some time, starting from its seeds.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command;
use crate::workspace;

/// Run every fuzz target
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Run each target for this many seconds
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

    let directory = workspace::root().join("fuzz");
    let seeds = directory.join("seeds");
    let targets = command::read(cargo_fuzz().arg("list"))?;
    ensure!(!targets.trim().is_empty(), "`cargo fuzz list` lists no target");
    for target in targets.split_whitespace() {
        let corpus = directory.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;

        let mut fuzz = cargo_fuzz();
        // libFuzzer writes its findings to the first directory, and only reads the others.
        fuzz.args(["run", target]).arg(corpus);
        // All targets start from the datagrams, and from their own seeds if these exist.
        fuzz.args(["datagrams", target].map(|name| seeds.join(name)).iter().filter(|s| s.is_dir()));
        let time = format!("-max_total_time={}", args.seconds);
        let words = format!("-dict={}", directory.join("proc_events.dict").display());
        command::run(fuzz.args(["--", &time, &words, "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// `cargo fuzz` of the nightly toolchain, whichever toolchain runs this program.
fn cargo_fuzz() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]).current_dir(workspace::root());
    command
}
