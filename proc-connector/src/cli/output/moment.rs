//! The time of an event, formatted for a column.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::columns::{fitted, padded};
use super::layout::{MICROSECONDS, MILLISECONDS};

/// The time of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    OfDay(SystemTime),
    /// Time since boot, if the time of day is unknown.
    SinceStart(Duration),
}

/// Formats times of day in a time zone. Most events are in the same second as the previous event, so
/// the text of a second is kept.
#[derive(Debug)]
pub(super) struct Clock {
    zone: &'static TimeZone,
    /// The second since 1970 that the texts are for.
    second: Option<i64>,
    /// Hours, minutes and seconds.
    of_day: String,
    /// The offset from UTC.
    offset: String,
}

impl Clock {
    pub(super) fn new(zone: &'static TimeZone) -> Self {
        Self { zone, second: None, of_day: String::new(), offset: String::new() }
    }

    /// Appends the time, as precise as the column's width allows; nothing without a column.
    pub(super) fn write(&mut self, moment: Moment, width: Option<usize>, line: &mut String) {
        let Some(width) = width else { return };
        let digits = match width {
            MICROSECONDS.. => 6,
            MILLISECONDS.. => 3,
            _ => 0,
        };
        // Writing to a string cannot fail.
        let _ = match moment {
            Moment::OfDay(time) => {
                let ns = self.load(time);
                line.push_str(&self.of_day);
                write_fraction(ns, digits, line);
                Ok(())
            }
            Moment::SinceStart(time) => write!(line, "{:>width$.digits$}", time.as_secs_f64()),
        };
    }

    /// Appends the time, as precise as possible, and the offset from UTC of a time of day.
    pub(super) fn write_with_offset(&mut self, moment: Moment, line: &mut String) {
        self.write(moment, Some(MICROSECONDS), line);
        if let Moment::OfDay(_) = moment {
            line.push_str(&self.offset);
        }
    }

    /// The offset from UTC; empty for a time since boot.
    pub(super) fn offset(&mut self, moment: Moment) -> &str {
        match moment {
            Moment::OfDay(time) => {
                self.load(time);
                &self.offset
            }
            Moment::SinceStart(_) => "",
        }
    }

    /// The heading of the column, if it exists. The heading of a narrow column is only the offset.
    pub(super) fn heading(&mut self, moment: Moment, width: Option<usize>) -> String {
        let Some(width) = width else { return String::new() };
        let heading = match self.offset(moment) {
            "" => "SECONDS".to_owned(),
            offset if width < MILLISECONDS => offset.to_owned(),
            offset => format!("TIME {offset}"),
        };
        padded(&fitted(&heading, Some(width)), width)
    }

    /// Updates the texts to the second of this time. Returns the nanoseconds within it.
    fn load(&mut self, time: SystemTime) -> u32 {
        let (second, ns) = second_and_ns(time).unwrap_or_default();
        if self.second != Some(second) {
            let time = Timestamp::from_second(second).unwrap_or_default();
            let time = time.to_zoned(self.zone.clone());
            self.of_day = time.strftime("%H:%M:%S").to_string();
            self.offset = time.strftime("%:z").to_string();
            self.second = Some(second);
        }
        ns
    }
}

/// Appends a point and the first digits of a fraction in nanoseconds.
pub(super) fn write_fraction(ns: u32, digits: usize, text: &mut String) {
    if digits == 0 {
        return;
    }
    let mut buffer = itoa::Buffer::new();
    // A digit before the fraction keeps its zeros.
    let number = buffer.format(1_000_000_000 + ns.min(999_999_999));
    text.push('.');
    text.push_str(&number[1..=digits]);
}

/// The whole seconds since 1970, rounded down, and the nanoseconds since then. `None` for times outside
/// of the years from -9999 to 9999.
pub(super) fn second_and_ns(time: SystemTime) -> Option<(i64, u32)> {
    if let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) {
        // The conversion by `Timestamp` costs several times as much.
        let second = i64::try_from(since.as_secs()).ok()?;
        return (second <= Timestamp::MAX.as_second()).then_some((second, since.subsec_nanos()));
    }
    let time = Timestamp::try_from(time).ok()?;
    let (second, ns) = (time.as_second(), time.subsec_nanosecond());
    // Both are negative before 1970.
    let (second, ns) = if ns < 0 { (second - 1, ns + 1_000_000_000) } else { (second, ns) };
    Some((second, ns.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(offset_minutes: i32) -> Clock {
        let offset = jiff::tz::Offset::from_seconds(60 * offset_minutes).expect("an offset");
        Clock::new(Box::leak(Box::new(TimeZone::fixed(offset))))
    }

    fn of_day(time: &str) -> Moment {
        Moment::OfDay(time.parse::<Timestamp>().expect("a time").into())
    }

    #[test]
    fn times_are_as_precise_as_fits() {
        let mut clock = clock(-300);
        let time = of_day("2026-01-02T08:04:05.678912Z");
        let since = Moment::SinceStart(Duration::from_micros(12_345_678_912));
        for (width, of_day, since_start) in [
            (Some(15), "03:04:05.678912", "   12345.678912"),
            (Some(12), "03:04:05.678", "   12345.679"),
            (Some(8), "03:04:05", "   12346"),
            (None, "", ""),
        ] {
            for (moment, expected) in [(time, of_day), (since, since_start)] {
                let mut line = String::new();
                clock.write(moment, width, &mut line);
                assert_eq!(line, expected);
            }
        }
    }

    #[test]
    fn each_second_has_its_own_text() {
        let mut clock = clock(0);
        for (time, expected) in [
            ("2026-01-02T03:04:05.000001Z", "03:04:05.000001"),
            ("2026-01-02T03:04:05.999999Z", "03:04:05.999999"),
            ("2026-01-02T03:04:06.000000Z", "03:04:06.000000"),
            ("2026-01-02T03:04:05.5Z", "03:04:05.500000"),
            ("1969-12-31T23:59:59.25Z", "23:59:59.250000"),
        ] {
            let mut line = String::new();
            clock.write(of_day(time), Some(15), &mut line);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn the_offset_is_that_of_the_time() {
        // Summer time starts on the last Sunday of March at 01:00 UTC.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let mut clock = Clock::new(Box::leak(Box::new(zone)));
        assert_eq!(clock.offset(of_day("2026-03-29T00:59:59.9Z")), "+01:00");
        assert_eq!(clock.offset(of_day("2026-03-29T01:00:00Z")), "+02:00");
    }

    #[test]
    fn headings_have_the_offset() {
        let (mut clock, time) = (clock(330), of_day("2026-01-02T03:04:05Z"));
        assert_eq!(clock.heading(time, Some(15)), "TIME +05:30    ");
        assert_eq!(clock.heading(time, Some(12)), "TIME +05:30 ");
        assert_eq!(clock.heading(time, Some(8)), "+05:30  ");
        let since = Moment::SinceStart(Duration::ZERO);
        assert_eq!(clock.heading(since, Some(8)), "SECONDS ");
    }
}
