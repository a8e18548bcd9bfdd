//! The running kernel: its version, word size, known bug and process events connector.

use crate::live::host::proc_mount;
use crate::sys::{hides_architecture, uname};

/// A kernel version: major, minor and patch level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Version {
    /// The running kernel's version, from `uname`, because `/proc/sys` may not be mounted.
    pub(crate) fn running() -> Option<Self> {
        Self::parse(&uname().ok()?.release)
    }

    /// Parses the numbers at the start of a release such as `6.1.0-18-cloud-amd64`. A missing patch
    /// level counts as 0.
    fn parse(release: &str) -> Option<Self> {
        let numbers = release.split(|char: char| !char.is_ascii_digit() && char != '.').next()?;
        let mut numbers = numbers.split('.').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next().unwrap_or(0)))
    }

    /// Whether the kernel stops sending events to all listeners as soon as no socket has accepted
    /// one, because a filter dropped it or the only listener overran. Introduced by commit
    /// c46bfba1337d, reverted by commit 8929f95b2b58.
    pub(crate) fn forgets_listeners(self) -> bool {
        matches!(self, Self(6, 6, 13..=17) | Self(6, 7, 1..=5))
    }
}

/// [`Version::forgets_listeners`] of the running kernel. False if its version is unknown.
pub(crate) fn forgets_listeners() -> bool {
    Version::running().is_some_and(Version::forgets_listeners)
}

/// Whether the kernel requires `CAP_NET_ADMIN` of listeners, as before Linux 6.6. True if its
/// version is unknown.
///
/// Without the capability such a kernel also refuses an IGNORE request, and continues to send
/// events (`cn_proc_mcast_ctl` in `drivers/connector/cn_proc.c`).
pub(crate) fn requires_net_admin() -> bool {
    Version::running().is_none_or(|version| version < Version(6, 6, 0))
}

/// Whether `/proc/self/net/connector` lists `cn_proc`. `None` if it cannot be read.
pub(crate) fn has_proc_events() -> Option<bool> {
    let connectors = proc_mount::read_own_net(c"connector").ok()?;
    Some(connectors.lines().any(|line| line.split_whitespace().next() == Some("cn_proc")))
}

/// Whether this is a 32-bit program on a 64-bit kernel. The positions of a ring have the size of
/// the kernel's words, so such a program cannot read a ring.
pub(crate) fn is_wider_than_this_program() -> bool {
    cfg!(target_pointer_width = "32")
        && (hides_architecture() || uname().is_ok_and(|names| is_64_bit(&names.machine)))
}

/// Whether a kernel that reports this `machine` in `uname` is a 64-bit kernel. An arm64 kernel
/// reports `armv8l` to a 32-bit program.
fn is_64_bit(machine: &str) -> bool {
    machine.contains("64") || ["s390x", "armv8l", "armv8b", "sun4v"].contains(&machine)
}

#[cfg(test)]
mod tests {
    use super::{Version, is_64_bit};

    #[test]
    fn kernels_of_64_bits_are_recognised_by_their_machine() {
        for machine in ["x86_64", "aarch64", "ppc64le", "riscv64", "mips64", "s390x", "armv8l"] {
            assert!(is_64_bit(machine), "{machine}");
        }
        for machine in ["i386", "i686", "armv7l", "armv6l", "ppc", "mips", "riscv32", "s390"] {
            assert!(!is_64_bit(machine), "{machine}");
        }
    }

    #[test]
    fn releases_of_distributions_are_parsed() {
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
    fn only_the_releases_between_the_two_commits_forget_listeners() {
        let affected = |minor, patch| Version(6, minor, patch).forgets_listeners();
        assert!(!affected(6, 12) && affected(6, 13) && affected(6, 17) && !affected(6, 18));
        assert!(!affected(7, 0) && affected(7, 1) && affected(7, 5) && !affected(7, 6));
        assert!(!affected(1, 15) && !affected(18, 14));
    }
}
