//! The time of an event, formatted for a column.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::columns::{fitted, padded};
use super::layout::{MICROSECONDS, MILLISECONDS};

/// The time of an event.
#[derive(Debug)]
pub(super) enum Moment {
    OfDay(Zoned),
    /// Time since boot, if the time of day is unknown.
    SinceStart(Duration),
}

impl Moment {
    pub(super) fn of_day(time: SystemTime, zone: &TimeZone) -> Self {
        let time = Timestamp::try_from(time).unwrap_or_default();
        Self::OfDay(time.to_zoned(zone.clone()))
    }

    /// The time, as precise as the column's width allows; empty without a column.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let Some(width) = width else { return String::new() };
        let digits = match width {
            MICROSECONDS.. => 6,
            MILLISECONDS.. => 3,
            _ => 0,
        };
        match self {
            Self::OfDay(time) if digits > 0 => {
                time.strftime(&format!("%H:%M:%S%.{digits}f")).to_string()
            }
            Self::OfDay(time) => time.strftime("%H:%M:%S").to_string(),
            Self::SinceStart(time) => format!("{:>width$.digits$}", time.as_secs_f64()),
        }
    }

    /// The offset from UTC; empty for a time since boot.
    pub(super) fn offset(&self) -> String {
        match self {
            Self::OfDay(time) => time.strftime("%:z").to_string(),
            Self::SinceStart(_) => String::new(),
        }
    }

    /// The heading of the column, if it exists. The heading of a narrow column is only the offset.
    pub(super) fn heading(&self, width: Option<usize>) -> String {
        let Some(width) = width else { return String::new() };
        let heading = match self.offset() {
            offset if offset.is_empty() => "SECONDS".to_owned(),
            offset if width < MILLISECONDS => offset,
            offset => format!("TIME {offset}"),
        };
        padded(&fitted(&heading, Some(width)), width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_precise_as_fits() {
        let time =
            Moment::OfDay("2026-01-02T03:04:05.678912-05:00[-05:00]".parse().expect("a time"));
        let since = Moment::SinceStart(Duration::from_micros(12_345_678_912));
        for (width, of_day, since_start) in [
            (Some(15), "03:04:05.678912", "   12345.678912"),
            (Some(12), "03:04:05.678", "   12345.679"),
            (Some(8), "03:04:05", "   12346"),
            (None, "", ""),
        ] {
            assert_eq!(time.text(width), of_day);
            assert_eq!(since.text(width), since_start);
        }
    }

    #[test]
    fn headings_have_the_offset() {
        let time = Moment::OfDay("2026-01-02T03:04:05+05:30[+05:30]".parse().expect("a time"));
        assert_eq!(time.heading(Some(15)), "TIME +05:30    ");
        assert_eq!(time.heading(Some(12)), "TIME +05:30 ");
        assert_eq!(time.heading(Some(8)), "+05:30  ");
        assert_eq!(Moment::SinceStart(Duration::ZERO).heading(Some(8)), "SECONDS ");
    }
}
