//! Why there is no ring.

use std::borrow::Cow;
use std::fmt;
use std::io;

use super::asm::Unwritable;

/// Why events do not come through [`Transport::Ring`](crate::Transport::Ring).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoRing {
    /// It was not asked for.
    NotWanted,
    /// The process may not use `bpf(2)`.
    Forbidden,
    /// The kernel has no BPF, or no ring buffers: those came with Linux 5.8.
    Unsupported,
    /// The kernel's verifier did not take the program.
    Refused,
    /// The kernel stops sending events to everybody once no socket queues one.
    GoesDeaf,
    /// The kernel's answer did not come through the program.
    Unanswered,
    /// The system refused with this errno.
    Os(i32),
}

impl NoRing {
    /// What stands in the way.
    pub(crate) fn cause(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotWanted => "it was not asked for",
            Self::Forbidden => "this process may not use bpf(2), which takes CAP_BPF",
            Self::Unsupported => "the kernel has no BPF ring buffers, which came with Linux 5.8",
            Self::Refused => "the kernel's verifier refused the program",
            Self::GoesDeaf => "the kernel stops sending events once no socket queues one",
            Self::Unanswered => "the kernel's datagrams are not those that the program knows",
            Self::Os(errno) => return io::Error::from_raw_os_error(errno).to_string().into(),
        })
    }

    /// What to do about it, where there is something to do.
    pub(crate) fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Forbidden => Some(
                "run as root, or grant it with `setcap cap_bpf,cap_net_admin+ep`, \
                 and let bpf(2) pass in seccomp profiles",
            ),
            Self::Unsupported => Some("update the kernel, which needs CONFIG_BPF_SYSCALL=y too"),
            Self::GoesDeaf => Some("update the kernel to 6.6.18, 6.7.6 or later"),
            Self::NotWanted | Self::Refused | Self::Unanswered | Self::Os(_) => None,
        }
    }
}

/// The cause, and behind a colon the remedy where there is one.
impl fmt::Display for NoRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause())?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, ": {remedy}"))
    }
}

/// Why a ring could not be made, with what the kernel said.
#[derive(Debug)]
pub(crate) struct RingError {
    pub(crate) reason: NoRing,
    /// The verifier's words.
    pub(crate) log: String,
}

impl RingError {
    pub(crate) fn of(reason: NoRing) -> Self {
        Self { reason, log: String::new() }
    }

    /// A map that the kernel did not make, or a program that it did not attach.
    pub(super) fn of_map(error: &io::Error) -> Self {
        Self::of(match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => NoRing::Forbidden,
            Some(libc::EINVAL | libc::ENOSYS) | None => NoRing::Unsupported,
            Some(errno) => NoRing::Os(errno),
        })
    }

    /// A program that the kernel did not load.
    pub(super) fn of_program(error: &io::Error, log: &[u8]) -> Self {
        let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
        let log = String::from_utf8_lossy(text).trim().to_owned();
        let reason = match error.raw_os_error() {
            Some(libc::EPERM) => NoRing::Forbidden,
            Some(libc::EINVAL | libc::EACCES | libc::E2BIG) => NoRing::Refused,
            Some(libc::ENOSYS) | None => NoRing::Unsupported,
            Some(errno) => NoRing::Os(errno),
        };
        Self { reason, log }
    }

    /// A program that could not be written.
    pub(super) fn of_assembly(error: Unwritable) -> Self {
        Self { reason: NoRing::Refused, log: format!("{error:?}") }
    }
}
