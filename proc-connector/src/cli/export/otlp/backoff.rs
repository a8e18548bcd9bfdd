//! The time between attempts to send a batch.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest time that a receiver can make the sender wait.
const MOST: Duration = Duration::from_secs(5 * 60);
const FIRST: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(60);
/// Keeps an unlucky series of random numbers from making many attempts at once.
const LEAST: Duration = Duration::from_millis(50);

/// Exponential back-off with full jitter, so that many senders do not return at the same time.
#[derive(Debug, Default, Clone)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The time to wait after another failure. `after` is the time for which the receiver has asked.
    pub(super) fn after_failure(&mut self, after: Option<Duration>, random: u64) -> Duration {
        let range = FIRST.saturating_mul(1 << self.failures.min(16)).min(LIMIT);
        self.failures = self.failures.saturating_add(1);
        let nanoseconds = u64::try_from(range.as_nanos()).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(random % nanoseconds.saturating_add(1));
        match after {
            Some(after) => after.min(MOST).saturating_add(jitter),
            None => jitter.max(LEAST),
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A random number. The keys of the standard library's hash tables are the source.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Duration, LEAST, LIMIT, MOST, random};

    #[test]
    fn the_range_doubles_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let longest = [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000];
        for longest in longest.map(Duration::from_millis) {
            let nanoseconds = u64::try_from(longest.as_nanos()).expect("a short time");
            assert_eq!(backoff.clone().after_failure(None, nanoseconds), longest);
            assert_eq!(backoff.after_failure(None, nanoseconds + 1), LEAST);
        }
        backoff.succeeded();
        assert_eq!(backoff.after_failure(None, 500_000_000), Duration::from_millis(500));
    }

    #[test]
    fn a_receiver_can_ask_for_more_time_up_to_a_limit() {
        for (asked, least) in [(3, 3), (120, 120), (u64::MAX, 300)] {
            let mut backoff = Backoff::default();
            for _ in 0..200 {
                let time = backoff.after_failure(Some(Duration::from_secs(asked)), random());
                let least = Duration::from_secs(least);
                assert!(time >= least && time <= least + LIMIT && time <= MOST + LIMIT, "{time:?}");
            }
        }
    }

    #[test]
    fn random_numbers_differ() {
        let numbers: std::collections::BTreeSet<u64> = (0..100).map(|_| random()).collect();
        assert_eq!(numbers.len(), 100);
    }
}
