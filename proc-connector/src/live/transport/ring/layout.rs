//! What the ring's program writes and its reader reads: records, and the shared words they share. And the
//! numbers of these as instructions hold them.

use proc_connector_core::EventRecord;

/// Bytes of a datagram as all kernels since 4.18 send it; the program takes no other.
pub(super) const DATAGRAM_LEN: usize = EventRecord::MAX_KERNEL_LEN;

/// Where a record has [`Word::Lost`] as it was then, in 32 bits.
pub(super) const LOST: usize = DATAGRAM_LEN;

/// Bytes of a record without context.
pub(super) const RECORD_LEN: usize = LOST + 4;

/// Where the program's stack has the datagram, from `R10` on, and two words for whatever comes.
pub(super) const STACK: i16 = -offset(DATAGRAM_LEN.next_multiple_of(8));
pub(super) const FIRST: i16 = STACK - 8;
pub(super) const SECOND: i16 = STACK - 16;

/// The words of the shared words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// Not zero while the reader waits for the next event. The program clears it and wakes the
    /// reader.
    Armed,
    /// Not zero while the reader waits for the answer to its request: acknowledgements are queued
    /// at the socket too.
    Asking,
    /// Events that found no room, modulo 2^32.
    Lost,
    /// The same of acknowledgements, which nobody misses but for their numbers in the sequence.
    LostAcks,
    /// Datagrams that the kernel cannot have sent, modulo 2^32.
    Refused,
}

pub(super) const WORDS: usize = Word::Refused as usize + 1;

impl Word {
    /// Where it is on the shared words, in bytes.
    pub(super) const fn offset(self) -> i16 {
        offset(4 * self as usize)
    }
}

/// Bytes from a pointer on.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small")]
pub(super) const fn offset(bytes: usize) -> i16 {
    bytes as i16
}

/// A number of bytes.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small")]
pub(super) const fn len_imm(bytes: usize) -> i32 {
    bytes as i32
}

/// One of the kernel's constants, as the bits it has.
#[expect(clippy::cast_possible_wrap, reason = "small")]
pub(super) const fn flag(value: u32) -> i32 {
    value as i32
}
