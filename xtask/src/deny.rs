//! `cargo xtask deny`: licences and sources of what is depended on, by `deny.toml`.

use anyhow::{Result, ensure};

use crate::command;
use crate::workspace::{self, PEER_BENCHES, cargo};

pub(crate) fn run() -> Result<()> {
    ensure!(
        command::available("cargo-deny", &["--version"]),
        "cargo-deny is missing: cargo install cargo-deny --locked"
    );
    // Without `advisories`: they need a database from the network, and change without a commit.
    deny("Cargo.toml", &["bans", "licenses", "sources"])?;
    // Nothing here reaches a program that uses the crates, so any licence is acceptable.
    deny(PEER_BENCHES, &["bans", "sources"])
}

fn deny(manifest: &str, checks: &[&str]) -> Result<()> {
    let mut deny = cargo();
    deny.args(["deny", "--log-level=warn", "--all-features", "--manifest-path", manifest]);
    deny.arg("--config").arg(workspace::root().join("deny.toml"));
    command::run(deny.args(["check", "--hide-inclusion-graph"]).args(checks))
}
