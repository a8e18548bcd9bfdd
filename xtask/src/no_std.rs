//! `cargo xtask no-std`: builds core for a microcontroller, whose toolchain has no std.

use anyhow::Result;

use crate::{command, cross};

const TARGET: &str = "thumbv7em-none-eabihf";

pub(crate) fn run() -> Result<()> {
    let mut build = cross::cargo_for("build", TARGET, "core")?;
    command::run(build.args(["--package", "proc-connector-core", "--features=serde"]))
}
