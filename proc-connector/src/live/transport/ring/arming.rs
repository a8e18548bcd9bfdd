//! The reader's half of the wake-up protocol between a ring's reader and its program.
//!
//! Invariant: when [`arm`] returns true, the ring held nothing readable, and the next record or
//! loss makes the descriptor readable. A descriptor that has become readable stays so until the
//! next call of [`arm`], whatever is read meanwhile.
//!
//! So a thread that polls the descriptor does not miss an event although another thread's call of
//! [`arm`] consumed the wake-up: that call returns false and leaves the descriptor readable, or it
//! returns true because the event has already been read.
//!
//! The descriptor is an `epoll` over the socket, which the program makes readable, and the notice,
//! which the reader makes readable.
//!
//! ```text
//! reader (`arm`)                           program (`program.rs`)
//! 1  empty the socket's queue
//! 2  store armed = 1                       1  reserve a record: store producer_pos
//! 3  full barrier                          2  commit it: xchg, a full barrier
//! 4  load producer_pos                     3  load armed; end if it is 0
//! 5  unread:     store armed = 0,          4  store armed = 0,
//!                raise the notice             queue the datagram at the socket
//!    not unread: lower the notice
//! ```
//!
//! Each side stores, passes a full barrier and then loads the word that the other side stored. At
//! least one of them sees the other's store: the reader finds the record, or the program finds the
//! ring armed.
//!
//! Step 1 of the reader precedes step 4 because each datagram that step 1 removes belongs to a
//! record that step 4 then finds. In the other order a wake-up could be lost.

/// The operations of the reader's half, so that the model checker can run [`arm`] on a model.
pub(super) trait ArmingSteps {
    /// Empties the socket's queue.
    fn drain_socket(&mut self);

    /// Stores the word with which the reader requests a wake-up from the program.
    fn set_armed(&mut self, armed: bool);

    /// Orders that store before [`has_unread`](Self::has_unread)'s load of the producers' position.
    fn full_barrier(&self);

    /// Whether the ring holds a record or a loss that can be read now.
    fn has_unread(&self) -> bool;

    /// Raises or lowers the notice, which makes the descriptor readable independently of the
    /// socket.
    fn set_notice(&mut self, unread: bool);
}

/// Requests a wake-up at the next event. Returns false, and leaves the descriptor readable, if the
/// ring already holds something to read.
pub(super) fn arm(ring: &mut impl ArmingSteps) -> bool {
    ring.drain_socket();
    ring.set_armed(true);
    ring.full_barrier();
    let unread = ring.has_unread();
    if unread {
        ring.set_armed(false);
    }
    ring.set_notice(unread);
    !unread
}

#[cfg(test)]
mod model;
