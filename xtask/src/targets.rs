//! `cargo xtask targets`: `proc-connector`, and core with it, compile for systems without process
//! events of their own, and for Linux with words of 32 bits. Checked only: nothing is linked, so no
//! other system's libraries are needed.

use anyhow::Result;

use crate::{command, cross};

/// No system at all, one without file descriptors, and one with.
const NOT_LINUX: [&str; 3] =
    ["wasm32-unknown-unknown", "x86_64-pc-windows-msvc", "aarch64-apple-darwin"];

/// Words of 32 bits.
const NARROW: &str = "i686-unknown-linux-gnu";

pub(crate) fn run() -> Result<()> {
    // Everything that needs no kernel.
    for target in NOT_LINUX {
        check(target, "serde,process")?;
    }
    check(NARROW, "serde,process,tokio,async-io")
}

fn check(target: &str, features: &str) -> Result<()> {
    let mut check = cross::cargo_for("check", target, "std,panic_unwind")?;
    check.args(["--package=proc-connector", "--lib"]);
    command::run(check.args(["--features", features]).env("RUSTFLAGS", "-D warnings"))
}
