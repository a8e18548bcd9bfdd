//! Batches on disk, until a receiver has accepted them.

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
}
