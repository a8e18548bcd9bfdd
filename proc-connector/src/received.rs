//! What a receive brings: events and losses, in the order of the stream.

use std::fmt;

use proc_connector_core::{Control, Event, Notification, Notifications, ParseError};

use crate::stats::Counters;
use crate::sys::{RecvBatch, Source};
use crate::transport::Selection;

/// One thing that came out of the stream.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Received<'a> {
    /// An event.
    Event(Event<'a>),
    /// Here, between the events before and after, others were lost.
    Lost(Lost),
}

/// Events that happened and could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// How many; `None` where the kernel does not say (before Linux 4.12).
    ///
    /// The kernel counts datagrams: the acknowledgement to another listener that was opened while
    /// the buffer was full, and datagrams that a process forged, are among them.
    pub count: Option<u64>,
    /// Why.
    pub cause: LossCause,
}

/// Why events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossCause {
    /// The receive buffer was full: read faster, filter, or use a larger buffer.
    Overrun,
    /// A datagram larger than any known event, of which only a part was received.
    Oversized,
    /// The kernel sent what could not be parsed.
    Malformed(ParseError),
    /// A capture file has the loss, and no cause of this list.
    Recorded,
}

/// `17: the receive buffer was full`, for messages.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            Some(count) => write!(f, "{count}: {}", self.cause),
            None => write!(f, "nobody knows how many: {}", self.cause),
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overrun => f.write_str("the receive buffer was full"),
            Self::Oversized => f.write_str("a datagram was larger than any known event"),
            Self::Malformed(error) => error.fmt(f),
            Self::Recorded => f.write_str("the capture does not say why"),
        }
    }
}

impl Lost {
    fn one(cause: LossCause) -> Self {
        Self { count: Some(1), cause }
    }
}

/// What one receive brought, to be iterated over.
///
/// Borrows from the connector's memory: nothing is copied or allocated for an event. What a loop
/// leaves behind stays for the next receive.
#[derive(Debug)]
pub struct Batch<'a> {
    datagrams: &'a RecvBatch,
    progress: &'a mut Progress,
    counters: &'a mut Counters,
    selection: &'a mut Selection,
    /// The datagram being read.
    current: Notifications<'a>,
}

/// How far the reading of a batch has come, and what follows it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The first datagram not read to its end, and how many bytes of it are.
    pub(crate) index: usize,
    pub(crate) offset: usize,
    /// A loss that happened after all of the batch.
    pub(crate) lost_after: Option<Lost>,
}

impl Progress {
    /// Whether a batch of `len` datagrams has nothing more to give.
    pub(crate) fn is_done(&self, len: usize) -> bool {
        self.index >= len && self.lost_after.is_none()
    }
}

/// What follows a datagram.
enum Advance {
    Next,
    Lost(Lost),
    End,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(
        datagrams: &'a RecvBatch,
        progress: &'a mut Progress,
        counters: &'a mut Counters,
        selection: &'a mut Selection,
    ) -> Self {
        let read = progress.offset;
        let mut batch =
            Self { datagrams, progress, counters, selection, current: Notifications::new(&[]) };
        batch.open(read);
        batch
    }

    /// Starts on the datagram that `progress` points to, `read` bytes into it.
    fn open(&mut self, read: usize) {
        let bytes = match self.datagrams.datagram(self.progress.index) {
            Some((Source::Kernel, bytes, len)) if len == bytes.len() => bytes,
            // Forged, cut short or not there: `next` says which.
            _ => &[],
        };
        self.progress.offset = read;
        self.current = Notifications::new(bytes.get(read..).unwrap_or_default());
    }

    /// Leaves the datagram just read for the next one, with what it has to tell beside events.
    fn advance(&mut self) -> Advance {
        let Some((source, bytes, len)) = self.datagrams.datagram(self.progress.index) else {
            return self.progress.lost_after.take().map_or(Advance::End, Advance::Lost);
        };
        self.progress.index += 1;
        self.open(0);
        match source {
            Source::Kernel if len > bytes.len() => Advance::Lost(Lost::one(LossCause::Oversized)),
            Source::Kernel => Advance::Next,
            Source::Process => {
                *self.counters.refused.get_mut() += 1;
                Advance::Next
            }
        }
    }

    fn lost(&mut self, lost: Lost) -> Received<'a> {
        *self.counters.lost.get_mut() += lost.count.unwrap_or_default();
        Received::Lost(lost)
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Received<'a>;

    #[inline]
    fn next(&mut self) -> Option<Received<'a>> {
        loop {
            let before = self.current.offset();
            let Some(notification) = self.current.next() else {
                match self.advance() {
                    Advance::Next => continue,
                    Advance::Lost(lost) => return Some(self.lost(lost)),
                    Advance::End => return None,
                }
            };
            self.progress.offset += self.current.offset() - before;
            match notification {
                Ok(Notification::Event(event)) => {
                    self.selection.observe(event.cpu(), event.seq());
                    if !self.selection.wants(&event) {
                        continue;
                    }
                    self.counters.received(event.what());
                    return Some(Received::Event(event));
                }
                // Of this listener or another: no event, but a number in the sequence.
                Ok(Notification::Ack(ack)) => self.selection.observe(ack.cpu, ack.seq),
                Ok(Notification::Control(Control::Overrun)) => {
                    return Some(self.lost(Lost { count: None, cause: LossCause::Overrun }));
                }
                Ok(_) => {}
                Err(error) => {
                    return Some(self.lost(Lost::one(LossCause::Malformed(error))));
                }
            }
        }
    }
}
