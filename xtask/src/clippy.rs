//! `cargo xtask clippy`: every lint, with every feature alone and all of them together.

use anyhow::Result;

use crate::command;
use crate::workspace::{Metadata, cargo};

/// The crates that must build with any choice of their features; each is in a folder of its name.
const LIBRARIES: [&str; 3] = ["proc-connector-sys", "proc-connector-core", "proc-connector"];

pub(crate) fn run() -> Result<()> {
    clippy(&["--workspace", "--all-features", "--all-targets"])?;
    let metadata = Metadata::load()?;
    for package in LIBRARIES {
        // Not `--package`: the released crate that benches compare with has the same name.
        let manifest = format!("--manifest-path={package}/Cargo.toml");
        // `--lib` keeps dev-dependencies, and the features they ask for, out of it.
        clippy(&[&manifest, "--lib", "--no-default-features"])?;
        for feature in metadata.features(package)? {
            let features = format!("--features={feature}");
            clippy(&[&manifest, "--all-targets", "--no-default-features", &features])?;
        }
    }
    Ok(())
}

fn clippy(selection: &[&str]) -> Result<()> {
    command::run(cargo().args(["clippy", "--quiet"]).args(selection).args(["--", "-D", "warnings"]))
}
