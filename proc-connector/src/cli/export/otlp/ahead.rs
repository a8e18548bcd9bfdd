//! Reported losses of events whose sequence numbers are not known yet.

/// The number of events that are part of reported losses and come after the last positions.
///
/// A loss does not say from which CPUs its events are. The gaps in their sequence numbers do, once a later
/// event of each CPU is received.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The events of reported losses, without those that a gap has shown. Negative while the loss that
    /// explains a gap is still to be reported.
    own: i64,
    /// The same of the predecessor, without those that a gap after its last positions has shown.
    previous: u64,
    /// Whether an event was received since the last [`after_batch`](Self::after_batch).
    has_received: bool,
}

impl Ahead {
    /// `previous` is the [count](Self::count) of the predecessor.
    pub(super) fn after(previous: u64) -> Self {
        Self { previous, ..Self::default() }
    }

    /// Notes a received event, and the number of events that are missing before it.
    pub(super) fn received_after(&mut self, gap: u32) {
        self.has_received = true;
        self.own = self.own.saturating_sub(gap.into());
    }

    /// Notes the first event of a CPU, and the number of events that are missing since the predecessor, if it
    /// has received from this CPU. Returns how many of them were reported.
    pub(super) fn began_after(&mut self, gap: Option<u32>) -> u32 {
        self.has_received = true;
        let Some(gap) = gap else {
            // Any reported loss may have been before this event.
            (self.own, self.previous) = (self.own.min(0), 0);
            return 0;
        };
        let reported = u32::try_from(self.count()).unwrap_or(u32::MAX).min(gap);
        let of_previous = u64::from(reported).min(self.previous);
        self.previous -= of_previous;
        self.own = self.own.saturating_sub_unsigned(u64::from(reported) - of_previous);
        reported
    }

    /// Notes that the loss of this number of events was reported.
    pub(super) fn lost(&mut self, count: u64) {
        self.own = self.own.saturating_add_unsigned(count);
    }

    /// Notes the end of a batch. If it was empty, and nothing waits to be written, every loss so far was
    /// reported. Gaps that no loss explains are then acknowledgements.
    pub(super) fn after_batch(&mut self, is_holding: bool) {
        if !std::mem::take(&mut self.has_received) && !is_holding {
            self.own = self.own.max(0);
        }
    }

    /// How many events after the positions are part of reported losses, at least.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.own).unwrap_or(0).saturating_add(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::Ahead;

    #[test]
    fn a_gap_can_precede_the_report_of_its_loss() {
        let mut ahead = Ahead::default();
        ahead.received_after(2);
        ahead.after_batch(false);
        ahead.lost(2);
        assert_eq!(ahead.count(), 0);
        // An acknowledgement, which is not lost.
        ahead.received_after(1);
        ahead.after_batch(false);
        ahead.after_batch(false);
        ahead.lost(7);
        assert_eq!(ahead.count(), 7);
    }

    #[test]
    fn what_may_be_explained_is_not_ahead() {
        let mut ahead = Ahead::after(3);
        ahead.lost(4);
        assert_eq!((ahead.began_after(Some(5)), ahead.count()), (5, 2));
        assert_eq!((ahead.began_after(None), ahead.count()), (0, 0));
        assert_eq!((ahead.began_after(Some(5)), ahead.count()), (0, 0));
    }

    #[test]
    fn a_gap_is_kept_while_its_loss_waits_to_be_written() {
        let mut ahead = Ahead::default();
        ahead.received_after(2);
        ahead.after_batch(true);
        ahead.after_batch(true);
        ahead.lost(2);
        assert_eq!(ahead.count(), 0);
    }
}
