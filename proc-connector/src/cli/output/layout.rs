//! The columns of a line. At least a third of the line is reserved for the command.

use unicode_width::UnicodeWidthStr;

use super::columns::{fitted, padded};

/// The values in a line, except the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) user: &'a str,
    pub(super) detail: &'a str,
    pub(super) command: &'a str,
}

/// The names of the columns.
pub(super) const HEADINGS: Cells<'_> =
    Cells { kind: "KIND", id: "PID", user: "USER", detail: "DETAIL", command: "COMMAND" };

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
const LAYOUTS: [Layout; 11] = [
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

    /// A line without its time, in two parts: the kind, which has its own colour, and the rest.
    pub(super) fn line(&self, cells: Cells<'_>) -> (String, String) {
        let kind = self.exactly(cells.kind, self.kind);
        let mut spare = self.width.map(|width| {
            // Other columns may use the width that a short command leaves.
            let available = before_command(width).max(width.saturating_sub(cells.command.width()));
            available.saturating_sub(self.before_command())
        });
        let mut rest = String::new();
        if self.kind > 0 {
            rest.push(' ');
        }
        if self.id > 0 {
            let id = format!("{:>width$}", cells.id, width = self.id);
            self.push(&mut rest, &id, self.id, &mut spare);
        }
        self.push(&mut rest, cells.user, self.user, &mut spare);
        self.push(&mut rest, cells.detail, self.detail, &mut spare);
        rest.push_str(cells.command);
        let before = if self.time > 0 { self.time + self.gap } else { 0 } + self.kind;
        let left = self.width.map(|width| width.saturating_sub(before));
        (kind, fitted(rest.trim_end(), left))
    }

    /// Adds a column, and widens it for a long value while spare width lasts.
    fn push(&self, line: &mut String, value: &str, width: usize, spare: &mut Option<usize>) {
        if width == 0 {
            return;
        }
        let more = value.width().saturating_sub(width);
        let more = spare.map_or(more, |spare| more.min(spare));
        *spare = spare.map(|spare| spare - more);
        line.push_str(&self.exactly(value, width + more));
        line.push_str(&" ".repeat(self.gap));
    }

    /// A value padded to this width, and cut to it if the width of lines is limited.
    fn exactly(&self, value: &str, width: usize) -> String {
        let cut = self.width.map(|_| width);
        padded(&fitted(value, cut), width)
    }
}

/// The width available before the command, which gets a third of the line.
fn before_command(width: usize) -> usize {
    2 * width / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells<'a>(user: &'a str, detail: &'a str, command: &'a str) -> Cells<'a> {
        Cells { kind: "coredump", id: "4194303", user, detail, command }
    }

    #[test]
    fn a_third_of_every_line_is_left_for_the_command() {
        let long = ["x".repeat(300), "漢".repeat(300), "e\u{301}".repeat(300), "🙂".repeat(300)];
        for width in 1..=300 {
            let layout = Layout::new(Some(width));
            for (user, detail) in long.iter().zip(long.iter().rev()) {
                let (kind, rest) = layout.line(cells(user, detail, &"#".repeat(300)));
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
            let (_, rest) = Layout::new(Some(width)).line(cells);
            assert!(rest.contains("a-long-user-name"), "{width}: {rest}");
            assert!(rest.ends_with("exit 3 after 12 ms  make") || width > 80, "{width}: {rest}");
        }
        let (_, rest) = Layout::new(None).line(cells);
        assert!(rest.ends_with("make") && !rest.contains('…'), "{rest}");
    }

    #[test]
    fn the_time_is_shown_where_it_fits() {
        for (width, time) in [(None, Some(15)), (Some(200), Some(15)), (Some(80), Some(8))] {
            assert_eq!(Layout::new(width).time(), time, "{width:?}");
        }
        assert_eq!(Layout::new(Some(30)).time(), None);
    }
}
