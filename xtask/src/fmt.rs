//! `cargo xtask fmt`: checks the formatting of every workspace.

use anyhow::Result;

use crate::command;
use crate::workspace::{PEER_BENCHES, cargo};

pub(crate) fn run() -> Result<()> {
    command::run(cargo().args(["fmt", "--all", "--check"]))?;
    for manifest in [PEER_BENCHES, "fuzz/Cargo.toml"] {
        command::run(cargo().args(["fmt", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}
