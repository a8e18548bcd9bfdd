//! The page that lines of events are shown on.

use std::io::{self, IsTerminal};

use super::columns::terminal_width;

/// What standard output shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    is_terminal: bool,
    is_wide: bool,
}

impl Page {
    /// Standard output, with lines of any length if `is_wide`.
    pub(crate) fn stdout(is_wide: bool) -> Self {
        Self { is_terminal: io::stdout().is_terminal(), is_wide }
    }

    /// Whether the columns have headings, which only people need.
    pub(super) fn has_headings(self) -> bool {
        self.is_terminal
    }

    /// The width to cut lines to: that of the terminal at this moment.
    pub(super) fn width(self) -> Option<usize> {
        if self.is_wide { None } else { terminal_width() }
    }
}
