//! `cargo xtask clippy`: runs all lints, with each feature alone and with all features.

use anyhow::Result;

use crate::command;
use crate::workspace::{Metadata, PEER_BENCHES, cargo};

/// The crates that must build with any combination of their features.
const LIBRARIES: [&str; 3] = ["proc-connector-sys", "proc-connector-core", "proc-connector"];

pub(crate) fn run() -> Result<()> {
    clippy(&["--workspace", "--all-features", "--all-targets"])?;
    clippy(&["--manifest-path", PEER_BENCHES, "--all-targets"])?;
    let metadata = Metadata::load()?;
    for package in LIBRARIES {
        // `--lib` keeps dev-dependencies, and the features they enable, out of the build.
        clippy(&["--package", package, "--lib", "--no-default-features"])?;
        for feature in metadata.features(package)? {
            let features = format!("--features={feature}");
            let selection = ["--package", package, "--all-targets", "--no-default-features"];
            clippy(&[&selection[..], &[&features]].concat())?;
        }
    }
    Ok(())
}

fn clippy(selection: &[&str]) -> Result<()> {
    let target = Metadata::load()?.target_dir()?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--quiet"]).args(selection).args(["--", "-D", "warnings"]);
    command::run(clippy.env("CARGO_TARGET_DIR", target))
}
