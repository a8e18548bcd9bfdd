//! What a receive brings, read out of the transport's memory.

use proc_connector_core::{Control, Notification};

use crate::live::transport::{Item, Items, Selection};
use crate::stats::Counters;
use crate::stream::{LossCause, Lost, Received};

/// What one receive brought, to be iterated over.
///
/// Borrows from the connector's memory: nothing is allocated for an event. Over the ring an event is
/// read where the kernel put it. Over the socket a batch is received at once or, if the program has
/// asked for the descriptor, each event when the iterator reaches it. What a loop leaves behind stays
/// for the next receive.
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
        let sum = self.counters.lost.get_mut();
        *sum = sum.saturating_add(lost.count.unwrap_or_default());
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
                    return Some(self.lost(Lost::single(LossCause::Malformed(error))));
                }
            }
        }
    }
}
