//! Options for the form in which events are shown.

use crate::cli::output::page::Page;

#[derive(Debug, clap::Args)]
pub(crate) struct FormatOptions {
    /// Write one JSON object per line.
    ///
    /// The keys are the names of the event's fields, and `event`, `cpu`, `seq` and `time`. `time` is
    /// in UTC, regardless of TZ. `exit_signal` is the signal that the parent receives; it is
    /// 4294967295 (-1) for the exit of a thread, which sends no signal.
    #[arg(long)]
    pub(crate) json: bool,

    /// Add `process` to each object: the name, arguments, user, container and more of the event's
    /// process, where known (requires --json).
    #[arg(long, requires = "json")]
    pub(crate) who: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl FormatOptions {
    /// The page that the lines have to fit.
    pub(crate) fn page(&self) -> Page {
        Page::stdout(self.wide)
    }
}
