//! The ways in which events can get here.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// How events get from the kernel to this process.
///
/// ```no_run
/// use proc_connector::{Error, ProcConnector, Transport};
///
/// // `Auto` uses the socket where the ring is not available. `Ring` fails instead.
/// let events = match ProcConnector::builder().transport(Transport::Ring).open() {
///     Err(Error::RingUnavailable { reason, .. }) => {
///         eprintln!("no ring: {reason}");
///         ProcConnector::builder().transport(Transport::Socket).open()?
///     }
///     opened => opened?,
/// };
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// [`Ring`](Self::Ring) where it works, otherwise [`Socket`](Self::Socket);
    /// [`Stats::no_ring`](crate::Stats::no_ring) says why not.
    #[default]
    Auto,
    /// Shared memory, which a small BPF program of this crate fills in the task that makes the
    /// event. Reading costs next to nothing, and a buffer holds ten times as many events.
    ///
    /// It takes Linux 5.8 and `CAP_BPF`. The program refuses what is not exactly an event in
    /// shape, but it cannot see who sent it: a process with `CAP_NET_ADMIN` can forge events.
    Ring,
    /// The queue of the netlink socket, on any kernel and without privilege from Linux 6.6 on.
    ///
    /// The kernel notes the sender of each datagram there, so what other processes forge is
    /// refused.
    Socket,
}

/// Why events do not come through [`Transport::Ring`](crate::Transport::Ring).
///
/// ```no_run
/// use proc_connector::{NoRing, ProcConnector};
///
/// let events = ProcConnector::builder().open()?;
/// match events.stats().no_ring {
///     None => println!("events come through the ring"),
///     Some(NoRing::Forbidden) => println!("grant CAP_BPF for the ring"),
///     Some(reason) => println!("no ring: {reason}"),
/// }
/// # Ok::<(), proc_connector::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoRing {
    /// It was not asked for.
    NotWanted,
    /// The connector was opened with [`ProcConnector::new`](crate::ProcConnector::new), whose
    /// descriptor is the socket, as in 0.1.5.
    Compatibility,
    /// This is a 32-bit program on a 64-bit kernel, whose ring it cannot read.
    WordSize,
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
    /// The buffer asked for is larger than a ring can be, or than there is memory for.
    TooLarge,
    /// The system refused with this errno.
    Os(i32),
}

impl NoRing {
    /// What stands in the way.
    pub(crate) fn cause(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotWanted => "it was not requested",
            Self::Compatibility => "`ProcConnector::new` uses the socket, as in 0.1.5",
            Self::WordSize => "a 32-bit program cannot read the ring of a 64-bit kernel",
            Self::Forbidden => "this process may not use bpf(2), which requires CAP_BPF",
            Self::Unsupported => "the kernel has no BPF ring buffers, which came with Linux 5.8",
            Self::Refused => "the kernel's verifier refused the program",
            Self::GoesDeaf => "this kernel stops sending events once no socket queues one",
            Self::Unanswered => "the kernel's datagrams have an unknown layout",
            Self::TooLarge => {
                "the buffer exceeds the size limit of a ring, or the available memory"
            }
            Self::Os(errno) => return io::Error::from_raw_os_error(errno).to_string().into(),
        })
    }

    /// What to do about it, where there is something to do.
    pub(crate) fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Compatibility => Some("open the connector with `ProcConnector::builder`"),
            Self::WordSize => Some("build the program for the kernel's architecture"),
            Self::Forbidden => Some(
                "run as root, or grant it with `setcap cap_bpf,cap_net_admin+ep PROGRAM`, \
                 and allow bpf(2) in seccomp profiles",
            ),
            Self::Unsupported => Some("update the kernel, with CONFIG_BPF_SYSCALL=y"),
            Self::GoesDeaf => Some("update the kernel to 6.6.18, 6.7.6 or later"),
            Self::TooLarge => Some("request a smaller buffer"),
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
