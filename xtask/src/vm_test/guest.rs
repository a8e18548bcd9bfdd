//! The contents of the machine: test binaries that need no other files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::initramfs::Archive;
use crate::command;
use crate::workspace::cargo;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The test target that is the machine's init process.
const INIT: &str = "vm_init";

/// The test targets that use the kernel's connector or filters.
const TESTS: [&str; 3] = ["live_*", "filter_kernel", "no_alloc"];

/// The path at which the kernel expects the init process, and the directories that init expects.
const INIT_PATH: &str = "init";
const PLAN: &str = "plan";
const TEST_DIRECTORY: &str = "tests";
const MOUNT_POINTS: [&str; 4] = ["proc", "sys", "dev", "tmp"];

/// The binaries by the name of their test target.
#[derive(Debug)]
pub(super) struct Binaries(BTreeMap<String, PathBuf>);

/// Builds the live tests.
pub(super) fn build(target_dir: &Path) -> Result<Binaries> {
    eprintln!("building the tests, linked statically");
    let mut build = cargo();
    build
        .args(["test", "--no-run"])
        .args(["--package=proc-connector", "--features=async-io,capture,process,testing,tokio"])
        .args(TESTS.map(|name| format!("--test={name}")))
        .arg(format!("--test={INIT}"));
    let binaries = Binaries(build_static(build, target_dir)?);
    binaries.path(INIT)?;
    Ok(binaries)
}

/// Links statically, in a separate target directory: in the common one, the different flags would
/// cause a full rebuild.
fn build_static(mut build: Command, target_dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    build
        .args(["--quiet", "--message-format=json", "--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // The emulator runs at about a tenth of the machine's speed.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        // All files are in the machine's memory.
        .env("CARGO_PROFILE_DEV_STRIP", "symbols")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        build.env_remove(variable);
    }
    executables(&command::read(&mut build)?)
}

/// The executables in cargo's messages of a build.
fn executables(messages: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut executables = BTreeMap::new();
    for line in messages.lines() {
        let message: Value =
            serde_json::from_str(line).context("the output of cargo is not JSON")?;
        if let (Some(name), Some(path)) =
            (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            executables.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(executables)
}

impl Binaries {
    /// The names of the tests, in alphabetical order.
    pub(super) fn tests(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|&name| name != INIT)
    }

    /// Builds an example of the fuzz targets, and adds it to the tests.
    pub(super) fn add_example(&mut self, name: &str, target_dir: &Path) -> Result<()> {
        let mut build = cargo();
        build.args(["build", "--manifest-path=fuzz/Cargo.toml", "--example", name]);
        self.0.extend(build_static(build, target_dir)?);
        self.path(name)?;
        Ok(())
    }

    fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).with_context(|| format!("cargo built no {name}"))
    }

    /// Writes the file system of a machine that runs `plan`.
    pub(super) fn write_initramfs(&self, plan: &str, path: &Path) -> Result<()> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut archive = Archive::new(BufWriter::new(file));
        for directory in MOUNT_POINTS.into_iter().chain([TEST_DIRECTORY]) {
            archive.directory(directory)?;
        }
        archive.file(PLAN, false, plan.as_bytes())?;
        archive.file(INIT_PATH, true, &fs::read(self.path(INIT)?)?)?;
        // A test binary can be an argument of another, with its directory.
        let words: Vec<&str> = plan.split([' ', '\n', '/']).collect();
        for name in self.tests().filter(|name| words.contains(name)) {
            archive.file(
                &format!("{TEST_DIRECTORY}/{name}"),
                true,
                &fs::read(self.path(name)?)?,
            )?;
        }
        Ok(archive.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_what_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"libc"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"live_open"},"executable":"/target/live_open-1"}
{"reason":"build-finished","success":true}"#;
        let found = executables(messages).expect("JSON");
        assert_eq!(found, [("live_open".to_owned(), PathBuf::from("/target/live_open-1"))].into());
    }
}
