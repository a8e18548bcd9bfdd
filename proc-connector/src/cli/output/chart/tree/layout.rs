//! The columns of a tree that fit a width.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::row::Row;

/// The width of each column before the command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// `None` for a column that is left out.
    numbers: [Option<usize>; Row::NUMBERS.len()],
    end: usize,
}

/// The minimum width of a command, even on a narrow terminal.
pub(super) const MIN_COMMAND: usize = 20;

/// The spaces between columns.
const GAP: usize = 2;
/// The mark of a failure, and the space after it.
const MARK: usize = 2;
/// The process id and the run time, which are never left out.
const ALWAYS: usize = 2;

impl Layout {
    /// The layout of these lines for a width, or for an unlimited width. The tree and its commands keep
    /// two fifths of the width. A column without values, or with zeros only, is left out.
    pub(super) fn new(rows: &[Row], width: Option<usize>) -> Self {
        let widest = |cell: &dyn Fn(&Row) -> usize| rows.iter().map(cell).max().unwrap_or_default();
        let end = widest(&|row| row.end.width()).max("END".len());
        let mut layout = Self { numbers: [None; Row::NUMBERS.len()], end };
        for (place, heading) in Row::NUMBERS.iter().enumerate() {
            let is_shown = |row: &Row| !matches!(row.numbers[place].as_str(), "" | "0");
            if place >= ALWAYS && !rows.iter().any(is_shown) {
                continue;
            }
            let width_of_column = widest(&|row| row.numbers[place].width()).max(heading.len());
            layout.numbers[place] = Some(width_of_column);
            let fits = |width: usize| layout.left(width) >= (width * 2 / 5).max(MIN_COMMAND);
            if place >= ALWAYS && !width.is_none_or(fits) {
                layout.numbers[place] = None;
                break;
            }
        }
        layout
    }

    /// The width that is left for the tree and the command.
    pub(super) fn left(&self, width: usize) -> usize {
        let numbers: usize = self.numbers.iter().flatten().map(|number| number + GAP).sum();
        width.saturating_sub(numbers + MARK + self.end + GAP)
    }

    /// The columns up to the command.
    pub(super) fn cells(&self, numbers: &[impl AsRef<str>], mark: char, end: &str) -> String {
        let mut text = String::new();
        for (number, width) in numbers.iter().zip(self.numbers) {
            let Some(width) = width else { continue };
            let _ = write!(text, "{:>width$}{:GAP$}", number.as_ref(), "");
        }
        let _ = write!(text, "{mark} {end:<width$}", width = self.end);
        text
    }
}
