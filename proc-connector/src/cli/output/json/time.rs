//! The time of an event in RFC 3339, in UTC.

use std::time::SystemTime;

use jiff::Timestamp;

use crate::cli::output::moment::{second_and_ns, write_fraction};

/// Formats times as `jiff` does. Most events are in the same second as the previous event, so the text
/// of a second is kept.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The second since 1970 that the text is for.
    second: Option<i64>,
    text: String,
    /// The length of the text up to the second, without the `Z`.
    whole: usize,
}

impl Clock {
    /// The text of a time. `None` for times outside of the years from -9999 to 9999.
    pub(super) fn text(&mut self, time: SystemTime) -> Option<&str> {
        let (second, ns) = second_and_ns(time)?;
        if self.second != Some(second) {
            self.text = Timestamp::from_second(second).ok()?.to_string();
            self.whole = self.text.trim_end_matches('Z').len();
            self.second = Some(second);
        }
        self.text.truncate(self.whole);
        if ns > 0 {
            write_fraction(ns, 9, &mut self.text);
            self.text.truncate(self.text.trim_end_matches('0').len());
        }
        self.text.push('Z');
        Some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::Clock;

    proptest! {
        #[test]
        fn times_have_the_text_of_the_library(
            times in proptest::collection::vec((-3_i64..3, 0..=1_000_000_000_i32, 0_u32..10), 1..50),
            second in Timestamp::MIN.as_second() + 3..=Timestamp::MAX.as_second() - 3,
        ) {
            let mut clock = Clock::default();
            for (later, ns, zeros) in times {
                let ns = ns - ns % 10_i32.pow(zeros);
                for second in [second + later, later] {
                    let time = Timestamp::new(second, ns.min(999_999_999)).expect("a time");
                    prop_assert_eq!(clock.text(time.into()), Some(&*time.to_string()));
                }
            }
        }
    }
}
