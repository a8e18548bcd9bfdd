//! A received batch, read directly from the transport's memory.

use proc_connector_core::{Control, Notification};

use crate::live::transport::{Item, Items, Selection};
use crate::stats::Counters;
use crate::stream::{LossCause, Lost, Received};

/// An iterator over the events and losses of one receive, in the order of the stream.
///
/// [`ProcConnector::recv_batch`](crate::ProcConnector::recv_batch) returns it. The batch borrows
/// the connector's memory, and no event is copied to the heap. Over the ring, an event is read
/// where the kernel wrote it. Over the socket, one system call receives the whole batch; if the
/// program has obtained the connector's descriptor (`as_fd`), each event is received when the
/// iterator reaches it instead.
///
/// Items that are not read stay for the next receive.
///
/// ```no_run
/// use proc_connector::{ProcConnector, ProcEvent, Received};
///
/// let mut events = ProcConnector::builder().open()?;
/// for received in events.recv_batch()? {
///     match received {
///         Received::Event(event) => println!("{}", ProcEvent::from(event)),
///         Received::Lost(lost) => eprintln!("lost {lost}"),
///     }
/// }
/// # Ok::<(), proc_connector::Error>(())
/// ```
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

    #[cold]
    fn lost(&mut self, lost: Lost) -> Received<'a> {
        let sum = self.counters.lost.get_mut();
        *sum = sum.saturating_add(lost.count.unwrap_or_default());
        self.selection.note_loss();
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
                    self.selection.observe_sequence(event.cpu(), event.seq());
                    if !self.selection.wants(&event) {
                        continue;
                    }
                    self.counters.received(event.what());
                    return Some(Received::Event(event));
                }
                // An acknowledgement to any listener uses a sequence number.
                Ok(Notification::Ack(ack)) => self.selection.observe_sequence(ack.cpu, ack.seq),
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
