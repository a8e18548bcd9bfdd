//! What a receive brings: events and losses, in the order of the stream.

use std::fmt;

use proc_connector_core::{Control, Event, Notification, ParseError};

use crate::stats::Counters;
use crate::transport::{Item, Items, Selection};

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
        }
    }
}

impl Lost {
    /// One event.
    pub(crate) fn one(cause: LossCause) -> Self {
        Self { count: Some(1), cause }
    }
}

/// What one receive brought, to be iterated over.
///
/// Borrows from the connector's memory: nothing is copied or allocated for an event. What a loop
/// leaves behind stays for the next receive.
#[derive(Debug)]
pub struct Batch<'a> {
    items: Items<'a>,
    counters: &'a mut Counters,
    selection: &'a mut Selection,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(
        items: Items<'a>,
        selection: &'a mut Selection,
        counters: &'a mut Counters,
    ) -> Self {
        Self { items, counters, selection }
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
            let message = match self.items.next()? {
                Item::Message(message) => message,
                Item::Lost(lost) => return Some(self.lost(lost)),
                Item::Refused => {
                    *self.counters.refused.get_mut() += 1;
                    continue;
                }
            };
            match message {
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
