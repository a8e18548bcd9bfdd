//! Opening a connector the way one wants it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use proc_connector_core::Filter;
use proc_connector_core::cn_msg::CN_IDX_PROC;

use crate::error::{Error, Result};
use crate::live::connector::ProcConnector;
use crate::live::handshake;
use crate::live::host::kernel::goes_deaf;
use crate::live::transport::{
    ContextPlan, Intake, Notice, QUEUED_EVENT, Readiness, RingError, RingQueue, Selection,
    event_room,
};
use crate::sys::{EventFd, NetlinkSocket};
use crate::transport_kind::{NoRing, Transport};

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
    transport: Transport,
    receive_buffer: Option<Room>,
    coalesce: Option<Duration>,
    socket_coalesce: Option<Duration>,
    nonblocking: bool,
    context: bool,
    argument_bytes: Option<usize>,
}

/// How large a buffer is.
#[derive(Clone, Copy, Debug)]
enum Room {
    Bytes(usize),
    Events(usize),
}

impl Room {
    /// In bytes, where an event takes so many.
    fn bytes(self, event: usize) -> usize {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Events(events) => events.saturating_mul(event),
        }
    }
}

pub(crate) const RECEIVE_BUFFER: usize = 8 << 20;
const ARGUMENT_BYTES: usize = 256;
const COALESCE: Duration = Duration::from_millis(1);

impl Builder {
    /// The events wanted; all by default. The kernel evaluates it before an event takes room in
    /// the receive buffer.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// How events get here; [`Transport::Auto`] by default.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The buffer in bytes; 8 MiB by default, which is 95,000 events in a ring and 10,000 at a
    /// socket.
    ///
    /// A ring has the next power of two, and at least a page. A socket's buffer counts what the
    /// kernel accounts for, 832 for an event. With `CAP_NET_ADMIN` that is granted, without it is
    /// cut to twice `net.core.rmem_max`. [`Stats::receive_buffer`](crate::Stats::receive_buffer)
    /// says what it became.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(Room::Bytes(bytes));
        self
    }

    /// The buffer as the number of events it holds, at least; of such without arguments, if those
    /// are noted. [`Stats::receive_buffer_events`](crate::Stats::receive_buffer_events) says how
    /// many the kernel granted.
    pub fn receive_buffer_events(mut self, events: usize) -> Self {
        self.receive_buffer = Some(Room::Events(events));
        self
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

    /// Replaces [`coalesce`](Self::coalesce) for a connector that receives over the socket, such as the
    /// one that [`Transport::Auto`] falls back to.
    ///
    /// Only the ring records a [`context`](Self::context). Over the socket, a program that needs the
    /// arguments of short-lived processes must read `/proc` before they end.
    pub fn socket_coalesce(mut self, time: Duration) -> Self {
        self.socket_coalesce = Some(time);
        self
    }

    /// Has the kernel note who made each event, and with which arguments an exec was, when it
    /// happens; [`Event::context`](crate::Event::context) tells it.
    ///
    /// `/proc` may have forgotten a process by the time its event is read; this has not. It takes
    /// the ring, and its records are longer: they are `None` where events come through the socket.
    pub fn context(mut self, context: bool) -> Self {
        self.context = context;
        self
    }

    /// How many bytes of a program's arguments to note, of [`context`](Self::context); 256 by
    /// default, up to 16 KiB. Each exec takes that much room of the buffer.
    pub fn argument_bytes(mut self, bytes: usize) -> Self {
        self.argument_bytes = Some(bytes);
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
    /// [`Error::ConnectorUnavailable`], [`Error::NotAcknowledged`],
    /// [`Error::RingUnavailable`] where that was asked for, and [`Error::Os`] for what the system
    /// says beyond those.
    pub fn open(&self) -> Result<ProcConnector> {
        let connector = match self.transport {
            Transport::Socket => self.open_socket(NoRing::NotWanted),
            Transport::Ring => self.open_ring(),
            Transport::Auto => match self.open_ring() {
                Err(Error::RingUnavailable { reason, .. }) => self.open_socket(reason),
                result => result,
            },
        }?;
        if self.nonblocking {
            connector.set_nonblocking()?;
        }
        Ok(connector)
    }

    /// Opens a connector for [`ProcConnector::new`].
    pub(crate) fn open_compatible(&self) -> Result<ProcConnector> {
        self.open_socket(NoRing::Compatibility)
    }

    fn open_socket(&self, no_ring: NoRing) -> Result<ProcConnector> {
        // First, so that nothing can fail between the kernel's yes and a connector that takes it
        // back when it is dropped.
        let shutdown = EventFd::new()?;
        let socket = NetlinkSocket::new().map_err(no_socket)?;
        let bytes = self.receive_buffer.map_or(RECEIVE_BUFFER, |room| room.bytes(QUEUED_EVENT));
        socket.set_receive_buffer(bytes)?;
        let granted = socket.receive_buffer()?;
        // Before the socket is bound, so that nothing unwanted is ever queued.
        let selection = Selection::new(&self.filter, &socket)?;
        let notice = Notice::new()?;
        let witness = handshake::witness()?;
        for socket in [&witness, &socket] {
            socket.bind(CN_IDX_PROC).map_err(not_bound)?;
        }
        let requests = handshake::listen(&socket, &witness)?;
        let overrun = handshake::skip_acks(&socket)?;
        let intake =
            Intake::socket(socket, selection, self.socket_pause(), notice, granted, overrun);
        Ok(ProcConnector::new_with(intake, Some(no_ring), shutdown, requests))
    }

    fn open_ring(&self) -> Result<ProcConnector> {
        if goes_deaf() {
            return Err(RingError::new(NoRing::GoesDeaf).into());
        }
        let shutdown = EventFd::new()?;
        let socket = NetlinkSocket::new().map_err(no_socket)?;
        let args_len = self.argument_bytes.unwrap_or(ARGUMENT_BYTES);
        let context = self.context.then(|| ContextPlan::new(args_len));
        let event = event_room(context.as_ref());
        let bytes = self.receive_buffer.map_or(RECEIVE_BUFFER, |room| room.bytes(event));
        let notice = Notice::new()?;
        let readiness = Readiness::socket_and_notice(socket.as_fd(), &notice)?;
        let mut ring = RingQueue::new(socket.as_fd(), bytes, context, Arc::clone(&notice))?;
        ring.attach(&self.filter)?;
        ring.set_asking(true);
        socket.bind(CN_IDX_PROC).map_err(not_bound)?;
        let requests = handshake::listen(&socket, &socket).map_err(|error| match error {
            // It may have come in a shape that the program does not know.
            Error::NotAcknowledged if ring.refused() > 0 => {
                RingError::new(NoRing::Unanswered).into()
            }
            error => error,
        })?;
        ring.set_asking(false);
        ring.start();
        let selection = Selection::filtered(&self.filter);
        let intake = Intake::ring(socket, selection, self.pause(), (notice, readiness), ring);
        Ok(ProcConnector::new_with(intake, None, shutdown, requests))
    }

    fn pause(&self) -> Duration {
        self.coalesce.unwrap_or(COALESCE)
    }

    fn socket_pause(&self) -> Duration {
        self.socket_coalesce.unwrap_or_else(|| self.pause())
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
