//! `cargo xtask deny`: licences and sources of what is depended on, by `deny.toml`.

use anyhow::{Result, ensure};

use crate::command;
use crate::workspace::cargo;

pub(crate) fn run() -> Result<()> {
    ensure!(
        command::available("cargo-deny", &["--version"]),
        "cargo-deny is missing: cargo install cargo-deny --locked"
    );
    // Without `advisories`: they need a database from the network, and change without a commit.
    command::run(cargo().args(["deny", "--log-level=warn", "--all-features", "check"]).args([
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}
