//! The creation time of a process by two clocks. Events have nanoseconds of `CLOCK_MONOTONIC`,
//! which stops while the machine is suspended. `/proc` has hundredths of a second of
//! `CLOCK_BOOTTIME`, which continues.

/// The unit of the times in `/proc/PID/stat`, in nanoseconds: the kernel's `USER_HZ` is 100 on
/// every architecture that Rust supports.
pub(super) const TICK_NS: u64 = 10_000_000;

/// The largest difference between two readings of the two clocks, in nanoseconds.
const SLACK_NS: u64 = 1_000_000;

/// The creation time, which distinguishes a process from others with the same id.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    /// The time stamp of the fork, and the same moment by `CLOCK_BOOTTIME` if the offset was known.
    forked: Option<(u64, Option<u64>)>,
    /// The start time in `/proc`, and the offset of `CLOCK_BOOTTIME` at that time.
    ticks: Option<(u64, u64)>,
    /// The creation time that the kernel recorded.
    recorded_ns: Option<u64>,
}

impl Start {
    /// Records a fork at `ns`.
    pub(super) fn forked(ns: u64, boottime_offset_ns: Option<u64>) -> Self {
        let boot_ns = boottime_offset_ns.map(|offset| ns.saturating_add(offset));
        Self { forked: Some((ns, boot_ns)), ..Self::default() }
    }

    pub(super) fn monotonic_ns(self) -> Option<u64> {
        let by_ticks = |(ticks, offset)| to_ns(ticks).saturating_sub(offset);
        self.forked.map(|(ns, _)| ns).or(self.recorded_ns).or(self.ticks.map(by_ticks))
    }

    /// The start time in `/proc`, if it was read.
    pub(super) fn ticks(self) -> Option<u64> {
        self.ticks.map(|(ticks, _)| ticks)
    }

    /// Records the creation time that the kernel recorded, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) fn record(&mut self, ns: Option<u64>) {
        self.recorded_ns = self.recorded_ns.or(ns);
    }

    /// Records the start time that `/proc` shows.
    pub(super) fn refine(&mut self, ticks: u64, boottime_offset_ns: u64) {
        self.ticks.get_or_insert((ticks, boottime_offset_ns));
    }

    /// Records the time stamp of the fork, which is more exact than `/proc`.
    pub(super) fn refine_by_fork(&mut self, ns: u64, boottime_offset_ns: Option<u64>) {
        self.forked = Self::forked(ns, boottime_offset_ns).forked;
    }

    /// Whether the process that `/proc` shows with this id, started at `ticks`, can be this one. An
    /// earlier process with the id has ended, so only a later one can be confused with it, if all
    /// ids are reused within one tick.
    pub(super) fn can_be(self, ticks: u64) -> bool {
        match (self.ticks, self.forked) {
            (Some((known, _)), _) => known == ticks,
            (None, Some((_, Some(boot_ns)))) => to_ns(ticks) <= boot_ns.saturating_add(SLACK_NS),
            _ => true,
        }
    }

    /// Whether the process can be the one that was created at this time of `CLOCK_BOOTTIME`. The kernel
    /// reads the clock before it sends the event of the fork.
    pub(super) fn can_begin(self, boottime_ns: u64) -> bool {
        match self.forked {
            Some((_, Some(forked))) => boottime_ns <= forked.saturating_add(SLACK_NS),
            _ => true,
        }
    }

    /// Whether the process was created after `ns`, so that an event at `ns` concerns another
    /// process.
    pub(super) fn is_after(self, ns: u64) -> bool {
        match (self.forked, self.ticks) {
            (Some((forked, _)), _) => ns < forked,
            (None, Some((ticks, offset))) => {
                ns.saturating_add(SLACK_NS) < to_ns(ticks).saturating_sub(offset)
            }
            _ => false,
        }
    }
}

/// Whether a process that was created at `ticks` existed at `ns` of `CLOCK_MONOTONIC`.
pub(super) fn existed(ticks: u64, ns: u64, boottime_offset_ns: u64) -> bool {
    to_ns(ticks) <= ns.saturating_add(boottime_offset_ns).saturating_add(SLACK_NS)
}

fn to_ns(ticks: u64) -> u64 {
    ticks.saturating_mul(TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The machine was suspended for 100 s.
    const OFFSET: u64 = 100_000_000_000;

    #[test]
    fn a_fork_matches_its_start_in_proc_and_no_later_one() {
        let start = Start::forked(5_003_000_000, Some(OFFSET));
        // 105.003 s is within the tick that starts at 105.00 s.
        assert!(start.can_be(10_500));
        assert!(!start.can_be(10_501));
        // The kernel reads the clock early in a fork, which may then be delayed.
        assert!(start.can_be(10_400));
    }

    #[test]
    fn the_first_start_time_of_proc_is_kept() {
        let mut start = Start::default();
        assert!(start.can_be(7));
        start.refine(7, 0);
        assert_eq!([start.can_be(6), start.can_be(7), start.can_be(8)], [false, true, false]);
        assert_eq!(start.monotonic_ns(), Some(70_000_000));
        start.refine_by_fork(71_234_567, Some(0));
        assert_eq!(start.monotonic_ns(), Some(71_234_567));
        assert!(!start.can_be(8));
    }

    #[test]
    fn an_event_before_the_start_concerns_another_process() {
        let start = Start::forked(5_003_000_000, Some(OFFSET));
        assert!(start.is_after(5_002_999_999) && !start.is_after(5_003_000_000));
        let mut start = Start::default();
        assert!(!start.is_after(0));
        start.refine(10_500, OFFSET);
        assert!(start.is_after(4_998_000_000) && !start.is_after(5_000_000_000));
    }
}
