//! When a process was made, by two clocks: events have nanoseconds since the machine's start without
//! the time it was suspended (`CLOCK_MONOTONIC`), `/proc` has hundredths of a second with it
//! (`CLOCK_BOOTTIME`).

/// A tick of the times in `/proc/PID/stat`, in nanoseconds: `USER_HZ` of the kernel is 100 on every
/// architecture that Rust knows.
pub(super) const TICK_NS: u64 = 10_000_000;

/// How far two readings of the two clocks may be apart, in nanoseconds.
const SLACK_NS: u64 = 1_000_000;

/// When a process was made: what tells it from others of the same id.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    /// The time stamp of its fork, and the same by the clock of `/proc` where that was known.
    forked: Option<(u64, Option<u64>)>,
    /// What `/proc` says, and the other clock's offset then.
    ticks: Option<(u64, u64)>,
}

impl Start {
    /// By a fork at `ns`, when the other clock was ahead by `offset_ns`.
    pub(super) fn forked(ns: u64, offset_ns: Option<u64>) -> Self {
        let boot_ns = offset_ns.map(|offset| ns.saturating_add(offset));
        Self { forked: Some((ns, boot_ns)), ticks: None }
    }

    pub(super) fn monotonic_ns(self) -> Option<u64> {
        let by_ticks = |(ticks, offset)| to_ns(ticks).saturating_sub(offset);
        self.forked.map(|(ns, _)| ns).or(self.ticks.map(by_ticks))
    }

    /// Takes note of what `/proc` says of the same process.
    pub(super) fn refine(&mut self, ticks: u64, offset_ns: u64) {
        self.ticks.get_or_insert((ticks, offset_ns));
    }

    /// Takes note of the time stamp of its fork, which is more exact than what `/proc` says.
    pub(super) fn refine_by_fork(&mut self, ns: u64, offset_ns: Option<u64>) {
        self.forked = Self::forked(ns, offset_ns).forked;
    }

    /// Whether a process of this id that `/proc` says was made at `ticks` can be this one. Those
    /// that had the id before were gone when this one was made, so it could only be a later one: and
    /// that is told apart unless all ids were given out within a tick.
    pub(super) fn can_be(self, ticks: u64) -> bool {
        match (self.ticks, self.forked) {
            (Some((known, _)), _) => known == ticks,
            (None, Some((_, Some(boot_ns)))) => to_ns(ticks) <= boot_ns.saturating_add(SLACK_NS),
            _ => true,
        }
    }

    /// Whether an event at `ns` was before that, and so about another process.
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

/// Whether a process that was made at `ticks` was there at `ns`, by the other clock.
pub(super) fn was_there(ticks: u64, ns: u64, offset_ns: u64) -> bool {
    to_ns(ticks) <= ns.saturating_add(offset_ns).saturating_add(SLACK_NS)
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
    fn a_fork_is_found_in_proc_again_and_a_later_process_is_not() {
        let start = Start::forked(5_003_000_000, Some(OFFSET));
        // 105.003 s are in the tick that starts at 105.00 s.
        assert!(start.can_be(10_500));
        assert!(!start.can_be(10_501));
        // The kernel takes the time early in a fork, which may then have to wait.
        assert!(start.can_be(10_400));
    }

    #[test]
    fn what_proc_said_is_held_to() {
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
    fn events_before_it_are_anothers() {
        let start = Start::forked(5_003_000_000, Some(OFFSET));
        assert!(start.is_after(5_002_999_999) && !start.is_after(5_003_000_000));
        let mut start = Start::default();
        assert!(!start.is_after(0));
        start.refine(10_500, OFFSET);
        assert!(start.is_after(4_998_000_000) && !start.is_after(5_000_000_000));
    }
}
