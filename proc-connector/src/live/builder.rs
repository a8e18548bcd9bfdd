//! Opening a connector with options.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::time::Duration;

use proc_connector_core::Filter;
use proc_connector_core::cn_msg::CN_IDX_PROC;

use crate::error::{Error, Namespace, Result};
use crate::live::connector::ProcConnector;
use crate::live::handshake;
use crate::live::host::kernel::{forgets_listeners, has_proc_events};
use crate::live::transport::{
    Intake, Limits, Notice, PollFd, QUEUED_EVENT, RingError, RingOptions, RingQueue, Selection,
    Wants,
};
use crate::sys::{EventFd, NetlinkSocket};
use crate::transport_kind::{NoRing, Transport};

/// Options for opening a [`ProcConnector`]. [`ProcConnector::builder`] creates it.
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
    receive_buffer: Option<BufferSize>,
    coalesce: Option<Duration>,
    socket_coalesce: Option<Duration>,
    nonblocking: bool,
    context: bool,
    argument_bytes: Option<usize>,
    working_directory: bool,
    environment: Vec<Vec<u8>>,
    limits: Limits,
}

// The defaults.
pub(super) const RECEIVE_BUFFER: usize = 8 << 20;
const ARGUMENT_BYTES: usize = 32 << 10;

/// The limits of [`Builder::environment`].
const MAX_VARIABLES: usize = 16;
const MAX_NAME: usize = 64;
const TOO_MANY_VARIABLES: &str =
    "at most 16 environment variables can be recorded, with names of at most 64 bytes";
const COALESCE: Duration = Duration::from_millis(1);

impl Builder {
    /// Sets the filter. By default all events are received.
    ///
    /// The kernel evaluates the filter, so events that do not pass it take no space in the buffer.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets the transport. The default is [`Transport::Auto`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets the size of the buffer in bytes. The default is 8 MiB, which holds 80,000 events in a
    /// ring and 10,000 at a socket.
    ///
    /// A ring's size is rounded up to a power of two and to at least one page. A socket's size is
    /// accounted memory, and the kernel charges 832 bytes for an event. Without `CAP_NET_ADMIN`, it
    /// is limited to twice `net.core.rmem_max`.
    /// [`Stats::receive_buffer`](crate::Stats::receive_buffer) reports the size granted.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(BufferSize::Bytes(bytes));
        self
    }

    /// Sets the size of the buffer as the number of events that it must hold, not counting their
    /// arguments.
    ///
    /// [`Stats::receive_buffer_events`](crate::Stats::receive_buffer_events) reports the number
    /// granted.
    pub fn receive_buffer_events(mut self, events: usize) -> Self {
        self.receive_buffer = Some(BufferSize::Events(events));
        self
    }

    /// Sets how long [`recv_batch`](ProcConnector::recv_batch) sleeps between two batches while
    /// events keep arriving. The default is 1 ms.
    ///
    /// A longer time makes the listener cheaper for the machine and delivers events later. The
    /// first event after a quiet time is always delivered immediately, and a sleep ends early when
    /// the buffer fills up. With [`Duration::ZERO`] the receiver never sleeps, and waits for the
    /// kernel's wake-up after each batch.
    pub fn coalesce(mut self, time: Duration) -> Self {
        self.coalesce = Some(time);
        self
    }

    /// Sets another time than [`coalesce`](Self::coalesce) for the socket transport, also if
    /// [`Transport::Auto`] falls back to it.
    ///
    /// Over the socket, events have no [`context`](Self::context). A program that reads the
    /// arguments of short-lived processes from `/proc` instead needs a shorter time.
    pub fn socket_coalesce(mut self, time: Duration) -> Self {
        self.socket_coalesce = Some(time);
        self
    }

    /// Sets whether the kernel records the [context](crate::Context) of each event: the acting task,
    /// what a process used until its exit, and the program and the arguments of an exec. The default
    /// is false.
    ///
    /// The kernel makes the record when the event happens. By the time an event is read, `/proc`
    /// may no longer show the process. The context requires the ring transport, and makes its
    /// records longer: an event takes 200 bytes instead of 104, an exit up to 360, and an exec 300
    /// more than its arguments. Without the context, the ring still records the identity of the
    /// acting process, and whether a process is over. Over the socket, [`Event::context`] is always
    /// `None`.
    ///
    /// [`Event::context`]: crate::Event::context
    pub fn context(mut self, context: bool) -> Self {
        self.context = context;
        self
    }

    /// Sets how many bytes of an exec's arguments [`context`](Self::context) records. The default
    /// and the maximum are 32 KiB. Shorter arguments take only their own length in the buffer, and
    /// longer ones are [marked](crate::Args::is_cut).
    pub fn argument_bytes(mut self, bytes: usize) -> Self {
        self.argument_bytes = Some(bytes);
        self
    }

    /// Sets whether [`context`](Self::context) includes the working directory of an exec. The
    /// default is false.
    pub fn working_directory(mut self, working_directory: bool) -> Self {
        self.working_directory = working_directory;
        self
    }

    /// Sets the names of the environment variables of an exec that [`context`](Self::context)
    /// includes. The default is none.
    ///
    /// The kernel's program searches the first 256 variables of a process. A variable of more than
    /// 4,095 bytes is left out. Each name makes the program longer, so [`open`](Self::open) accepts
    /// at most 16 names, of up to 64 bytes each.
    pub fn environment<N: AsRef<[u8]>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| name.as_ref().to_vec());
        self.environment = names.collect();
        self
    }

    /// Sets how many processes a filter that selects
    /// [descendants](proc_connector_core::Filter::descendants_of) can follow at a time. The default is
    /// 32,768, which takes about 2 MiB of the kernel's memory.
    ///
    /// Processes that exceed it are reported in the stream, as [`LossCause::Unfollowed`].
    ///
    /// [`LossCause::Unfollowed`]: crate::LossCause::Unfollowed
    pub fn followed_processes(mut self, processes: NonZeroU32) -> Self {
        self.limits.followed = processes.get();
        self
    }

    /// Sets how many events of one cgroup are received in a second, to keep a busy cgroup from filling
    /// the buffer. By default there is no limit.
    ///
    /// A second is 2^30 ns here. Of the events that pass the filter, those that exceed the limit are
    /// lost. They are reported in the stream as [`LossCause::ShareExceeded`], and counted for each
    /// cgroup by [`share_losses`](ProcConnector::share_losses). This requires the ring transport:
    /// over the socket there is no limit.
    ///
    /// [`LossCause::ShareExceeded`]: crate::LossCause::ShareExceeded
    pub fn share(mut self, events_per_second: NonZeroU32) -> Self {
        self.limits.share = Some(events_per_second);
        self
    }

    /// Sets whether receives fail with [`Error::WouldBlock`] instead of waiting. The default is
    /// false.
    pub fn nonblocking(mut self, nonblocking: bool) -> Self {
        self.nonblocking = nonblocking;
        self
    }

    /// Opens a connector, and returns when the kernel has acknowledged that it sends events to it.
    ///
    /// # Errors
    ///
    /// Messages include the remedy where one exists.
    ///
    /// - [`Error::PermissionDenied`] without the required capability.
    /// - [`Error::NotInitialNamespace`] in a namespace to which the kernel sends no events.
    /// - [`Error::ConnectorUnavailable`] if the kernel lacks process events.
    /// - [`Error::NotAcknowledged`] if the kernel does not answer for another reason.
    /// - [`Error::FilterRefused`] if the kernel does not accept the filter.
    /// - [`Error::RingUnavailable`] if [`Transport::Ring`] was chosen and does not work.
    /// - [`Error::Os`] for any other error of the system.
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

    /// Opens a connector over the socket, because of `no_ring`.
    pub(super) fn open_socket(&self, no_ring: NoRing) -> Result<ProcConnector> {
        // Created before the subscription, because dropping the connector ends it: nothing may fail
        // between the two.
        let shutdown = EventFd::new()?;
        let socket = NetlinkSocket::new().map_err(socket_error)?;
        let bytes = self.buffer_bytes(QUEUED_EVENT);
        socket.set_receive_buffer(bytes)?;
        let granted = socket.receive_buffer()?;
        // The filter precedes `bind`, so that only events that pass it are ever queued.
        let mut selection = Selection::new(&self.filter, &socket)?;
        let notice = Notice::new()?;
        let ack_socket = handshake::ack_socket()?;
        for socket in [&ack_socket, &socket] {
            socket.bind(CN_IDX_PROC).map_err(bind_error)?;
        }
        let listens = handshake::listen(&socket, &ack_socket)?;
        let overrun = handshake::skip_acks(&socket)
            .and_then(|overrun| selection.seed().map(|()| overrun))
            .inspect_err(|_| handshake::ignore(&socket, listens))?;
        let intake = Intake::socket(
            socket,
            selection,
            self.socket_coalesce_time(),
            notice,
            granted,
            overrun,
        );
        Ok(ProcConnector::from_parts(intake, Some(no_ring), shutdown, listens))
    }

    fn open_ring(&self) -> Result<ProcConnector> {
        if forgets_listeners() {
            return Err(RingError::new(NoRing::GoesDeaf).into());
        }
        let shutdown = EventFd::new()?;
        let socket = NetlinkSocket::new().map_err(socket_error)?;
        let args_len = self.argument_bytes.unwrap_or(ARGUMENT_BYTES);
        let variables = self.environment.clone();
        if variables.len() > MAX_VARIABLES || variables.iter().any(|name| name.len() > MAX_NAME) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, TOO_MANY_VARIABLES).into());
        }
        let wants = Wants { args_len, cwd: self.working_directory, variables };
        let wants = self.context.then_some(&wants);
        let notice = Notice::new()?;
        let poll_fd = PollFd::socket_and_notice(socket.as_fd(), &notice)?;
        let bytes = |per_event| self.buffer_bytes(per_event);
        let options = RingOptions { filter: &self.filter, wants, limits: self.limits };
        let mut ring = RingQueue::open(socket.as_fd(), &options, bytes, &notice)?;
        ring.set_awaiting_ack(true);
        socket.bind(CN_IDX_PROC).map_err(bind_error)?;
        let listens = handshake::listen(&socket, &socket).map_err(|error| match error {
            // The program may have refused the acknowledgement because of an unknown format.
            Error::NotAcknowledged if ring.refused() > 0 => {
                RingError::new(NoRing::Unanswered).into()
            }
            error => error,
        })?;
        ring.set_awaiting_ack(false);
        ring.seed().inspect_err(|_| handshake::ignore(&socket, listens))?;
        ring.start();
        let selection = Selection::filtered_by_ring(&self.filter);
        let intake = Intake::ring(socket, selection, self.coalesce_time(), notice, poll_fd, ring);
        Ok(ProcConnector::from_parts(intake, None, shutdown, listens))
    }

    fn buffer_bytes(&self, bytes_per_event: usize) -> usize {
        self.receive_buffer.map_or(RECEIVE_BUFFER, |size| size.in_bytes(bytes_per_event))
    }

    fn coalesce_time(&self) -> Duration {
        self.coalesce.unwrap_or(COALESCE)
    }

    fn socket_coalesce_time(&self) -> Duration {
        self.socket_coalesce.unwrap_or_else(|| self.coalesce_time())
    }
}

/// The size of the buffer in either unit.
#[derive(Clone, Copy, Debug)]
enum BufferSize {
    Bytes(usize),
    Events(usize),
}

impl BufferSize {
    fn in_bytes(self, bytes_per_event: usize) -> usize {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Events(events) => events.saturating_mul(bytes_per_event),
        }
    }
}

fn socket_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        // The kernel lacks the family, or has no socket of it in this network namespace.
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => match has_proc_events() {
            Some(true) => Error::NotInitialNamespace { kind: Namespace::Network },
            _ => Error::ConnectorUnavailable,
        },
        Some(libc::EPERM | libc::EACCES) => Error::PermissionDenied,
        _ => error.into(),
    }
}

fn bind_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => handshake::bind_permission_error(),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Builder, Duration};

    #[test]
    fn the_socket_has_the_common_time_unless_it_has_its_own() {
        let [common, own] = [7, 0].map(Duration::from_millis);
        let builder = Builder::default().coalesce(common);
        assert_eq!(builder.socket_coalesce_time(), common);
        let builder = builder.socket_coalesce(own);
        assert_eq!((builder.coalesce_time(), builder.socket_coalesce_time()), (common, own));
    }
}
