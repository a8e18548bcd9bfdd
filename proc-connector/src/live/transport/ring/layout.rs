//! The layout that the program and its reader agree on: records, and the words that both access.
//!
//! ```text
//! byte 0                    60          64            96
//!      +--------------------+-----------+-------------+-------------------------------+
//!      | connector message  | Lost      | IdentityHdr | parts after the identity      |
//!      | (60 bytes)         | (4 bytes) | (32 bytes)  | (only with an extended plan)  |
//!      +--------------------+-----------+-------------+-------------------------------+
//! ```
//!
//! The connector message is the datagram without its netlink header, which is the same in all
//! datagrams except for the sequence number, and that is in the message as well. The second field is
//! the value of [`Word::Lost`] when the record was written: if it differs from that of the previous
//! record, events between the two were lost. `proc_connector_core::context::layout` describes the
//! rest.

use proc_connector_core::context::layout::IdentityHdr;
use proc_connector_core::{EventRecord, netlink};

/// The length in bytes of the datagrams that kernels since 4.18 send. The program refuses all
/// others.
pub(super) const DATAGRAM_LEN: usize = EventRecord::MAX_KERNEL_LEN;

/// The length in bytes of the connector message, with which a record starts.
pub(super) const MESSAGE_LEN: usize = DATAGRAM_LEN - netlink::HEADER_LEN;

/// Offset in a record of the value of [`Word::Lost`], 32 bits.
pub(super) const LOST: usize = MESSAGE_LEN;

/// Offset in a record of the context.
pub(super) const CONTEXT: usize = LOST + 4;

/// The length in bytes of a record with the identity only.
pub(super) const RECORD_LEN: usize = CONTEXT + size_of::<IdentityHdr>();

/// Offset from `R10` of the program's copy of the datagram, on its stack.
pub(super) const DATAGRAM: i16 = -offset(DATAGRAM_LEN.next_multiple_of(8));
/// Offsets from `R10` of 64-bit scratch variables.
pub(super) const SCRATCH_1: i16 = DATAGRAM - 8;
pub(super) const SCRATCH_2: i16 = DATAGRAM - 16;
pub(super) const SCRATCH_3: i16 = DATAGRAM - 24;

/// Offsets from `R10` of pointers.
pub(super) const LEADER: i16 = DATAGRAM - 40;
pub(super) const PARENT: i16 = DATAGRAM - 48;
pub(super) const SIGNAL: i16 = DATAGRAM - 56;
pub(super) const POINTER_1: i16 = DATAGRAM - 64;
pub(super) const POINTER_2: i16 = DATAGRAM - 72;
pub(super) const POINTER_3: i16 = DATAGRAM - 80;
pub(super) const POINTER_4: i16 = DATAGRAM - 88;

/// Offsets from `R10` of a key and a value of a hash table, and of a name of 16 bytes.
pub(super) const KEY: i16 = DATAGRAM - 96;
pub(super) const VALUE: i16 = DATAGRAM - 104;
pub(super) const NAME: i16 = DATAGRAM - 120;
/// Offset from `R10` of the use of a share, three 64-bit words.
pub(super) const SHARE: i16 = DATAGRAM - 152;
/// The length of the variables in front of a record in the buffer of a CPU.
///
/// The verifier does not track their values, unlike those on the stack. So it does not try all
/// possible values at the start of a loop.
pub(super) const VARIABLES_LEN: usize = 64;

/// Offset from a record of a 64-bit variable.
pub(super) const fn variable(index: usize) -> i16 {
    -offset(8 * (index + 1))
}

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
    /// Nonzero while the processes to follow are searched in `/proc`.
    Seeding,
    /// Processes that the table of followed processes had no space for, modulo 2^32.
    Unfollowed,
    /// Those of the lost events that exceeded the share of their cgroup, modulo 2^32.
    OverShare,
}

pub(super) const WORDS: usize = Word::OverShare as usize + 1;

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
