//! The columns of a line. At least a third of the line is reserved for the command.

use super::columns::fitted;
use crate::cli::shown::width as columns;

/// The values in a line, except the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) user: &'a str,
    pub(super) detail: &'a str,
    /// More detail, which is shown only where the column is wide enough for all of it.
    pub(super) more: &'a str,
    pub(super) command: &'a str,
}

/// The names of the columns.
pub(super) const HEADINGS: Cells<'_> =
    Cells { kind: "KIND", id: "PID", user: "USER", detail: "DETAIL", more: "", command: "COMMAND" };

/// The width of each column before the command. A column of width 0 is omitted; a long value may use
/// spare width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    time: usize,
    kind: usize,
    id: usize,
    user: usize,
    detail: usize,
    gap: usize,
    /// The width of the line, if it is limited.
    width: Option<usize>,
}

/// The widths of a time with microseconds, milliseconds and seconds.
pub(super) const MICROSECONDS: usize = 15;
pub(super) const MILLISECONDS: usize = 12;
const SECONDS: usize = 8;

/// From the widest to the narrowest.
const LAYOUTS: [Layout; 12] = [
    Layout::with_widths(MICROSECONDS, 8, 7, 8, 36, 2),
    Layout::with_widths(MICROSECONDS, 8, 7, 8, 24, 2),
    Layout::with_widths(MILLISECONDS, 8, 7, 8, 18, 2),
    Layout::with_widths(SECONDS, 8, 7, 8, 18, 2),
    Layout::with_widths(SECONDS, 8, 7, 8, 12, 2),
    Layout::with_widths(SECONDS, 8, 7, 0, 12, 2),
    Layout::with_widths(SECONDS, 8, 7, 0, 6, 2),
    Layout::with_widths(0, 8, 7, 0, 6, 2),
    Layout::with_widths(0, 4, 7, 0, 6, 2),
    Layout::with_widths(0, 4, 7, 0, 0, 1),
    Layout::with_widths(0, 0, 7, 0, 0, 1),
    Layout::with_widths(0, 0, 0, 0, 0, 0),
];

impl Layout {
    const fn with_widths(
        time: usize,
        kind: usize,
        id: usize,
        user: usize,
        detail: usize,
        gap: usize,
    ) -> Self {
        Self { time, kind, id, user, detail, gap, width: None }
    }

    /// The layout for lines of this width, or of unlimited width.
    pub(super) fn new(width: Option<usize>) -> Self {
        let fits = |layout: &&Self| {
            width.is_none_or(|width| layout.before_command() <= before_command(width))
        };
        let [widest, .., narrowest] = &LAYOUTS;
        let mut layout = Self { width, ..*LAYOUTS.iter().find(fits).unwrap_or(narrowest) };
        if let Some(width) = width.filter(|_| layout.detail > 0) {
            let spare = before_command(width).saturating_sub(layout.before_command());
            layout.detail = widest.detail.min(layout.detail + spare);
        }
        layout
    }

    /// The width of the time column, if it is shown.
    pub(super) fn time(&self) -> Option<usize> {
        Some(self.time).filter(|&time| time > 0)
    }

    /// The width of all columns before the command.
    fn before_command(&self) -> usize {
        let with_gap = |width: usize, gap| if width > 0 { width + gap } else { 0 };
        [self.time, self.id, self.user, self.detail]
            .into_iter()
            .map(|width| with_gap(width, self.gap))
            .chain([with_gap(self.kind, 1)])
            .sum()
    }

    /// Appends the kind, which has its own colour.
    pub(super) fn write_kind(&self, kind: &str, line: &mut String) {
        self.write_exactly(kind, self.kind, line);
    }

    /// Appends the columns after the kind.
    pub(super) fn write_rest(&self, cells: Cells<'_>, line: &mut String) {
        if self.width.is_none() {
            return self.write_all(cells, line);
        }
        let start = line.len();
        let mut spare = self.width.map(|width| {
            // Other columns may use the width that a short command leaves.
            let available = before_command(width).max(width.saturating_sub(columns(cells.command)));
            available.saturating_sub(self.before_command())
        });
        if self.kind > 0 {
            line.push(' ');
        }
        if self.id > 0 {
            let missing = self.id.saturating_sub(cells.id.len());
            pad(line, missing);
            self.write(cells.id, self.id - missing, &mut spare, line);
        }
        self.write(cells.user, self.user, &mut spare, line);
        self.write_detail(cells, &mut spare, line);
        line.push_str(cells.command);
        line.truncate(line[..].trim_end().len().max(start));
        let before = if self.time > 0 { self.time + self.gap } else { 0 } + self.kind;
        if let Some(width) = self.width {
            cut(line, start, width.saturating_sub(before));
        }
    }

    /// Appends the columns after the kind to a line of unlimited width, which has all columns.
    fn write_all(&self, cells: Cells<'_>, line: &mut String) {
        line.push(' ');
        pad(line, self.id.saturating_sub(cells.id.len()));
        line.push_str(cells.id);
        pad(line, self.gap);
        line.push_str(cells.user);
        pad(line, self.user.saturating_sub(columns(cells.user)) + self.gap);
        line.push_str(cells.detail);
        line.push_str(cells.more);
        let detail = columns(cells.detail) + columns(cells.more);
        pad(line, self.detail.saturating_sub(detail) + self.gap);
        line.push_str(cells.command);
        if line.ends_with(' ') {
            line.truncate(line.trim_end().len());
        }
    }

    fn write_detail(&self, cells: Cells<'_>, spare: &mut Option<usize>, line: &mut String) {
        let all = columns(cells.detail) + columns(cells.more);
        if cells.more.is_empty() || (self.width.is_some() && all > self.detail) {
            return self.write(cells.detail, self.detail, spare, line);
        }
        if self.detail > 0 {
            line.push_str(cells.detail);
            line.push_str(cells.more);
            pad(line, self.detail.saturating_sub(all) + self.gap);
        }
    }

    /// Appends a column, and widens it for a long value while spare width lasts.
    fn write(&self, value: &str, width: usize, spare: &mut Option<usize>, line: &mut String) {
        if width == 0 {
            return;
        }
        let more = columns(value).saturating_sub(width);
        let more = spare.map_or(more, |spare| more.min(spare));
        *spare = spare.map(|spare| spare - more);
        self.write_exactly(value, width + more, line);
        pad(line, self.gap);
    }

    /// Appends a value padded to this width, and cut to it if the width of lines is limited.
    fn write_exactly(&self, value: &str, width: usize, line: &mut String) {
        let start = line.len();
        line.push_str(value);
        if self.width.is_some() {
            cut(line, start, width);
        }
        let missing = width.saturating_sub(columns(&line[start..]));
        pad(line, missing);
    }
}

/// Appends this number of spaces.
fn pad(line: &mut String, number: usize) {
    const SPACES: &str = "                                        ";
    match SPACES.get(..number) {
        Some(spaces) => line.push_str(spaces),
        None => line.extend(std::iter::repeat_n(' ', number)),
    }
}

/// Cuts the text from `start` on to a width.
fn cut(line: &mut String, start: usize, width: usize) {
    if columns(&line[start..]) > width {
        let fitting = fitted(&line[start..], Some(width));
        line.truncate(start);
        line.push_str(&fitting);
    }
}

/// The width available before the command, which gets a third of the line.
fn before_command(width: usize) -> usize {
    2 * width / 3
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn cells<'a>(user: &'a str, detail: &'a str, command: &'a str) -> Cells<'a> {
        Cells { kind: "coredump", id: "4194303", user, detail, more: "", command }
    }

    fn line(layout: &Layout, cells: Cells<'_>) -> (String, String) {
        let (mut kind, mut rest) = (String::new(), String::new());
        layout.write_kind(cells.kind, &mut kind);
        layout.write_rest(cells, &mut rest);
        (kind, rest)
    }

    #[test]
    fn a_third_of_every_line_is_left_for_the_command() {
        let long = ["x".repeat(300), "漢".repeat(300), "e\u{301}".repeat(300), "🙂".repeat(300)];
        for width in 1..=300 {
            let layout = Layout::new(Some(width));
            for (user, detail) in long.iter().zip(long.iter().rev()) {
                let (kind, rest) = line(&layout, cells(user, detail, &"#".repeat(300)));
                let time = layout.time().map_or(0, |time| time + layout.gap);
                let all = time + kind.width() + rest.width();
                assert_eq!(all, width, "{kind}{rest}");
                let command = rest.chars().filter(|&letter| letter == '#').count();
                // Plus one for the ellipsis.
                assert!(3 * (command + 1) >= width, "{width}: {kind}{rest}");
            }
        }
    }

    #[test]
    fn values_that_fit_are_not_cut() {
        let cells = cells("a-long-user-name", "exit 3 after 12 ms", "make");
        for width in [80, 120, 200] {
            let (_, rest) = line(&Layout::new(Some(width)), cells);
            assert!(rest.contains("a-long-user-name"), "{width}: {rest}");
            assert!(rest.ends_with("exit 3 after 12 ms  make") || width > 80, "{width}: {rest}");
        }
        let (_, rest) = line(&Layout::new(None), cells);
        assert!(rest.ends_with("make") && !rest.contains('…'), "{rest}");
    }

    #[test]
    fn more_detail_is_shown_where_all_of_it_fits() {
        let more = ", 9.8 ms CPU, 34M";
        let cells = Cells { more, ..cells("root", "exit 3 after 12 ms", "make") };
        for (width, is_shown) in
            [(None, true), (Some(200), true), (Some(120), false), (Some(80), false)]
        {
            let (_, rest) = line(&Layout::new(width), cells);
            assert_eq!(rest.contains(more), is_shown, "{width:?}: {rest}");
            assert!(rest.contains("exit 3 after 12 ms") && rest.ends_with("  make"), "{rest}");
            assert!(is_shown || !rest.contains("CPU"), "{rest}");
        }
    }

    #[test]
    fn a_line_of_unlimited_width_has_aligned_columns() {
        let layout = Layout::new(None);
        // The last two are the widths of the columns in characters: a wide one takes two columns.
        for (user, detail, user_len, detail_len) in [
            ("root", "", 8, 36),
            ("root", "5 µs", 8, 36),
            ("漢字", "5 漢 µs", 6, 35),
            ("a-long-user", "x", 11, 36),
        ] {
            let expected = format!(" 4194303  {user:<user_len$}  {detail:<detail_len$}  make");
            assert_eq!(line(&layout, cells(user, detail, "make")).1, expected);
        }
        assert_eq!(line(&layout, cells("root", "", "")).1, " 4194303  root");
        let trimmed = line(&layout, cells("root", "", "a  ")).1;
        assert!(trimmed.ends_with("  a"), "{trimmed:?}");
    }

    #[test]
    fn the_time_is_shown_where_it_fits() {
        for (width, time) in [(None, Some(15)), (Some(200), Some(15)), (Some(80), Some(8))] {
            assert_eq!(Layout::new(width).time(), time, "{width:?}");
        }
        assert_eq!(Layout::new(Some(30)).time(), None);
    }
}
