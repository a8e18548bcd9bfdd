//! `cargo xtask package`: builds and tests every crate from its package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::command;
use crate::workspace::{self, Metadata, cargo};

/// Package each crate, build it, and run its tests from the unpacked packages
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Package changes that are not committed
    #[arg(long)]
    pub(crate) allow_dirty: bool,
    /// Run the tests of proc-connector too, which take minutes to build
    #[arg(long)]
    pub(crate) test: bool,
}

/// Crates whose tests take seconds.
const QUICK: [&str; 2] = ["proc-connector-sys", "proc-connector-core"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let target = Metadata::load()?.target_dir()?;
    // A new directory for each run: cargo unpacks packages to its home by directory and version,
    // and reuses what an earlier run unpacked there.
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let scratch = target.join(format!("package-{}-{time}", process::id()));
    let tested = package(&scratch, args.allow_dirty)
        .and_then(|()| unpack(&scratch.join("package"), &scratch.join("unpacked")))
        .and_then(|packages| test(&packages, &target, args.test));
    // If both failed, the packages are the more important error.
    let removed = fs::remove_dir_all(&scratch)
        .with_context(|| format!("cannot remove {}", scratch.display()));
    tested.and(removed)
}

/// Packages every crate into `scratch`, and builds each from its package.
fn package(scratch: &Path, allow_dirty: bool) -> Result<()> {
    let mut package = cargo();
    package.args(["package", "--quiet", "--workspace", "--exclude", "xtask", "--target-dir"]);
    package.arg(scratch);
    if allow_dirty {
        package.arg("--allow-dirty");
    }
    command::run(&mut package)
}

/// Unpacks the packages into a separate workspace. The directories contain the version in their
/// names, so a path out of one package cannot lead into another.
fn unpack(packages: &Path, workspace: &Path) -> Result<PathBuf> {
    fs::create_dir_all(workspace)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(packages)? {
        let archive = entry?.path();
        if archive.extension().is_some_and(|extension| extension == "crate") {
            // `-m`: with the times in the archive, cargo would reuse results of older packages.
            let mut tar = Command::new("tar");
            command::run(tar.arg("-xzmf").arg(&archive).arg("-C").arg(workspace))?;
            let name = archive.file_stem().and_then(|name| name.to_str());
            names.push(name.context("a package without a name")?.to_owned());
        }
    }
    fs::write(workspace.join("Cargo.toml"), manifest(&names)?)?;
    // Uses the dependencies' versions that the workspace is tested with.
    fs::copy(workspace::root().join("Cargo.lock"), workspace.join("Cargo.lock"))?;
    Ok(workspace.to_owned())
}

/// A workspace of the packages, each of which depends on the others as if they were published.
fn manifest(packages: &[String]) -> Result<String> {
    let patches = packages.iter().map(|package| {
        let (name, _version) =
            package.rsplit_once('-').with_context(|| format!("{package} has no version"))?;
        Ok(format!("{name} = {{ path = \"{package}\" }}\n"))
    });
    let patches = patches.collect::<Result<String>>()?;
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n";
    Ok(format!("{workspace}\n[patch.crates-io]\n{patches}"))
}

fn test(packages: &Path, target: &Path, everything: bool) -> Result<()> {
    let run = |arguments: &[&str]| {
        let mut cargo = cargo();
        cargo.current_dir(packages).args(arguments).args(["--quiet", "--all-features"]);
        // The dependencies are already built there.
        command::run(cargo.env("CARGO_TARGET_DIR", target))
    };
    if everything {
        return run(&["test", "--workspace", "--no-fail-fast"]);
    }
    run(&["test", "--package", QUICK[0], "--package", QUICK[1]])?;
    run(&["check", "--package", "proc-connector", "--all-targets"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_replace_each_other_in_the_registry() {
        let packages = ["a-b-0.4.0".to_owned(), "a-1.0.0".to_owned()];
        let expected = "\
[workspace]
resolver = \"3\"
members = [\"*\"]

[patch.crates-io]
a-b = { path = \"a-b-0.4.0\" }
a = { path = \"a-1.0.0\" }
";
        assert_eq!(manifest(&packages).expect("names with versions"), expected);
    }
}
