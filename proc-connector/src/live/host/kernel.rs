//! Which kernel this is, and what is wrong with it.

use crate::sys::{hides_architecture, uname};

/// A kernel version, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Version {
    /// The version of the running kernel. A `/proc` may lack `/proc/sys`, so the kernel is asked.
    pub(crate) fn running() -> Option<Self> {
        Self::parse(&uname().ok()?.release)
    }

    /// Reads the numbers at the start of a release such as `6.1.0-18-cloud-amd64`. Distributions
    /// that leave the patch level out of it count as patch level 0.
    fn parse(release: &str) -> Option<Self> {
        let numbers =
            release.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next()?;
        let mut numbers = numbers.split('.').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(Self(number()?, number()?, number().unwrap_or(0)))
    }

    /// Whether the kernel stops sending events to everybody once no socket took one, because a
    /// filter refused it or the only listener overran: commit c46bfba1337d brought that, commit
    /// 8929f95b2b58 took it back.
    pub(crate) fn goes_deaf(self) -> bool {
        matches!(self, Self(6, 6, 13..=17) | Self(6, 7, 1..=5))
    }
}

/// Whether a filter that refuses an event makes the running kernel stop sending events to every
/// listener.
pub(crate) fn goes_deaf() -> bool {
    Version::running().is_some_and(Version::goes_deaf)
}

/// Whether the kernel's words are longer than this program's, as under a 32-bit program on a 64-bit
/// kernel. The positions of a ring are words of the kernel's.
pub(crate) fn is_wider_than_this_program() -> bool {
    cfg!(target_pointer_width = "32")
        && (hides_architecture() || uname().is_ok_and(|names| is_64_bit(&names.machine)))
}

/// Whether a kernel with this `machine` of `uname` has words of 64 bits. A kernel calls itself
/// `armv8l` towards a 32-bit program.
fn is_64_bit(machine: &str) -> bool {
    machine.contains("64") || ["s390x", "armv8l", "armv8b", "sun4v"].contains(&machine)
}

#[cfg(test)]
mod tests {
    use super::{Version, is_64_bit};

    #[test]
    fn machines_with_long_words_are_known_by_name() {
        for machine in ["x86_64", "aarch64", "ppc64le", "riscv64", "mips64", "s390x", "armv8l"] {
            assert!(is_64_bit(machine), "{machine}");
        }
        for machine in ["i386", "i686", "armv7l", "armv6l", "ppc", "mips", "riscv32", "s390"] {
            assert!(!is_64_bit(machine), "{machine}");
        }
    }

    #[test]
    fn releases_of_distributions_are_read() {
        let cases = [
            ("6.18.44-fc-v595\n", Some(Version(6, 18, 44))),
            ("6.1.0-18-cloud-amd64", Some(Version(6, 1, 0))),
            ("4.19", Some(Version(4, 19, 0))),
            ("6.7.0-rc1+", Some(Version(6, 7, 0))),
            ("6.6", Some(Version(6, 6, 0))),
            ("6.6+", Some(Version(6, 6, 0))),
            ("6.6.", Some(Version(6, 6, 0))),
            ("6.6-rc3", Some(Version(6, 6, 0))),
            ("6.6.13-rc1+", Some(Version(6, 6, 13))),
            ("6.6.13+", Some(Version(6, 6, 13))),
            ("6.6.13_1", Some(Version(6, 6, 13))),
            ("6.6.13.4-custom", Some(Version(6, 6, 13))),
            ("5.10.0-custom", Some(Version(5, 10, 0))),
            ("5.15.167.4-microsoft-standard-WSL2", Some(Version(5, 15, 167))),
            ("6", None),
            ("linux", None),
            ("", None),
        ];
        for (release, version) in cases {
            assert_eq!(Version::parse(release), version, "{release:?}");
        }
    }

    #[test]
    fn only_the_releases_between_the_two_commits_go_deaf() {
        let deaf = |minor, patch| Version(6, minor, patch).goes_deaf();
        assert!(!deaf(6, 12) && deaf(6, 13) && deaf(6, 17) && !deaf(6, 18));
        assert!(!deaf(7, 0) && deaf(7, 1) && deaf(7, 5) && !deaf(7, 6));
        assert!(!deaf(1, 15) && !deaf(18, 14));
    }
}
