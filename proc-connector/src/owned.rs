//! Owned forms of events and of the items of a stream.

use std::fmt;

use proc_connector_core::cn_msg::CnMsgHdr;
use proc_connector_core::context::layout::IdentityHdr;
use proc_connector_core::proc_event::{EVENT_DATA_LEN, ProcEventHdr};
use proc_connector_core::{Context, Event, EventMask, Payload, ProcessIds};

use crate::event::ProcEvent;
use crate::stream::{Lost, Received};

/// An owned event with everything that [`Event`] has, its context included.
///
/// It is `Send`, `Sync` and `'static`, so it can be stored, sent through a channel and used on
/// another thread. [`as_event`](Self::as_event) returns the borrowed view. [`ProcEvent`] is smaller
/// and lacks the CPU, the sequence number, the parents of exits and the context.
///
/// A copy of an event allocates memory only if its context has more than the identity, or the union is
/// larger than that of any known kind.
///
/// ```
/// use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
/// use proc_connector::{OwnedEvent, Payload};
///
/// # let data = EventData::Exit {
/// #     process_pid: 7,
/// #     process_tgid: 7,
/// #     exit_code: 3 << 8,
/// #     exit_signal: 17,
/// #     parent_pid: 1,
/// #     parent_tgid: 1,
/// # };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 5, data }.encode_native(&mut datagram)?;
/// // What the kernel sends when process 7 exits with status 3.
/// let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
///     panic!("the datagram has an event");
/// };
/// let (sender, receiver) = std::sync::mpsc::channel();
/// sender.send(OwnedEvent::from(event))?;
///
/// std::thread::spawn(move || {
///     let event = receiver.recv().expect("the sender is alive");
///     let Payload::Exit(exit) = event.payload() else { panic!("{event:?}") };
///     assert_eq!((event.cpu(), event.seq(), exit.parent_tgid()), (1, 41, Some(1)));
/// })
/// .join()
/// .expect("the thread ends without a panic");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OwnedEvent {
    cn_msg: CnMsgHdr,
    header: ProcEventHdr,
    tail: Tail,
}

impl OwnedEvent {
    /// The borrowed event.
    #[inline]
    pub fn as_event(&self) -> Event<'_> {
        let (data, context) = self.tail.parts();
        Event::from_parts(&self.cn_msg, &self.header, data).with_context(context)
    }

    /// The kind, as [`Event::what`].
    #[inline]
    pub fn what(&self) -> u32 {
        self.as_event().what()
    }

    /// The kind as a mask of one bit, as [`Event::mask`].
    #[inline]
    pub fn mask(&self) -> EventMask {
        self.as_event().mask()
    }

    /// The CPU that sent the event, as [`Event::cpu`].
    #[inline]
    pub fn cpu(&self) -> u32 {
        self.as_event().cpu()
    }

    /// The sequence number among the events of its CPU, as [`Event::seq`].
    #[inline]
    pub fn seq(&self) -> u32 {
        self.as_event().seq()
    }

    /// The time of the event in nanoseconds of `CLOCK_MONOTONIC`, as [`Event::timestamp_ns`].
    #[inline]
    pub fn timestamp_ns(&self) -> u64 {
        self.as_event().timestamp_ns()
    }

    /// The bytes of the union `event_data`, as [`Event::data`].
    #[inline]
    pub fn data(&self) -> &[u8] {
        self.as_event().data()
    }

    /// What the event reports, as [`Event::payload`].
    #[inline]
    pub fn payload(&self) -> Payload<'_> {
        self.as_event().payload()
    }

    /// The process and the thread that the event is about, as [`Event::process`].
    #[inline]
    pub fn process(&self) -> Option<ProcessIds> {
        self.as_event().process()
    }

    /// The task that caused the event, as [`Event::context`].
    #[inline]
    pub fn context(&self) -> Option<Context<'_>> {
        self.as_event().context()
    }
}

/// Copies an event out of its buffer.
impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        let context = event.context().map_or(&[][..], |context| context.bytes());
        Self {
            cn_msg: *event.cn_msg(),
            header: *event.header(),
            tail: Tail::new(event.data(), context),
        }
    }
}

impl From<&OwnedEvent> for ProcEvent {
    fn from(event: &OwnedEvent) -> Self {
        event.as_event().into()
    }
}

impl From<OwnedEvent> for ProcEvent {
    fn from(event: OwnedEvent) -> Self {
        Self::from(&event)
    }
}

/// Two events are equal if their header fields, and the bytes of their unions and contexts, are
/// equal.
impl PartialEq for OwnedEvent {
    fn eq(&self, other: &Self) -> bool {
        let headers = |event: &Self| (event.what(), event.cpu(), event.seq(), event.timestamp_ns());
        headers(self) == headers(other) && self.tail.parts() == other.tail.parts()
    }
}

impl Eq for OwnedEvent {}

impl fmt::Debug for OwnedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedEvent")
            .field("seq", &self.seq())
            .field("cpu", &self.cpu())
            .field("timestamp_ns", &self.timestamp_ns())
            .field("payload", &self.payload())
            .field("context", &self.context())
            .finish()
    }
}

/// Serializes the same map as [`Event`].
#[cfg(feature = "serde")]
impl serde::Serialize for OwnedEvent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_event().serialize(serializer)
    }
}

/// An owned item of a stream: an event or a loss, as in [`Received`].
///
/// It can be sent through a channel, and the asynchronous streams yield it.
///
/// ```
/// use proc_connector::{OwnedReceived, ProcEvent, Received};
/// use std::sync::mpsc::Sender;
///
/// /// Sends everything that is received to another thread, losses included.
/// fn forward<'a>(batch: impl Iterator<Item = Received<'a>>, sender: &Sender<OwnedReceived>) {
///     for received in batch {
///         // The send fails once the other thread has ended.
///         let _ = sender.send(received.into());
///     }
/// }
///
/// fn show(received: &OwnedReceived) {
///     match received {
///         OwnedReceived::Event(event) => println!("{}", ProcEvent::from(event)),
///         OwnedReceived::Lost(lost) => println!("lost {lost}"),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
#[allow(clippy::exhaustive_enums)]
pub enum OwnedReceived {
    /// An event.
    Event(OwnedEvent),
    /// Events were lost between the previous and the next event.
    Lost(Lost),
}

impl OwnedReceived {
    /// The borrowed item.
    #[inline]
    pub fn as_received(&self) -> Received<'_> {
        match self {
            Self::Event(event) => Received::Event(event.as_event()),
            Self::Lost(lost) => Received::Lost(*lost),
        }
    }
}

/// Copies an event out of its buffer.
impl From<Received<'_>> for OwnedReceived {
    fn from(received: Received<'_>) -> Self {
        match received {
            Received::Event(event) => Self::Event(event.into()),
            Received::Lost(lost) => Self::Lost(lost),
        }
    }
}

/// The bytes of the union `event_data`, followed by those of the context.
#[derive(Clone)]
enum Tail {
    Inline { data_len: u8, len: u8, bytes: [u8; INLINE] },
    Heap { data_len: usize, bytes: Box<[u8]> },
}

/// The length of the union of known kinds and an identity.
const INLINE: usize = EVENT_DATA_LEN + size_of::<IdentityHdr>();

impl Tail {
    fn new(data: &[u8], context: &[u8]) -> Self {
        let len = data.len() + context.len();
        match (u8::try_from(data.len()), u8::try_from(len)) {
            (Ok(data_len), Ok(len)) if usize::from(len) <= INLINE => {
                let mut bytes = [0; INLINE];
                let (first, rest) = bytes.split_at_mut(data.len());
                first.copy_from_slice(data);
                rest[..context.len()].copy_from_slice(context);
                Self::Inline { data_len, len, bytes }
            }
            _ => Self::Heap { data_len: data.len(), bytes: [data, context].concat().into() },
        }
    }

    /// The union and the context.
    #[inline]
    fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Inline { data_len, len, bytes } => {
                bytes[..usize::from(*len)].split_at(usize::from(*data_len))
            }
            Self::Heap { data_len, bytes } => bytes.split_at(*data_len),
        }
    }
}
