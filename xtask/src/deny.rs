//! `cargo xtask deny`: checks licences and sources of dependencies by `deny.toml`.

use anyhow::{Result, ensure};

use crate::command;
use crate::workspace::{self, PEER_BENCHES, cargo};

pub(crate) fn run() -> Result<()> {
    ensure!(
        command::available("cargo-deny", &["--version"]),
        "cargo-deny is missing: cargo install cargo-deny --locked"
    );
    // `advisories` is left out: it requires a database from the network, which changes without a
    // commit.
    deny("Cargo.toml", &["bans", "licenses", "sources"])?;
    // These dependencies do not become part of a program that uses the crates, so any licence is
    // acceptable.
    deny(PEER_BENCHES, &["bans", "sources"])
}

fn deny(manifest: &str, checks: &[&str]) -> Result<()> {
    let mut deny = cargo();
    deny.args(["deny", "--log-level=warn", "--all-features", "--manifest-path", manifest]);
    deny.arg("--config").arg(workspace::root().join("deny.toml"));
    command::run(deny.args(["check", "--hide-inclusion-graph"]).args(checks))
}
