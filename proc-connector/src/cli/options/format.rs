//! In which form events are shown: the same options for `watch` and `replay`.

use std::io::{self, IsTerminal};

use crate::cli::output::columns::terminal_width;

#[derive(Debug, clap::Args)]
pub(crate) struct Format {
    /// Write one JSON object a line.
    ///
    /// Its keys are the names of the event's fields, and `event`, `cpu`, `seq` and `time`, which is
    /// in UTC whatever TZ is. `exit_signal` is the signal that the parent is sent, 4294967295 (-1)
    /// for the exit of a thread: no signal is sent for that.
    #[arg(long)]
    pub(crate) json: bool,

    /// With --json, whose event each is, as `process`: its name, arguments, user, container and more,
    /// as far as they are known.
    #[arg(long, requires = "json")]
    pub(crate) who: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl Format {
    /// What the lines are to fit.
    pub(crate) fn page(&self) -> Page {
        Page { is_terminal: io::stdout().is_terminal(), is_wide: self.wide }
    }
}

/// Where lines are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    is_terminal: bool,
    is_wide: bool,
}

impl Page {
    /// Whether someone looks at it, and wants the columns to have headings.
    pub(crate) fn has_headings(self) -> bool {
        self.is_terminal
    }

    /// To how many columns to cut lines, if at all: as the terminal is now.
    pub(crate) fn width(self) -> Option<usize> {
        if self.is_wide { None } else { terminal_width() }
    }
}
