//! Batches, and the counts of their records.

/// An encoded and compressed request, and what it contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) body: Vec<u8>,
    pub(crate) content: Content,
}

/// What a batch contains. It is stored beside the batch, so that a discarded batch can be counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The records of events.
    pub(crate) events: u64,
    /// The sum of the losses that the batch reports.
    pub(crate) lost: u64,
    /// The boot of the machine that the events are from.
    pub(crate) boot_id: [u8; 16],
    /// The last sequence number of each CPU, of this batch and all before it.
    pub(crate) positions: Vec<(u32, u32)>,
    /// The events after these positions that are part of losses that were reported already.
    pub(crate) ahead: u64,
}

/// Discarded records that no batch has reported yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unreported {
    /// The number of records: events, and losses that a discarded batch has reported.
    pub(crate) records: u64,
    /// The damaged places of the spool that contained an unknown number of records in addition.
    pub(crate) damages: u64,
}

/// The records that were discarded since the spool was opened, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Discards {
    /// The oldest records, for lack of space.
    pub(crate) full: u64,
    /// The receiver refused them.
    pub(crate) refused: u64,
    /// Files were damaged or missing.
    pub(crate) damaged: u64,
}

/// What an opened spool contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The content of the last batch, with the positions after which events are missing.
    pub(crate) last: Option<Content>,
    /// The records that wait for a receiver.
    pub(crate) waiting: u64,
    /// The records that were lost by damage, where the number is known. They are part of
    /// [`Spool::unreported`].
    pub(crate) damaged: u64,
}

/// A batch for the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) body: Vec<u8>,
    pub(crate) events: u64,
    pub(crate) lost: u64,
}
