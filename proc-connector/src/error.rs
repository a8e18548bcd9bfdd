//! What can go wrong, and what to do about it.

use std::fmt;
use std::io;

use proc_connector_core::ParseError;

use crate::transport_kind::NoRing;

/// Convenience alias for `Result<T, Error>`.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong between the kernel and the caller.
///
/// ```
/// use proc_connector::{Error, ProcConnector};
///
/// match ProcConnector::builder().open() {
///     Ok(connector) => println!("listening: {:?}", connector.stats().transport),
///     Err(Error::PermissionDenied) => eprintln!("run as root, or grant CAP_NET_ADMIN"),
///     // The message of every error names the cause, and the remedy where one exists.
///     Err(error) => eprintln!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed in a way that has no variant of its own; or, as
    /// [`InvalidData`](io::ErrorKind::InvalidData), the ring holds what no kernel writes.
    #[error("system call error")]
    Os(#[from] io::Error),

    /// A message ends before it should, or a length in it lies.
    #[error("truncated message")]
    Truncated,

    /// The buffer cannot hold an event. Nothing was taken from the socket, or what was taken is
    /// kept: the same call with a larger buffer gets it.
    #[error("buffer too small, need at least {needed} bytes")]
    BufferTooSmall {
        /// Bytes that would do.
        needed: usize,
    },

    /// A signal arrived before anything else did. Nothing is lost; call again.
    #[error("interrupted by signal")]
    Interrupted,

    /// The socket was shut down.
    #[error("connection closed")]
    ConnectionClosed,

    /// The receive buffer was full and events were dropped. Those still queued can be received.
    ///
    /// Only the calls kept from 0.1.5 say it this way; [`recv_batch`] tells how many, and where.
    ///
    /// [`recv_batch`]: crate::ProcConnector::recv_batch
    #[error("message overrun, events were dropped: read faster or use a larger receive buffer")]
    Overrun,

    /// Nothing to receive, and the connector is non-blocking.
    #[error("operation would block")]
    WouldBlock,

    /// A message of another connector than the process events'.
    #[error("unexpected connector index (expected CN_IDX_PROC)")]
    UnexpectedConnector,

    /// A connector message that is well formed and still no event: an acknowledgement.
    #[error("the message is an acknowledgement of a request, not an event")]
    NotAnEvent,

    /// A [`Shutdown`](crate::Shutdown) handle ended the receive.
    #[error("a shutdown handle ended the receive")]
    Shutdown,

    /// The kernel does not let this process listen.
    #[error(
        "no permission to listen to process events: before Linux 6.6 this requires CAP_NET_ADMIN; \
         run as root, or grant it with `setcap cap_net_admin+ep PROGRAM`"
    )]
    PermissionDenied,

    /// The process is in a namespace that gets no process events.
    #[error("process events are not sent to this {kind} namespace: {}", kind.remedy())]
    NotInitialNamespace {
        /// Which of its namespaces is not the initial one.
        kind: Namespace,
    },

    /// The kernel has no process events connector, or does not answer on it.
    #[error(
        "this kernel has no process events connector: use a kernel with CONFIG_CONNECTOR=y and \
         CONFIG_PROC_EVENTS=y, which has a `cn_proc` line in /proc/net/connector"
    )]
    ConnectorUnavailable,

    /// The kernel refused the filter's program.
    #[error("the kernel refused the filter")]
    FilterRefused(#[source] io::Error),

    /// The ring was asked for, or is in use, and the kernel refused a part of it.
    #[error("the ring cannot be used: {reason}{}", indented(log))]
    RingUnavailable {
        /// Why.
        reason: NoRing,
        /// What the kernel's verifier said of the program, if it was that.
        log: String,
    },

    /// The kernel has the connector, and yet did not acknowledge the request to listen.
    #[error(
        "the kernel did not acknowledge the request to listen, and /proc does not show why: \
         run `proc-connector doctor` to check this machine"
    )]
    NotAcknowledged,

    /// This system has another kernel than Linux.
    #[error(
        "this system does not run the Linux kernel, which reports process events; \
         recordings made on Linux can be read here"
    )]
    NotLinux,
}

/// An error and its sources, separated by colons.
#[cfg(target_os = "linux")]
#[derive(Debug)]
#[allow(
    clippy::exhaustive_structs,
    dead_code,
    unreachable_pub,
    reason = "the program uses it, and diagnoses on Linux do"
)]
pub struct Chain<'a>(pub &'a dyn std::error::Error);

#[cfg(target_os = "linux")]
impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let sources = std::iter::successors(self.0.source(), |error| error.source());
        for source in sources {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

/// A log on lines of its own, behind a message.
fn indented(log: &str) -> String {
    log.lines().flat_map(|line| ["\n    ", line]).collect()
}

/// A kind of namespace that the process events depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Namespace {
    /// Network: only the initial one reaches the connector.
    Network,
    /// Process ids: requests from any but the initial one are ignored.
    Pid,
    /// Users: requests from any but the initial one are ignored.
    User,
}

impl Namespace {
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Network => {
                "run in the host's network namespace (containers: `--network=host`, `hostNetwork: true`)"
            }
            Self::Pid => {
                "run in the host's pid namespace (containers: `--pid=host`, `hostPID: true`)"
            }
            Self::User => {
                "run in the host's user namespace (containers: `--userns=host`, no rootless engine)"
            }
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Pid => "pid",
            Self::User => "user",
        })
    }
}

/// The parser's errors in the words of 0.1.5, which knew two.
impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::UnexpectedConnector { .. } => Self::UnexpectedConnector,
            _ => Self::Truncated,
        }
    }
}
