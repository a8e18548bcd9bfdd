//! What a receive brings, read out of the transport's memory.

use proc_connector_core::{Control, Notification, Notifications};

use crate::stats::Counters;
pub(crate) use crate::stream::{LossCause, Lost, Received};
use crate::sys::{RecvBatch, Source};
use crate::transport::Selection;

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
