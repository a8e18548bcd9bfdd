//! Errors of the connector, each with its cause and, where possible, a remedy.

use std::fmt;
use std::io;

use proc_connector_core::ParseError;

use crate::transport_kind::NoRing;

/// A `Result` with the error type [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of opening a connector, receiving, or parsing.
///
/// ```
/// use proc_connector::{Error, ProcConnector};
///
/// match ProcConnector::builder().open() {
///     Ok(connector) => println!("listening: {:?}", connector.stats().transport),
///     Err(Error::PermissionDenied) => eprintln!("run as root, or grant CAP_NET_ADMIN"),
///     // Each message names the remedy where one exists. `source` has the error of the system.
///     Err(error) => match std::error::Error::source(&error) {
///         Some(source) => eprintln!("{error}: {source}"),
///         None => eprintln!("{error}"),
///     },
/// }
/// ```
///
/// The messages of [`Os`](Self::Os) and [`FilterRefused`](Self::FilterRefused) do not repeat their
/// source, so that reporters that print the chain of errors print each part once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed with an errno for which no variant exists. The kind
    /// [`InvalidData`](io::ErrorKind::InvalidData) means that the ring contains data that the
    /// kernel never writes.
    #[error("system call error")]
    Os(#[from] io::Error),

    /// A message is incomplete, or contains an invalid length.
    #[error("truncated message")]
    Truncated,

    /// The buffer is too small for an event. No event is lost: the same call with a larger buffer
    /// returns it.
    #[error("buffer too small, need at least {needed} bytes")]
    BufferTooSmall {
        /// The required size, in bytes.
        needed: usize,
    },

    /// A signal interrupted the call before an event arrived. No event is lost; call again.
    #[error("interrupted by signal")]
    Interrupted,

    /// The socket was shut down.
    #[error("connection closed")]
    ConnectionClosed,

    /// The receive buffer was full, and the kernel dropped events. Queued events can still be
    /// received.
    ///
    /// Only the calls kept from 0.1.5 return this error; [`recv_batch`] reports the position and
    /// the count of each loss.
    ///
    /// [`recv_batch`]: crate::ProcConnector::recv_batch
    #[error("message overrun, events were dropped: read faster or use a larger receive buffer")]
    Overrun,

    /// The connector is non-blocking, and no event is queued.
    #[error("operation would block")]
    WouldBlock,

    /// A message of a connector other than that of process events.
    #[error("unexpected connector index (expected CN_IDX_PROC)")]
    UnexpectedConnector,

    /// A valid connector message that is not an event: an acknowledgement.
    #[error("the message is an acknowledgement of a request, not an event")]
    NotAnEvent,

    /// A [`Shutdown`](crate::Shutdown) handle ended the receive.
    #[error("a shutdown handle ended the receive")]
    Shutdown,

    /// The kernel does not permit this process to listen.
    #[error(
        "no permission to listen to process events: before Linux 6.6 this requires CAP_NET_ADMIN; \
         run as root, or grant it with `setcap cap_net_admin+ep PROGRAM`"
    )]
    PermissionDenied,

    /// This process is in a namespace that receives no process events.
    #[error("process events are not sent to this {kind} namespace: {}", kind.remedy())]
    NotInitialNamespace {
        /// The namespace that is not the initial one.
        kind: Namespace,
    },

    /// The kernel has no process events connector, or the connector does not answer.
    #[error(
        "this kernel has no process events connector: use a kernel with CONFIG_CONNECTOR=y and \
         CONFIG_PROC_EVENTS=y, which has a `cn_proc` line in /proc/net/connector"
    )]
    ConnectorUnavailable,

    /// The kernel rejected the program of the filter.
    #[error("the kernel refused the filter")]
    FilterRefused(#[source] io::Error),

    /// A filter selects the descendants of a process that does not exist, or has ended.
    #[error("process {tgid} does not exist, or its id belongs to another process now")]
    NoSuchProcess {
        /// The process id.
        tgid: u32,
    },

    /// The ring was requested but is not available, or the kernel rejected a change to it.
    #[error("the ring cannot be used: {reason}{}", indented(log))]
    RingUnavailable {
        /// The reason.
        reason: NoRing,
        /// The log of the kernel's verifier, if it rejected the program; otherwise empty.
        log: String,
    },

    /// The kernel has the connector, but did not acknowledge the request to listen.
    #[error(
        "the kernel did not acknowledge the request to listen, and /proc does not show why: \
         run `proc-connector doctor` to check this machine"
    )]
    NotAcknowledged,

    /// This system does not run Linux.
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
    reason = "used by the program and by diagnoses"
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

/// Formats a log as indented lines that follow a message.
fn indented(log: &str) -> String {
    log.lines().flat_map(|line| ["\n    ", line]).collect()
}

/// A kind of namespace that determines whether a process receives events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Namespace {
    /// The network namespace: only the initial one has the connector.
    Network,
    /// The pid namespace: requests from other namespaces than the initial one are ignored.
    Pid,
    /// The user namespace: requests from other namespaces than the initial one are ignored.
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

/// Maps parse errors to the two variants of 0.1.5.
impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::UnexpectedConnector { .. } => Self::UnexpectedConnector,
            _ => Self::Truncated,
        }
    }
}
