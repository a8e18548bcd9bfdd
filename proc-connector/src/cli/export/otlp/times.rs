//! Times as text, in RFC 3339 and UTC.

use std::time::SystemTime;

use jiff::Timestamp;
use proc_connector::WallClock;
use proc_connector::process::Process;
use rustix::time::{ClockId, clock_gettime};

/// A larger difference between two comparisons of the clocks means that the time of day was set. Smaller
/// ones are the time between the readings, and would give a process several creation times.
const SET_NS: u64 = 1_000_000;

/// Formats times with microseconds. The text of a second is kept, because most times follow each other.
#[derive(Debug)]
pub(super) struct Times {
    /// The time of day at which `CLOCK_BOOTTIME` was 0, in nanoseconds since 1970.
    boottime_ns: u64,
    /// The same for the clock of time stamps, which stops while the machine is suspended.
    monotonic_ns: u64,
    second: Option<u64>,
    text: String,
    /// The length of the text up to the second.
    whole: usize,
}

impl Times {
    pub(super) fn new() -> Self {
        let [boottime_ns, monotonic_ns] = epochs();
        Self { boottime_ns, monotonic_ns, second: None, text: String::new(), whole: 0 }
    }

    pub(super) fn compare_clocks(&mut self) {
        let [boottime_ns, monotonic_ns] = epochs();
        for (known, now) in
            [(&mut self.boottime_ns, boottime_ns), (&mut self.monotonic_ns, monotonic_ns)]
        {
            if now.abs_diff(*known) > SET_NS {
                *known = now;
            }
        }
    }

    /// The creation time of a process: the same text in each of its records, unless the time of day is
    /// set.
    pub(super) fn creation(&mut self, process: &Process) -> Option<&str> {
        let ns = match process.start_boottime_ns() {
            Some(ns) => self.boottime_ns.checked_add(ns),
            None => self.monotonic_ns.checked_add(process.start_ns()?),
        };
        self.text_of_ns(ns?)
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
            let value = (micros % 10) as u8;
            *digit += value;
            micros /= 10;
        }
        self.text.truncate(self.whole);
        self.text.extend(digits.map(char::from));
        Some(&self.text)
    }
}

/// Nanoseconds since 1970, as OTLP has them; 0, which stands for an unknown time, for times before.
pub(super) fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// The times of day at which the two clocks were 0, in nanoseconds since 1970.
fn epochs() -> [u64; 2] {
    let boottime = clock_gettime(ClockId::Boottime);
    let boottime = Timestamp::new(boottime.tv_sec, boottime.tv_nsec.try_into().unwrap_or(0));
    let boottime = boottime.unwrap_or_default().as_nanosecond().try_into().unwrap_or(0);
    let monotonic = WallClock::now_ns();
    let now = unix_ns(SystemTime::now());
    [boottime, monotonic].map(|clock| now.saturating_sub(clock))
}
