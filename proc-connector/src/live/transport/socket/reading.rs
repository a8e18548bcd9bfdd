//! The reader's progress in a socket's queue, and receiving a single datagram from it.

use std::io;
use std::ops::Range;

use super::congestion::{Congestion, LossMeter};
use crate::stream::{LossCause, Lost};
use crate::sys::{Datagram, NetlinkSocket, RecvMode, SLOT_LEN, Sender};

/// The most bytes kept of a datagram.
pub(super) const MAX_LEN: usize = SLOT_LEN;

/// The reader's progress in the queue.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) losses: LossMeter,
    /// Set while the kernel drops events: from an overrun until the queue is empty.
    pub(super) congestion: Option<Congestion>,
    /// A loss that happened after everything received so far.
    pub(super) pending_loss: Option<Lost>,
    /// A datagram in the buffer that has not been read to its end.
    pub(super) partial: Option<PartialDatagram>,
    /// The index of the next datagram of the `recvmmsg` batch.
    pub(super) next: usize,
    /// How many bytes of that datagram were read.
    pub(super) next_offset: usize,
    /// How many more datagrams the batch may receive singly.
    pub(super) singles_left: usize,
    pub(super) queue: QueueState,
    /// Why a batch ended early. The next receive reports it.
    pub(super) deferred_error: Option<io::Error>,
    /// Whether the caller polls the socket. Unread datagrams must then stay in the socket's queue.
    pub(super) polled: bool,
    /// Whether the last datagram was peeked at, and is still in the queue.
    pub(super) peeked: bool,
}

/// The state of the queue after the last receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueState {
    MayHaveMore,
    /// The last receive took all datagrams.
    Emptied,
    /// The last receive found nothing, so the next one follows a wait.
    FoundEmpty,
}

/// A datagram in the buffer with unread messages.
#[derive(Debug)]
pub(super) struct PartialDatagram {
    /// The range of its unread bytes in the buffer.
    pub(super) unread: Range<usize>,
    pub(super) sender: Sender,
    pub(super) is_oversized: bool,
}

impl PartialDatagram {
    /// A datagram received into the buffer at `start`.
    pub(super) fn new(datagram: Datagram, start: usize) -> Self {
        let Datagram { len, sender } = datagram;
        let unread = start..start + len.min(MAX_LEN);
        Self { unread, sender, is_oversized: len > MAX_LEN }
    }
}

impl Reading {
    /// The state before the first receive. `overrun` is whether the socket has already dropped
    /// events.
    pub(super) fn new(overrun: bool) -> Self {
        Self {
            losses: LossMeter::default(),
            congestion: overrun.then(Congestion::default),
            pending_loss: None,
            partial: None,
            next: 0,
            next_offset: 0,
            singles_left: 0,
            queue: QueueState::Emptied,
            deferred_error: None,
            polled: false,
            peeked: false,
        }
    }

    /// Receives a datagram into `slot`. `None` if the queue is empty or a loss precedes the next
    /// datagram.
    pub(super) fn receive(
        &mut self,
        socket: &NetlinkSocket,
        slot: &mut [u8],
        mode: RecvMode,
    ) -> io::Result<Option<Datagram>> {
        loop {
            // If the caller polls, a datagram that may precede a loss is only peeked at, and taken
            // by the next receive. Until then it keeps the socket readable, so that the caller
            // returns for the loss.
            let peeks = self.polled && self.congestion.is_some() && !self.peeked;
            let mode = if peeks { RecvMode::Peek } else { mode };
            match socket.recv(slot, mode) {
                Ok(datagram) => {
                    self.queue = QueueState::MayHaveMore;
                    if !peeks
                        && self
                            .congestion
                            .as_mut()
                            .is_some_and(|congestion| congestion.is_over(socket))
                    {
                        self.settle_loss(socket);
                    }
                    let was_read = std::mem::replace(&mut self.peeked, peeks);
                    if !was_read {
                        return Ok(Some(datagram));
                    }
                    if self.pending_loss.is_some() {
                        return Ok(None);
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.congestion.get_or_insert_default();
                    if mode == RecvMode::Blocking {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.queue = QueueState::FoundEmpty;
                    if self.congestion.is_some() {
                        self.settle_loss(socket);
                    }
                    return Ok(None);
                }
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted && mode != RecvMode::Blocking => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the congestion, and places its loss after everything received so far.
    pub(super) fn settle_loss(&mut self, socket: &NetlinkSocket) {
        self.congestion = None;
        let count = self.losses.take(socket);
        if count != Some(0) {
            self.pending_loss = Some(Lost { count, cause: LossCause::Overrun });
        }
    }
}
