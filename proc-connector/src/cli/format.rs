//! In which form events are shown: the same options for `watch` and `replay`.

use std::io::{self, IsTerminal};

use super::columns::terminal_width;

#[derive(Debug, clap::Args)]
pub(super) struct Format {
    /// Write one JSON object per line.
    ///
    /// The keys are the names of the event's fields, and `event`, `cpu`, `seq` and `time`. `time` is
    /// in UTC, regardless of TZ. `exit_signal` is the signal that the parent receives; it is
    /// 4294967295 (-1) for the exit of a thread, which sends no signal.
    #[arg(long)]
    pub(super) json: bool,

    /// Add `process` to each object: the name, arguments, user, container and more of the event's
    /// process, where known (requires --json).
    #[arg(long, requires = "json")]
    pub(super) who: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl Format {
    /// What the lines are to fit.
    pub(super) fn page(&self) -> Page {
        Page { is_terminal: io::stdout().is_terminal(), is_wide: self.wide }
    }
}

/// Where lines are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    is_terminal: bool,
    is_wide: bool,
}

impl Page {
    /// Whether someone looks at it, and wants the columns to have headings.
    pub(super) fn has_headings(self) -> bool {
        self.is_terminal
    }

    /// To how many columns to cut lines, if at all: as the terminal is now.
    pub(super) fn width(self) -> Option<usize> {
        if self.is_wide { None } else { terminal_width() }
    }
}
