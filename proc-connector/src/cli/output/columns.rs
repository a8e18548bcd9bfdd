//! Text in terminal columns.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// The zero-width joiner, which joins letters to an emoji.
const JOINER: char = '\u{200d}';

/// Text padded with spaces to a column of `width`.
pub(super) fn padded(text: &str, width: usize) -> String {
    let spaces = width.saturating_sub(text.width());
    format!("{text}{:spaces$}", "")
}

/// Text cut to a width, if given, with an ellipsis for the omitted part.
pub(super) fn fitted(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|&width| width < text.width()) else { return text.to_owned() };
    let Some(left) = width.checked_sub(1) else { return String::new() };
    // The width of joined letters, such as an emoji, is not the sum of their widths.
    let ends = text.char_indices().map(|(start, letter)| start + letter.len_utf8());
    let end = ends.take_while(|&end| text[..end].width() <= left).last().unwrap_or(0);
    // A joiner at the end would combine with the ellipsis.
    format!("{}…", text[..end].trim_end_matches(JOINER))
}

/// A duration in nanoseconds, formatted with two or three digits.
pub(crate) fn short_time(ns: u64) -> String {
    let mut text = String::new();
    write_short_time(ns, &mut text);
    text
}

/// Appends a duration in nanoseconds, formatted with two or three digits.
pub(super) fn write_short_time(ns: u64, text: &mut String) {
    let (unit, name) = match ns {
        0..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        1_000_000_000.. => (1_000_000_000, "s"),
    };
    let (whole, tenths) = (ns / unit, ns % unit * 10 / unit);
    if name == "s" && whole >= 60 {
        let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
        // Writing to a string cannot fail.
        let _ = match hours {
            0 => write!(text, "{minutes}m{seconds:02}s"),
            _ => write!(text, "{hours}h{minutes:02}m"),
        };
        return;
    }
    write_number(whole, text);
    if whole < 10 && unit > 1 {
        text.push('.');
        write_number(tenths, text);
    }
    text.push(' ');
    text.push_str(name);
}

/// Appends a number. This is several times as fast as `write!`.
pub(super) fn write_number(number: impl itoa::Integer, text: &mut String) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// A size in bytes, formatted with up to four digits and a unit that is a power of 1024.
pub(crate) fn short_size(bytes: u64) -> String {
    let mut text = String::new();
    write_short_size(bytes, &mut text);
    text
}

/// Appends a size in bytes, formatted with up to four digits and a unit that is a power of 1024.
pub(super) fn write_short_size(bytes: u64, text: &mut String) {
    let units = [(1 << 10, 'K'), (1 << 20, 'M'), (1 << 30, 'G'), (1 << 40, 'T')];
    let Some((unit, name)) = units.into_iter().rfind(|&(unit, _)| bytes >= unit) else {
        write_number(bytes, text);
        return text.push_str(if bytes == 0 { "" } else { "B" });
    };
    let (whole, tenths) = (bytes / unit, bytes % unit * 10 / unit);
    write_number(whole, text);
    if whole < 10 {
        text.push('.');
        write_number(tenths, text);
    }
    text.push(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text_is_cut_with_an_ellipsis() {
        assert_eq!(fitted("abcdef", Some(6)), "abcdef");
        assert_eq!(fitted("abcdef", Some(5)), "abcd…");
        assert_eq!(fitted("abcdef", None), "abcdef");
        // Two columns each.
        assert_eq!(fitted("漢字漢字", Some(6)), "漢字…");
        // A letter and its accent; then a family of three and a flag, each two columns wide.
        assert_eq!(fitted("e\u{301}e\u{301}e\u{301}", Some(2)), "e\u{301}…");
        let family = "👩\u{200d}👩\u{200d}👧";
        assert_eq!(fitted(&format!("{family}abc"), Some(4)), format!("{family}a…"));
        assert_eq!(fitted("🇫🇷🇫🇷", Some(3)), "🇫🇷…");
        assert_eq!(fitted("abc", Some(1)), "…");
        assert_eq!(fitted("abc", Some(0)), "");
    }

    #[test]
    fn columns_are_as_wide_as_they_look() {
        assert_eq!(padded("漢字", 6), "漢字  ");
        assert_eq!(padded("too long", 3), "too long");
    }

    #[test]
    fn sizes_are_short() {
        let cases = [
            (0, "0"),
            (1, "1B"),
            (1_023, "1023B"),
            (4_096, "4.0K"),
            (10 * 1_024, "10K"),
            ((1 << 20) - 1, "1023K"),
            (3 << 19, "1.5M"),
            (62 << 20, "62M"),
            (5 << 30, "5.0G"),
            (u64::MAX, "16777215T"),
        ];
        for (bytes, text) in cases {
            assert_eq!(short_size(bytes), text);
        }
    }

    #[test]
    fn times_are_short() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.5 µs"),
            (12_345_678, "12 ms"),
            (9_990_000_000, "9.9 s"),
            (59_000_000_000, "59 s"),
            (61_000_000_000, "1m01s"),
            (7_265_000_000_000, "2h01m"),
        ];
        for (ns, text) in cases {
            assert_eq!(short_time(ns), text);
        }
    }
}
