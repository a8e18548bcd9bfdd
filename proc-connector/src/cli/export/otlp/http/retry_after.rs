//! The header `Retry-After`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Reads a number of seconds or an HTTP date. A date is relative to the receiver's own clock, if the
/// answer contains it.
pub(super) fn parse(value: &str, now: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = date(value)?;
    let now = now.and_then(date).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            // In the past.
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(parse(value, now), seconds.map(Duration::from_secs), "{value}");
        }
        // Without a date in the answer, this machine's clock decides.
        let after = parse("Fri, 31 Dec 2199 23:59:59 GMT", None).expect("a date");
        assert!(after > Duration::from_secs(365 * 24 * 3600));
    }
}
