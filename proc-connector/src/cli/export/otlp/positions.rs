//! The last sequence number of each CPU, and the events that are missing after a restart.

use std::time::SystemTime;

use super::ahead::Ahead;
use super::record::Loss;

/// More than the most CPUs of a kernel (`NR_CPUS` in `arch/x86/Kconfig`).
const MAX_CPUS: usize = 1 << 14;

/// A larger difference of two positions means that the count has wrapped.
const MOST: u32 = u32::MAX / 2;

/// The positions of this exporter and of its predecessor.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    /// The positions of this exporter, by CPU.
    cpus: Vec<Position>,
    /// Whether received events wait to be written.
    is_holding: bool,
    /// The last positions of the predecessor, without the CPUs that this exporter has received from.
    previous: Vec<(u32, u32)>,
    /// The time of the predecessor's last event.
    since: Option<SystemTime>,
    /// Whether the kernel passes on selected events only.
    is_filtered: bool,
    /// Whether there was a predecessor, and no event has been received since.
    is_resuming: bool,
    /// The events after these positions that are part of reported losses.
    ahead: Ahead,
}

/// The last events of a CPU.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    received: Option<u32>,
    written: Option<u32>,
}

impl Positions {
    /// Continues after a predecessor. Its positions are empty if the machine was started since. With
    /// `is_filtered`, some of the events in between were not selected. `ahead` is what its
    /// [`ahead`](Self::ahead) was.
    pub(crate) fn after(
        previous: &[(u32, u32)],
        ahead: u64,
        since: Option<SystemTime>,
        is_filtered: bool,
    ) -> Self {
        Self {
            previous: previous.to_vec(),
            ahead: Ahead::after(ahead),
            since,
            is_filtered,
            is_resuming: true,
            ..Self::default()
        }
    }

    /// Notes a received event. Returns the events that are missing between the predecessor's last event
    /// and the first event of a CPU.
    ///
    /// The kernel counts events only while any program listens. If it has not counted any before the
    /// first event, then none did, and the number is unknown.
    pub(super) fn received(&mut self, cpu: u32, seq: u32) -> Option<Loss> {
        let between = |last: u32| seq.wrapping_sub(last).wrapping_sub(1);
        let position = self.position(cpu)?;
        if let Some(last) = position.received.replace(seq) {
            self.ahead.received_after(between(last));
            return None;
        }
        position.written = Some(seq.wrapping_sub(1));
        let is_first = std::mem::take(&mut self.is_resuming);
        let gap = self.take_previous(cpu).map(between);
        let reported = self.ahead.began_after(gap);
        let gap = gap.unwrap_or(0);
        let missing = gap - reported;
        // The acknowledgement to this exporter is counted, too.
        let is_unknown = is_first && missing <= 1 || gap > MOST;
        (missing > 0 || is_unknown).then(|| Loss {
            count: Some(missing.into()).filter(|_| !is_unknown),
            is_upper_limit: self.is_filtered,
            reason: "not_running",
            // The reported events may be from any CPU.
            cpu: Some(cpu).filter(|_| !is_unknown && reported == 0),
            since: self.since,
        })
    }

    /// Notes that the loss of this number of events was reported.
    pub(super) fn lost(&mut self, count: u64) {
        self.ahead.lost(count);
    }

    /// Notes the end of a batch, which may be empty.
    pub(super) fn after_batch(&mut self) {
        self.ahead.after_batch(self.is_holding);
    }

    fn take_previous(&mut self, cpu: u32) -> Option<u32> {
        let place = self.previous.iter().position(|&(known, _)| known == cpu)?;
        Some(self.previous.swap_remove(place).1)
    }

    /// Notes a written event.
    pub(super) fn written(&mut self, cpu: u32, seq: u32) {
        if let Some(position) = self.position(cpu) {
            position.written = Some(seq);
        }
    }

    /// Notes whether received events wait to be written. Otherwise all were written or left out.
    pub(super) fn set_holding(&mut self, is_holding: bool) {
        self.is_holding = is_holding;
    }

    fn position(&mut self, cpu: u32) -> Option<&mut Position> {
        let index = cpu as usize;
        if self.cpus.len() <= index && index < MAX_CPUS {
            self.cpus.resize(index + 1, Position::default());
        }
        self.cpus.get_mut(index)
    }

    /// The positions up to which every event was written or left out. Those of the predecessor remain for
    /// the CPUs of which no event was received.
    pub(super) fn reached(&self) -> Vec<(u32, u32)> {
        let mut positions = self.previous.clone();
        for (cpu, position) in (0..).zip(&self.cpus) {
            let reached = if self.is_holding { position.written } else { position.received };
            positions.extend(reached.map(|seq| (cpu, seq)));
        }
        positions
    }

    /// How many events after the reached positions are part of reported losses, at least.
    pub(super) fn ahead(&self) -> u64 {
        self.ahead.count()
    }
}

#[cfg(test)]
mod tests {
    use super::Positions;

    #[test]
    fn the_first_event_of_each_cpu_shows_what_is_missing() {
        let mut positions = Positions::after(&[(0, 7), (1, u32::MAX), (2, 5)], 0, None, false);
        let gap = positions.received(0, 10).expect("two are missing");
        assert_eq!((gap.count, gap.cpu), (Some(2), Some(0)));
        assert_eq!(positions.received(0, 20), None);
        assert_eq!(positions.received(1, 0), None, "the next one");
        assert_eq!(positions.received(3, 4), None, "a CPU without a predecessor");
        assert_eq!(positions.received(u32::MAX, 4), None, "an impossible CPU");
        assert_eq!(positions.reached(), [(2, 5), (0, 20), (1, 0), (3, 4)]);
    }

    #[test]
    fn without_any_listener_the_number_is_unknown() {
        for (previous, seq) in
            [(vec![(0, 7)], 8), (vec![(0, 7)], 9), (vec![(0, 7)], 7), (vec![], 5)]
        {
            let mut positions = Positions::after(&previous, 0, None, false);
            let gap = positions.received(0, seq).expect("a loss");
            assert_eq!((gap.count, gap.cpu), (None, None), "{previous:?} {seq}");
            assert_eq!(positions.received(1, 5), None);
        }
    }

    #[test]
    fn events_that_wait_are_not_reached() {
        let mut positions = Positions::default();
        positions.received(0, 10);
        positions.written(0, 10);
        positions.received(0, 11);
        positions.set_holding(true);
        positions.received(1, 3);
        assert_eq!(positions.reached(), [(0, 10), (1, 2)]);
        positions.set_holding(false);
        assert_eq!(positions.reached(), [(0, 11), (1, 3)]);
    }

    #[test]
    fn reported_losses_are_not_reported_again() {
        let mut positions = Positions::default();
        positions.received(0, 10);
        positions.received(1, 70);
        positions.lost(6);
        assert_eq!(positions.ahead(), 6);
        positions.received(0, 13);
        assert_eq!(positions.ahead(), 4);
        let (reached, ahead) = (positions.reached(), positions.ahead());
        // Four of the nine were reported.
        let mut next = Positions::after(&reached, ahead, None, false);
        let first = next.received(0, 20).expect("a loss");
        assert_eq!((first.count, first.cpu, next.ahead()), (Some(2), None, 0));
        let second = next.received(1, 74).expect("a loss");
        assert_eq!((second.count, second.cpu), (Some(3), Some(1)));
        // The reported ones can be all that the kernel has counted.
        let mut next = Positions::after(&reached, ahead, None, false);
        let first = next.received(1, 74).expect("a loss");
        assert_eq!((first.count, next.ahead()), (None, 1));
        let second = next.received(0, 20).expect("a loss");
        assert_eq!((second.count, next.ahead()), (Some(5), 0));
    }
}
