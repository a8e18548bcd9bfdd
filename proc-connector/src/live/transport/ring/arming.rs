//! When the ring's program wakes the reader: the reader's half of the protocol.
//!
//! The reader announces through a descriptor that something is unread. Between two calls of
//! [`arm`] the descriptor stays readable, whatever is read meanwhile; [`arm`] alone makes it
//! unreadable, and only if the ring is empty and its program will make it readable again with the
//! next event. So a thread that waits for the descriptor never misses an event that another
//! thread's call of [`arm`] was woken for.
//!
//! The program's half, in `program`, is to submit a record and then, if the shared words is armed, to
//! disarm it and to queue the datagram at the socket, which is a part of the descriptor.

/// What the protocol works on.
pub(super) trait Sides {
    /// Takes everything off the socket's queue.
    fn drain(&mut self);

    /// Sets the word that asks the program for a wake-up.
    fn set_armed(&mut self, armed: bool);

    /// Keeps the store to that word before the look at the ring: a full barrier.
    fn barrier(&self);

    /// Whether the ring holds something that can be read now.
    fn has_unread(&self) -> bool;

    /// Makes the descriptor readable or not, apart from the socket's share of it.
    fn announce(&mut self, unread: bool);
}

/// Asks for a wake-up with the next event. False if there is something to read first, which the
/// descriptor then announces.
pub(super) fn arm(sides: &mut impl Sides) -> bool {
    // Before the look: each datagram taken here belongs to a record that the look finds.
    sides.drain();
    sides.set_armed(true);
    sides.barrier();
    let unread = sides.has_unread();
    if unread {
        sides.set_armed(false);
    }
    sides.announce(unread);
    !unread
}

#[cfg(test)]
mod model;
