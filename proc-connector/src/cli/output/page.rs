//! The page on which lines of events are shown.

use std::io::{self, IsTerminal};

/// The properties of standard output that affect lines in columns.
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

    /// Whether the columns have headings, which programs do not expect.
    pub(super) fn has_headings(self) -> bool {
        self.is_terminal
    }

    /// The width to cut lines to: that of the terminal at this moment.
    pub(crate) fn width(self) -> Option<usize> {
        if self.is_wide || !self.is_terminal {
            return None;
        }
        terminal_size::terminal_size().map(|(width, _)| width.0.into())
    }
}
