//! Extracts kernels from Debian packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command;

/// A bootable kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Its release, such as `6.1.0-1-cloud-amd64`.
    pub(super) name: String,
    pub(super) image: PathBuf,
}

const PACKAGE: &str = "linux-image-";
const FLAVOUR: &str = "-cloud-amd64";

/// The newest kernel of a series in the package lists, which is stored in `directory`. If the lists
/// are missing, the newest stored kernel.
pub(super) fn fetch(series: &str, directory: &Path) -> Result<Kernel> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let known = command::read(Command::new("apt-cache").args(["--names-only", "search", PACKAGE]));
    let name = newest(series, known.iter().flat_map(|list| list.lines()))
        .or_else(|| newest(series, cached(directory).iter().map(String::as_str)));
    let name = name.with_context(|| {
        format!(
            "apt does not list {PACKAGE}{series}.*{FLAVOUR}: run apt-get update (in Debian 12, it \
             is among the security updates)"
        )
    })?;
    let image = directory.join(format!("{PACKAGE}{name}"));
    if !image.is_file() {
        download(&name, directory, &image)?;
    }
    Ok(Kernel { name, image })
}

/// The newest release of a series in lines that begin with the name of a package.
fn newest<'a>(series: &str, packages: impl Iterator<Item = &'a str>) -> Option<String> {
    let start = format!("{series}.");
    packages
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix(PACKAGE))
        .filter(|name| name.starts_with(&start) && name.ends_with(FLAVOUR))
        .max_by_key(|name| numbers(name))
        .map(str::to_owned)
}

/// The integers of a release, which order releases by version: 6.12.9 before 6.12.10.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|letter: char| !letter.is_ascii_digit()).filter_map(|run| run.parse().ok()).collect()
}

fn cached(directory: &Path) -> Vec<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// Downloads the package of a kernel, and keeps only the kernel.
fn download(name: &str, directory: &Path, image: &Path) -> Result<()> {
    let scratch = directory.join("download");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    // Runs as the current user, because apt's own user may lack access to the directory.
    let mut download = Command::new("apt-get");
    download.args(["-o", "APT::Sandbox::User=", "--quiet", "download"]).current_dir(&scratch);
    command::run(download.arg(format!("{PACKAGE}{name}")))
        .context("apt cannot fetch the kernel; if the package lists are old: apt-get update")?;
    let packages = cached(&scratch);
    ensure!(packages.len() == 1, "apt downloaded {packages:?} for one package");

    let unpacked = scratch.join("unpacked");
    command::run(
        Command::new("dpkg-deb").arg("-x").arg(scratch.join(&packages[0])).arg(&unpacked),
    )?;
    // Renamed last, so that an interrupted run leaves no incomplete kernel.
    fs::rename(unpacked.join(format!("boot/vmlinuz-{name}")), image)
        .with_context(|| format!("{} contains no kernel", packages[0]))?;
    fs::remove_dir_all(&scratch).context("cannot clean up")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: &str = "\
linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-57-cloud-amd64-dbg - Debug symbols for linux-image-6.1.0-57-cloud-amd64
linux-image-6.1.0-57-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud
linux-image-6.1.0-57-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.12-cloud-amd64 - Linux for x86-64 cloud (meta-package)
linux-image-6.12.9+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.12.10+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)";

    #[test]
    fn the_newest_of_a_series_is_taken() {
        let newest = |series| newest(series, PACKAGES.lines());
        assert_eq!(newest("6.1").as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(newest("6.12").as_deref(), Some("6.12.10+deb12-cloud-amd64"));
        assert_eq!(newest("6.18"), None);
    }
}
