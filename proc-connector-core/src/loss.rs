//! Losses seen from the outside: gaps in a CPU's sequence numbers.

/// Follows the sequence numbers of one CPU and counts those that never came.
///
/// The kernel counts every event and acknowledgement that a CPU sends, before any filter, and
/// delivers those of one CPU in order. So on an unfiltered stream in which acknowledgements are
/// observed too, what is missing was lost. What a CPU sent before its first number was seen cannot
/// be known.
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
    /// Takes the next number of this CPU and says how many are missing before it.
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
