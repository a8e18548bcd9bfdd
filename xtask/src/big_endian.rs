//! `cargo xtask big-endian`: runs core's tests on s390x, under QEMU's user-mode emulation.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{command, cross};

const TARGET: &str = "s390x-unknown-linux-gnu";
const LINKER: &str = "s390x-linux-gnu-gcc";
const QEMU: &str = "qemu-s390x";

pub(crate) fn run() -> Result<()> {
    ensure!(
        command::available(LINKER, &["--version"]) && command::available(QEMU, &["--version"]),
        "{LINKER} or {QEMU} is missing: apt-get install gcc-s390x-linux-gnu \
         libc6-dev-s390x-cross qemu-user"
    );
    command::run(&mut test()?)
}

fn test() -> Result<Command> {
    let mut test = cross::cargo_for("test", TARGET, "std,panic_unwind,test")?;
    test.args(["--package", "proc-connector-core", "--all-features"])
        .env("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env(
            "CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER",
            format!("{QEMU} -L /usr/s390x-linux-gnu"),
        );
    Ok(test)
}
