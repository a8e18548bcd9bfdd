//! `cargo xtask non-linux`: `proc-connector`, and core with it, on systems without process events of
//! their own. Checked only: nothing is linked, so it takes no other system's libraries.

use anyhow::Result;

use crate::{command, cross};

/// No system at all, one without file descriptors, and one with.
const TARGETS: [&str; 3] =
    ["wasm32-unknown-unknown", "x86_64-pc-windows-msvc", "aarch64-apple-darwin"];

pub(crate) fn run() -> Result<()> {
    for target in TARGETS {
        let mut check = cross::cargo_for("check", target, "std,panic_unwind")?;
        // Not `--package`: the released crate that benches compare with has the same name.
        check.args(["--manifest-path=proc-connector/Cargo.toml", "--lib"]);
        // All of what does not take the kernel.
        command::run(check.args(["--features", "serde,process"]).env("RUSTFLAGS", "-D warnings"))?;
    }
    Ok(())
}
