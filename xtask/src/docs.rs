//! `cargo xtask docs`: builds the documentation, and checks its links.

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
