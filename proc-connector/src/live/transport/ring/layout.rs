//! The layout that the program and its reader agree on: records, and the words that both access.
//!
//! ```text
//! byte 0               76          80                          80 + 56
//!      +---------------+-----------+---------------------------+------------------+
//!      | datagram      | Lost      | ContextHdr                | arguments        |
//!      | (76 bytes)    | (4 bytes) | (only with a ContextPlan) | (only for execs) |
//!      +---------------+-----------+---------------------------+------------------+
//! ```
//!
//! The datagram is the whole netlink message as the kernel sent it. The second field is the value
//! of [`Word::Lost`] when the record was written: if it differs from that of the previous record,
//! events between the two were lost.

use proc_connector_core::EventRecord;

/// The length in bytes of the datagrams that kernels since 4.18 send. The program refuses all
/// others.
pub(super) const DATAGRAM_LEN: usize = EventRecord::MAX_KERNEL_LEN;

/// Offset in a record of the value of [`Word::Lost`], 32 bits.
pub(super) const LOST: usize = DATAGRAM_LEN;

/// The length in bytes of a record without context.
pub(super) const RECORD_LEN: usize = LOST + 4;

/// Offset from `R10` of the program's copy of the datagram, on its stack.
pub(super) const DATAGRAM: i16 = -offset(DATAGRAM_LEN.next_multiple_of(8));
/// Offsets from `R10` of two 64-bit scratch variables.
pub(super) const SCRATCH_1: i16 = DATAGRAM - 8;
pub(super) const SCRATCH_2: i16 = DATAGRAM - 16;

/// The shared words, by index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// Nonzero while the reader requests a wake-up. The program clears it and wakes the reader.
    Armed,
    /// All ones while the reader waits for an acknowledgement, which the program then queues at the
    /// socket as well. Otherwise zero.
    AwaitingAck,
    /// Events that did not fit the ring, modulo 2^32.
    Lost,
    /// Acknowledgements that did not fit the ring, modulo 2^32. They leave gaps in the sequence
    /// numbers but are not losses.
    LostAcks,
    /// Datagrams that the kernel cannot have sent, modulo 2^32.
    Refused,
}

pub(super) const WORDS: usize = Word::Refused as usize + 1;

impl Word {
    /// Offset in the shared words, in bytes.
    pub(super) const fn offset(self) -> i16 {
        offset(4 * self as usize)
    }
}

/// An offset as an operand.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small")]
pub(super) const fn offset(bytes: usize) -> i16 {
    bytes as i16
}
