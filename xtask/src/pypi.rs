//! Fetches single directories of pinned `PyPI` wheels into the target directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// Arguments: a wheel, a destination, and directories inside the wheel. Each is unpacked to a
/// directory of the same name in the destination.
const UNPACK: &str = "
import pathlib, sys, zipfile
wheel, destination, *directories = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        for directory in directories:
            _, found, inside = member.filename.partition(directory + '/')
            if found and not member.is_dir():
                path = pathlib.Path(destination, pathlib.PurePosixPath(directory).name, inside)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
";

/// A file in the destination that contains the name of its wheel.
const STAMP: &str = "WHEEL";

/// Ensures that `destination` contains `directories` of the wheel `requirement` (`name==version`).
/// Existing directories are kept if they came from the same version.
pub(crate) fn fetch(requirement: &str, directories: &[&str], destination: &Path) -> Result<()> {
    let is_stale = |stamp| stamp != requirement;
    let stale = fs::read_to_string(destination.join(STAMP)).is_ok_and(is_stale);
    if destination.is_dir() && !stale {
        return Ok(());
    }

    let scratch = destination.with_extension("download");
    remove_dir(&scratch)?;
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"];
    command::run(Command::new("python3").args(pip).arg("--dest").arg(&scratch).arg(requirement))
        .context("pip cannot fetch the wheel; if pip is missing: apt-get install python3-pip")?;
    let Some(wheel) = fs::read_dir(&scratch)?.next().transpose()? else {
        bail!("pip downloaded nothing for {requirement}");
    };

    // Unpacked to another directory and renamed, so that an interrupted run leaves none incomplete.
    let unpacked = scratch.join("unpacked");
    let python = ["-c", UNPACK];
    let mut unpack = Command::new("python3");
    command::run(unpack.args(python).arg(wheel.path()).arg(&unpacked).args(directories))?;
    fs::write(unpacked.join(STAMP), requirement)
        .with_context(|| format!("{requirement} contains none of {}", directories.join(", ")))?;
    remove_dir(destination)?;
    fs::rename(&unpacked, destination)?;
    remove_dir(&scratch)
}

fn remove_dir(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
