//! Finds the UAPI headers, and determines their kernel version.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{pypi, workspace::Metadata};

/// A wheel for all machines that contains the UAPI headers of Linux 7.2.
const WHEEL: &str = "ziglang==0.17.1";
/// The directories in the wheel: headers common to all architectures, and `asm` of x86.
const WHEEL_DIRECTORIES: [&str; 2] = ["include/any-linux-any", "include/x86-linux-any"];

/// The first version with `struct proc_input` and `PROC_EVENT_NONZERO_EXIT`.
const OLDEST: Version = Version { major: 6, minor: 6 };

/// The version of a kernel's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Parses `LINUX_VERSION_CODE` in the text of `linux/version.h`.
    fn parse(version_h: &str) -> Option<Self> {
        let code = version_h.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some("LINUX_VERSION_CODE"))
                .then(|| words.next()?.parse::<u32>().ok())
                .flatten()
        })?;
        Some(Self { major: code >> 16, minor: code >> 8 & 0xff })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Sufficiently new headers: the search path in order, and the kernel version.
#[derive(Debug)]
pub(crate) struct Headers {
    pub(crate) include_dirs: Vec<PathBuf>,
    pub(crate) version: Version,
}

impl Headers {
    /// Uses the headers in `dir`, or fetches headers into the target directory.
    pub(crate) fn locate(dir: Option<&Path>, metadata: &Metadata) -> Result<Self> {
        if let Some(dir) = dir {
            return Self::open(dir);
        }
        let dir = metadata.target_dir()?.join("uapi-headers");
        pypi::fetch(WHEEL, &WHEEL_DIRECTORIES, &dir)?;
        Self::open(&dir)
    }

    /// Accepts the output of `make headers_install`, `/usr/include` of x86 Linux, and the wheel's
    /// directories.
    fn open(dir: &Path) -> Result<Self> {
        let include_dirs: Vec<PathBuf> =
            ["x86-linux-any", "any-linux-any", "x86_64-linux-gnu", "include", ""]
                .map(|part| dir.join(part))
                .into_iter()
                .filter(|dir| dir.join("linux").is_dir() || dir.join("asm").is_dir())
                .collect();

        let read = |name: &str| {
            include_dirs
                .iter()
                .find_map(|dir| fs::read_to_string(dir.join(name)).ok())
                .with_context(|| {
                    format!(
                        "no {name} in {}: give --headers the output of `make headers_install`, or omit it \
                         to fetch headers",
                        dir.display()
                    )
                })
        };
        let version = Version::parse(&read("linux/version.h")?)
            .context("linux/version.h does not define LINUX_VERSION_CODE")?;
        if version < OLDEST || !read("linux/cn_proc.h")?.contains("struct proc_input") {
            bail!(
                "the headers in {} are those of Linux {version}, but `struct proc_input` needs {OLDEST} \
                 or newer: give --headers newer ones, or omit it to fetch headers",
                dir.display()
            );
        }
        Ok(Self { include_dirs, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_code() {
        let cases = [
            ("#define LINUX_VERSION_CODE 459264\n", Some((7, 2))),
            ("/* x */\n#define  LINUX_VERSION_CODE\t393746\n#define OTHER 1", Some((6, 2))),
            ("#define LINUX_VERSION_CODE 394752", Some((6, 6))),
            ("#define LINUX_VERSION_CODES 459264", None),
            ("#define LINUX_VERSION_CODE KERNEL_VERSION(6,6,0)", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(major, minor)| Version { major, minor });
            assert_eq!(Version::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn versions_order_by_number_not_by_text() {
        let version = |major, minor| Version { major, minor };
        assert!(version(6, 5) < OLDEST);
        assert!(version(6, 10) > OLDEST);
        assert!(version(7, 0) > OLDEST);
    }
}
