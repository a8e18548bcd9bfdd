//! `cargo xtask dist`: writes shell completions, man pages and the notices of dependencies to
//! `target/dist/`, and builds the Debian package.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::workspace::{self, Metadata, cargo};
use crate::{command, third_party};

const PACKAGE: &str = "--package=proc-connector";

/// Write shell completions, man pages and the notices of dependencies to target/dist/
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Also build a Debian package of these files and the program
    #[arg(long)]
    pub(crate) deb: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let directory = Metadata::load()?.target_dir()?.join("dist");
    if directory.exists() {
        // The directory may contain man pages of deleted subcommands.
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    third_party::write(&directory.join("third-party"))?;
    write(&directory)?;
    for (kind, least) in [("third-party", 2), ("completions", 5), ("man", 2)] {
        let files = list(&directory.join(kind))?;
        ensure!(files.len() >= least, "{kind} are missing: only {files:?} were written");
        println!("{}: {}", directory.join(kind).display(), files.join(" "));
    }
    if args.deb { deb() } else { Ok(()) }
}

/// Runs the test that writes the files, and completes command lines in bash, zsh and fish with
/// them.
fn write(directory: &Path) -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        ensure!(
            command::available(shell, &["--version"]),
            "{shell} is missing; its completions are tested: apt-get install bash zsh fish"
        );
    }
    let mut test = cargo();
    test.args(["test", "--quiet", PACKAGE, "--all-features", "--test=cli_dist"]);
    test.env("PROC_CONNECTOR_DIST", directory).env("PROC_CONNECTOR_REQUIRE_SHELLS", "1");
    command::run(&mut test)
}

/// The names of the non-empty files in a directory.
fn list(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let entry = entry?;
        if entry.metadata()?.len() > 0 {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn deb() -> Result<()> {
    let directory = Metadata::load()?.target_dir()?;
    ensure!(
        directory == workspace::root().join("target"),
        "cargo-deb looks for the files in target/, but the target directory is {}",
        directory.display()
    );
    ensure!(
        command::available("cargo-deb", &["--version"]),
        "cargo-deb is missing: cargo install cargo-deb --locked"
    );
    command::run(cargo().args(["deb", "--strip", PACKAGE]))
}
