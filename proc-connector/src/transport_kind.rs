//! The transports of events.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// How the kernel passes events to this process.
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
    /// Uses [`Ring`](Self::Ring) if it works, otherwise [`Socket`](Self::Socket);
    /// [`Stats::no_ring`](crate::Stats::no_ring) contains the reason.
    #[default]
    Auto,
    /// Shared memory. A BPF program of this crate writes events to it, in the context of the task
    /// that causes the event. Receiving costs little CPU time, and the same memory holds eight times
    /// as many events as the socket.
    ///
    /// Requires Linux 5.8 and `CAP_BPF`. With `CAP_PERFMON`, the ring identifies the process that
    /// caused an event and its end, and refuses forged events.
    Ring,
    /// The queue of the netlink socket. Works on any kernel, and without privileges since Linux
    /// 6.6.
    ///
    /// The kernel records the sender of each datagram, so messages of other processes are rejected.
    Socket,
}

/// Why [`Transport::Ring`](crate::Transport::Ring) is not in use.
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
    /// The ring was not requested.
    NotWanted,
    /// The connector was opened with [`ProcConnector::new`](crate::ProcConnector::new), whose
    /// descriptor is the socket, as in 0.1.5.
    Compatibility,
    /// A 32-bit program cannot read the ring of a 64-bit kernel.
    WordSize,
    /// The process may not use `bpf(2)`.
    Forbidden,
    /// The kernel has no BPF, or no ring buffers, which were added in Linux 5.8.
    Unsupported,
    /// The kernel's verifier rejected the program.
    Refused,
    /// The kernel stops sending events to all listeners if no socket queues an event.
    GoesDeaf,
    /// The program rejected the kernel's acknowledgement, whose layout is unknown.
    Unanswered,
    /// The kernel does not let the program read what the filter's conditions on the acting task
    /// compare.
    NoTaskFilter,
    /// The requested buffer exceeds the maximum size of a ring, or the available memory.
    TooLarge,
    /// A system call failed with this errno.
    Os(i32),
}

impl NoRing {
    /// The cause, without the remedy.
    pub(crate) fn cause(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotWanted => "the ring was not requested",
            Self::Compatibility => "`ProcConnector::new` uses the socket, as in 0.1.5",
            Self::WordSize => "a 32-bit program cannot read the ring of a 64-bit kernel",
            Self::Forbidden => "this process may not use bpf(2), which requires CAP_BPF",
            Self::Unsupported => "the kernel has no BPF ring buffers, which require Linux 5.8",
            Self::Refused => "the kernel's verifier refused the program",
            Self::GoesDeaf => "this kernel stops sending events once no socket queues one",
            Self::Unanswered => "the kernel's datagrams have an unknown layout",
            Self::NoTaskFilter => {
                "the program cannot read the properties of tasks that the filter compares"
            }
            Self::TooLarge => {
                "the buffer exceeds the size limit of a ring, or the available memory"
            }
            Self::Os(errno) => return io::Error::from_raw_os_error(errno).to_string().into(),
        })
    }

    /// The remedy, if one exists.
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
            Self::NoTaskFilter => Some(
                "run as root, or grant CAP_PERFMON as well; the kernel requires \
                 CONFIG_DEBUG_INFO_BTF=y",
            ),
            Self::NotWanted | Self::Refused | Self::Unanswered | Self::Os(_) => None,
        }
    }
}

/// The cause, followed by a colon and the remedy, if one exists.
impl fmt::Display for NoRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause())?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, ": {remedy}"))
    }
}
