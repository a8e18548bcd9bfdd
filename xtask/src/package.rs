//! `cargo xtask package`: every crate builds from what would be published of it.

use std::fs;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::command;
use crate::workspace::{Metadata, cargo};

/// Package and build each crate against the others' packages
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Go on with changes that are not committed
    #[arg(long)]
    pub(crate) allow_dirty: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // A folder that no run had before: cargo unpacks the packages to its home, by the folder and
    // the version, and takes what it finds there for what it has packed.
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let scratch = Metadata::load()?.target_dir()?.join(format!("package-{}-{time}", process::id()));
    let mut package = cargo();
    package.args(["package", "--quiet", "--workspace", "--exclude", "xtask", "--target-dir"]);
    package.arg(&scratch);
    if args.allow_dirty {
        package.arg("--allow-dirty");
    }
    let packaged = command::run(&mut package);
    // What went wrong with packaging is the news, if both did.
    let removed = fs::remove_dir_all(&scratch)
        .with_context(|| format!("cannot remove {}", scratch.display()));
    packaged.and(removed)
}
