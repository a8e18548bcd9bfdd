//! Times as text, in RFC 3339 and UTC.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proc_connector::Received;
use proc_connector::process::Process;
use rustix::time::{ClockId, clock_gettime};

use super::record::unix_ns;
use crate::cli::output::sink::Item;

/// A larger difference between two comparisons of the clocks means that the time of day was set. Smaller
/// ones are the time between the readings, and would give a process several creation times.
const SET_NS: u64 = 1_000_000;

/// Formats times with microseconds. The text of a second is kept, because most times follow each other.
#[derive(Debug)]
pub(super) struct Times {
    /// The time of day when the machine started, in nanoseconds since 1970.
    boot_ns: u64,
    second: Option<u64>,
    text: String,
    /// The length of the text up to the second.
    whole: usize,
}

impl Times {
    pub(super) fn new() -> Self {
        Self { boot_ns: boot_ns(), second: None, text: String::new(), whole: 0 }
    }

    pub(super) fn compare_clocks(&mut self) {
        let boot_ns = boot_ns();
        if boot_ns.abs_diff(self.boot_ns) > SET_NS {
            self.boot_ns = boot_ns;
        }
    }

    /// The creation time of an item's process: the same text in each of its records, unless the time of
    /// day is set.
    pub(super) fn creation(&mut self, process: &Process, item: &Item<'_>) -> Option<&str> {
        if let Some(ns) = process.start_boottime_ns() {
            return self.text_of_ns(self.boot_ns.checked_add(ns)?);
        }
        let Received::Event(event) = item.received else { return None };
        let age = event.timestamp_ns().saturating_sub(process.start_ns()?);
        self.text(item.time?.checked_sub(Duration::from_nanos(age))?)
    }

    /// The text of a time from 1970 to 9999.
    pub(super) fn text(&mut self, time: SystemTime) -> Option<&str> {
        self.text_of_ns(unix_ns(time))
    }

    fn text_of_ns(&mut self, ns: u64) -> Option<&str> {
        let (second, mut micros) = (ns / 1_000_000_000, ns % 1_000_000_000 / 1_000);
        if self.second != Some(second) {
            self.text = Timestamp::from_second(second.try_into().ok()?).ok()?.to_string();
            self.whole = self.text.trim_end_matches('Z').len();
            self.second = Some(second);
        }
        let mut digits = *b".000000Z";
        for digit in digits[1..7].iter_mut().rev() {
            #[expect(clippy::cast_possible_truncation, reason = "a digit")]
            let value = (micros % 10) as u8;
            *digit += value;
            micros /= 10;
        }
        self.text.truncate(self.whole);
        self.text.extend(digits.map(char::from));
        Some(&self.text)
    }
}

/// The time of day at which `CLOCK_BOOTTIME` was 0.
fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let now = Timestamp::new(now.tv_sec, now.tv_nsec.try_into().unwrap_or(0)).unwrap_or_default();
    unix_ns(SystemTime::now()).saturating_sub(now.as_nanosecond().try_into().unwrap_or(0))
}
