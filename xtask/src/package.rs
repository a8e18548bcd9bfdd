//! `cargo xtask package`: every crate builds from what would be published of it.

use anyhow::Result;

use crate::command;
use crate::workspace::cargo;

/// Package and build each crate against the others' packages
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Go on with changes that are not committed
    #[arg(long)]
    pub(crate) allow_dirty: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut package = cargo();
    package.args(["package", "--quiet", "--workspace", "--exclude", "xtask"]);
    if args.allow_dirty {
        package.arg("--allow-dirty");
    }
    command::run(&mut package)
}
