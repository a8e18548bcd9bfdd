//! Fetches single folders out of pinned `PyPI` wheels, into the target folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// Arguments: a wheel, a destination, and folders inside the wheel, each of which is unpacked to
/// the folder of its own name in the destination.
const UNPACK: &str = "
import pathlib, sys, zipfile
wheel, destination, *folders = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        for folder in folders:
            _, found, inside = member.filename.partition(folder + '/')
            if found and not member.is_dir():
                path = pathlib.Path(destination, pathlib.PurePosixPath(folder).name, inside)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
";

/// Says, inside a destination, which wheel it came from.
const STAMP: &str = "WHEEL";

/// Makes `destination` hold `folders` of the wheel `requirement` (`name==version`). A folder that is
/// there already is kept, unless it came from another version.
pub(crate) fn fetch(requirement: &str, folders: &[&str], destination: &Path) -> Result<()> {
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
        .context("pip cannot fetch it (Debian: apt-get install python3-pip)")?;
    let Some(wheel) = fs::read_dir(&scratch)?.next().transpose()? else {
        bail!("pip downloaded nothing for {requirement}");
    };

    // Unpacked beside its place and renamed, so that an interrupted run leaves no half a folder.
    let unpacked = scratch.join("unpacked");
    let python = ["-c", UNPACK];
    let mut unpack = Command::new("python3");
    command::run(unpack.args(python).arg(wheel.path()).arg(&unpacked).args(folders))?;
    fs::write(unpacked.join(STAMP), requirement)
        .with_context(|| format!("{requirement} holds none of {}", folders.join(", ")))?;
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
