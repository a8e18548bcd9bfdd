//! Opening a connector the way one wants it.

use std::io;
use std::time::Duration;

use proc_connector_core::Filter;
use proc_connector_core::cn_msg::CN_IDX_PROC;

use crate::connector::ProcConnector;
use crate::error::{Error, Result};
use crate::handshake;
use crate::sys::{EventFd, NetlinkSocket};
use crate::transport::{QUEUED_EVENT, Selection, SocketTransport};

/// Options for a [`ProcConnector`], from [`ProcConnector::builder`].
///
/// ```no_run
/// use proc_connector::{EventMask, Filter, ProcConnector};
/// use std::time::Duration;
///
/// let events = ProcConnector::builder()
///     .filter(Filter::new(EventMask::EXEC | EventMask::EXIT).processes_only())
///     .receive_buffer_events(100_000)
///     .coalesce(Duration::from_millis(5))
///     .open()?;
/// println!("{} bytes granted", events.stats().receive_buffer);
/// # Ok::<(), proc_connector::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens before `open`"]
pub struct Builder {
    filter: Filter,
    receive_buffer: Option<usize>,
    coalesce: Option<Duration>,
    nonblocking: bool,
}

pub(crate) const RECEIVE_BUFFER: usize = 8 << 20;
const COALESCE: Duration = Duration::from_millis(1);

impl Builder {
    /// The events wanted; all by default. The kernel evaluates it before an event takes room in
    /// the receive buffer.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// The receive buffer in bytes as the kernel accounts them, 832 for an event; 8 MiB by default.
    ///
    /// With `CAP_NET_ADMIN` it is granted, without it is cut to twice `net.core.rmem_max`;
    /// [`Stats::receive_buffer`](crate::Stats::receive_buffer) says what it became.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// The receive buffer as the number of events it holds.
    pub fn receive_buffer_events(self, events: usize) -> Self {
        self.receive_buffer(events.saturating_mul(QUEUED_EVENT))
    }

    /// How long [`recv_batch`](ProcConnector::recv_batch) sleeps between two batches while events
    /// keep coming; 1 ms by default.
    ///
    /// Longer sleeps make the listener cheaper for the machine and events later. The first event
    /// after a quiet time is delivered at once whatever this is, and a sleep ends early when the
    /// buffer fills. Zero waits for the kernel's wake-up each time.
    pub fn coalesce(mut self, time: Duration) -> Self {
        self.coalesce = Some(time);
        self
    }

    /// Makes receives fail with [`Error::WouldBlock`] instead of waiting.
    pub fn nonblocking(mut self, nonblocking: bool) -> Self {
        self.nonblocking = nonblocking;
        self
    }

    /// Opens a connector, and returns when the kernel has acknowledged that it sends events to it.
    ///
    /// # Errors
    ///
    /// Each says what to do: [`Error::PermissionDenied`], [`Error::NotInitialNamespace`],
    /// [`Error::ConnectorUnavailable`], [`Error::NotAcknowledged`], and [`Error::Os`] for what the
    /// system says beyond those.
    pub fn open(&self) -> Result<ProcConnector> {
        // First, so that nothing can fail between the kernel's yes and a connector that takes it
        // back when it is dropped.
        let shutdown = EventFd::new()?;
        let socket = NetlinkSocket::new().map_err(no_socket)?;
        socket.set_receive_buffer(self.receive_buffer.unwrap_or(RECEIVE_BUFFER))?;
        let granted = socket.receive_buffer()?;
        // Before the socket is bound, so that nothing unwanted is ever queued.
        let selection = Selection::new(&self.filter, &socket)?;
        socket.bind(CN_IDX_PROC).map_err(not_bound)?;
        let listening = handshake::listen(&socket)?;
        let transport = SocketTransport::new(
            socket,
            granted,
            selection,
            self.coalesce.unwrap_or(COALESCE),
            listening.overrun,
        );
        let connector =
            ProcConnector::from_parts(transport, shutdown, listening.early, listening.requests);
        if self.nonblocking {
            connector.set_nonblocking()?;
        }
        Ok(connector)
    }
}

fn no_socket(error: io::Error) -> Error {
    match error.raw_os_error() {
        // No kernel socket of this family in this network namespace, or in this kernel at all.
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => match handshake::has_proc_events() {
            Some(true) => Error::NotInitialNamespace { kind: crate::Namespace::Network },
            _ => Error::ConnectorUnavailable,
        },
        Some(libc::EPERM | libc::EACCES) => Error::PermissionDenied,
        _ => error.into(),
    }
}

fn not_bound(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => handshake::forbidden(),
        _ => error.into(),
    }
}
