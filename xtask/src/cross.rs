//! Runs cargo for targets whose standard library the default toolchain may lack.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command;
use crate::workspace::cargo;

/// Debian's compiler; its package `rust-web-src` contains the source of the standard library.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTDOC: &str = "/usr/bin/rustdoc";

/// `cargo SUBCOMMAND --target TARGET`: with the default toolchain if rustup has installed the
/// target, otherwise with Debian's toolchain, which builds the crates in `build_std` from source.
pub(crate) fn cargo_for(subcommand: &str, target: &str, build_std: &str) -> Result<Command> {
    let mut command = cargo();
    command.args([subcommand, "--quiet", "--target", target]);
    if is_installed(target) {
        return Ok(command);
    }
    ensure!(
        debian_has_sources(),
        "no standard library for {target}: rustup target add {target}, or on Debian \
         apt-get install rustc-web rust-web-src"
    );
    command
        .arg(format!("-Zbuild-std={build_std}"))
        // Without backtraces, whose parsers of debug information need a third of std's build time.
        .arg("-Zbuild-std-features=panic-unwind")
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTDOC", DEBIAN_RUSTDOC)
        // Permits -Z options on a stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    Ok(command)
}

fn is_installed(target: &str) -> bool {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command::read(rustc.args(["--print", "target-libdir", "--target", target]))
        .is_ok_and(|dir| Path::new(dir.trim()).is_dir())
}

fn debian_has_sources() -> bool {
    command::read(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"])).is_ok_and(|sysroot| {
        Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    })
}
