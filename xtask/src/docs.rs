//! `cargo xtask docs`: the documentation, links included.

use anyhow::Result;

use crate::command;
use crate::workspace::cargo;

pub(crate) fn run() -> Result<()> {
    command::run(
        cargo()
            .args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
