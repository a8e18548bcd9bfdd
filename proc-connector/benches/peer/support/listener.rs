//! The listeners of the benches: this crate over its transports, and the released 0.3.0.

use std::time::Duration;

use proc_connector::{Event, Payload, ProcConnector, Received, Transport};
use proc_connector_peer::{ProcConnector as Peer, ProcEvent as PeerEvent};

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Absent,
    Batches { transport: Transport, coalesce: Duration, context: bool },
    Peer,
}

const fn batches(transport: Transport, millis: u64) -> Listener {
    Listener::Batches { transport, coalesce: Duration::from_millis(millis), context: false }
}

pub(crate) const SOCKET: Listener = batches(Transport::Socket, 1);
pub(crate) const RING: Listener = batches(Transport::Ring, 1);
pub(crate) const RING_5_MS: Listener = batches(Transport::Ring, 5);
pub(crate) const RING_WITH_CONTEXT: Listener = Listener::Batches {
    transport: Transport::Ring,
    coalesce: Duration::from_millis(1),
    context: true,
};

impl Listener {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Absent => "no listener",
            Self::Peer => "0.3.0",
            Self::Batches { context: true, .. } => "ring with context",
            Self::Batches { transport: Transport::Ring, coalesce, .. }
                if coalesce > MILLISECOND =>
            {
                "ring, coalesce 5 ms"
            }
            Self::Batches { transport: Transport::Ring, .. } => "ring",
            Self::Batches { .. } => "socket",
        }
    }

    /// Opens the listener, with a buffer for this number of events or of the default size. `None`
    /// if it is absent.
    pub(crate) fn open(self, events: Option<usize>) -> Option<Open> {
        match self {
            Self::Absent => None,
            Self::Peer => Some(Open::Peer(Peer::new().expect("0.3.0 opens"), Box::new([0; 4096]))),
            Self::Batches { transport, coalesce, context } => {
                let mut builder = ProcConnector::builder().transport(transport).context(context);
                builder = builder.coalesce(coalesce);
                if let Some(events) = events {
                    builder = builder.receive_buffer_events(events);
                }
                Some(Open::Batches(Box::new(builder.open().expect("a live connector"))))
            }
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// An open listener.
pub(crate) enum Open {
    Batches(Box<ProcConnector>),
    Peer(Peer, Box<[u8; 4096]>),
}

/// The result of a receive.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) events: u64,
    /// The sum of all fields, so that every field is read.
    pub(crate) sum: u64,
    /// The number of lost events, if reported; 0.3.0 does not report it.
    pub(crate) lost: u64,
}

impl Open {
    /// Receives once: a batch, or an event. Returns zero events after a timeout; without one it
    /// waits indefinitely.
    pub(crate) fn receive(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(Seen),
    ) -> Taken {
        let mut taken = Taken::default();
        match self {
            Self::Batches(connector) => {
                let batch = match timeout {
                    Some(timeout) => connector.recv_batch_timeout(timeout),
                    None => connector.recv_batch(),
                };
                for received in batch.expect("a batch") {
                    match received {
                        Received::Event(event) => {
                            taken.events += 1;
                            taken.sum += sum(&event);
                            each(Seen::from_event(&event));
                        }
                        Received::Lost(lost) => taken.lost += lost.count.unwrap_or_default(),
                    }
                }
            }
            Self::Peer(connector, buffer) => {
                // The only expected error is an overrun.
                let received = match timeout {
                    Some(timeout) => connector.recv_timeout(&mut buffer[..], timeout),
                    None => connector.recv(&mut buffer[..]).map(Some),
                };
                if let Ok(Some(event)) = received {
                    taken.events += 1;
                    each(Seen::from_peer(&event));
                }
            }
        }
        taken
    }
}

/// The process and the time stamp of a fork; zeros for other events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) fork_in: u32,
    pub(crate) timestamp_ns: u64,
}

impl Seen {
    fn from_event(event: &Event<'_>) -> Self {
        match event.payload() {
            Payload::Fork(fork) => {
                Self { fork_in: fork.child_tgid(), timestamp_ns: event.timestamp_ns() }
            }
            _ => Self::default(),
        }
    }

    fn from_peer(event: &PeerEvent) -> Self {
        match *event {
            PeerEvent::Fork { child_tgid, timestamp_ns, .. } => {
                Self { fork_in: child_tgid, timestamp_ns }
            }
            _ => Self::default(),
        }
    }
}

/// The sum of all fields of an event, and of the identities if there are any.
fn sum(event: &Event<'_>) -> u64 {
    let ids = match event.payload() {
        Payload::Fork(e) => e.parent_pid() ^ e.parent_tgid() ^ e.child_pid() ^ e.child_tgid(),
        Payload::Exit(e) => e.process_pid() ^ e.process_tgid() ^ e.exit_code() ^ e.exit_signal(),
        _ => 0,
    };
    let fields = u64::from(event.cpu()) + u64::from(event.seq()) + u64::from(ids);
    event.timestamp_ns() + fields + identity(event).unwrap_or_default()
}

fn identity(event: &Event<'_>) -> Option<u64> {
    let context = event.context()?;
    let ids = context.tgid()? ^ context.parent_tgid()?;
    let over = u64::from(context.is_over().unwrap_or_default());
    Some(context.start_boottime_ns()? + context.parent_start_boottime_ns()? + u64::from(ids) + over)
}
