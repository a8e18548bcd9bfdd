//! The time of an event by both clocks.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The time since 1970.
    unix_ns: i128,
    /// `CLOCK_MONOTONIC`.
    monotonic_ns: u64,
}

impl Moment {
    pub(super) fn new(time: SystemTime, monotonic_ns: u64) -> Self {
        let unix_ns = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |ns| -ns),
        };
        Self { unix_ns, monotonic_ns }
    }

    pub(super) fn unix_ns(self) -> i128 {
        self.unix_ns
    }

    /// Milliseconds since 1970, which OCSF requires.
    pub(super) fn unix_ms(self) -> i64 {
        milliseconds(self.unix_ns)
    }

    /// The same for another time of `CLOCK_MONOTONIC`.
    pub(super) fn unix_ms_at(self, monotonic_ns: u64) -> i64 {
        let elapsed = i128::from(monotonic_ns) - i128::from(self.monotonic_ns);
        milliseconds(self.unix_ns.saturating_add(elapsed))
    }
}

fn milliseconds(ns: i128) -> i64 {
    i64::try_from(ns.div_euclid(1_000_000)).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::Moment;

    #[test]
    fn times_are_converted_at_the_moment_of_the_event() {
        let moment = Moment::new(UNIX_EPOCH + Duration::from_nanos(5_000_999_999), 3_000_000_000);
        assert_eq!(moment.unix_ms(), 5_000);
        assert_eq!(moment.unix_ms_at(3_000_000_000), 5_000);
        assert_eq!(moment.unix_ms_at(1_000_000_000), 3_000);
        assert_eq!(moment.unix_ms_at(3_000_000_001), 5_001);
        // The machine started before 1970 by its clock at that time.
        assert_eq!(Moment::new(UNIX_EPOCH, 2_000_000_000).unix_ms_at(1), -2_000);
        let before = Moment::new(UNIX_EPOCH - Duration::from_nanos(1), 0);
        assert_eq!(before.unix_ms(), -1);
    }
}
