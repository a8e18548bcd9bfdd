//! Detection of losses by gaps in the sequence numbers of a CPU.

/// Counts the missing sequence numbers of one CPU.
///
/// The kernel numbers the events and acknowledgements that a CPU sends, before any filter, and
/// delivers them in order. A missing number is a loss if the stream is unfiltered and the numbers of
/// acknowledgements are observed too. Losses before the first observed number are unknown.
///
/// ```
/// use proc_connector_core::CpuSequence;
///
/// let mut cpu = CpuSequence::default();
/// assert_eq!(cpu.observe(u32::MAX), 0);
/// assert_eq!(cpu.observe(0), 0, "the count wraps");
/// assert_eq!(cpu.observe(4), 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSequence {
    next: Option<u32>,
}

impl CpuSequence {
    /// Observes the next number of this CPU and returns how many numbers are missing before it.
    #[inline]
    pub const fn observe(&mut self, seq: u32) -> u32 {
        let missing = match self.next {
            Some(next) => seq.wrapping_sub(next),
            None => 0,
        };
        self.next = Some(seq.wrapping_add(1));
        missing
    }
}
