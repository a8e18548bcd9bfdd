//! `cargo xtask targets`: checks that core and `proc-connector` compile for systems other than
//! Linux, and for 32-bit Linux. Nothing is linked, so no libraries of these systems are needed.

use anyhow::Result;

use crate::{command, cross};

/// Targets without an operating system, without file descriptors, and with file descriptors.
const NOT_LINUX: [&str; 3] =
    ["wasm32-unknown-unknown", "x86_64-pc-windows-msvc", "aarch64-apple-darwin"];

/// A 32-bit target.
const NARROW: &str = "i686-unknown-linux-gnu";

pub(crate) fn run() -> Result<()> {
    // All code that does not require Linux.
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
