//! `cargo xtask fmt`: the formatting of both workspaces.

use anyhow::Result;

use crate::command;
use crate::workspace::cargo;

pub(crate) fn run() -> Result<()> {
    command::run(cargo().args(["fmt", "--all", "--check"]))?;
    command::run(cargo().args(["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))
}
