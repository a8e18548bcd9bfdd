//! Options for the form in which events are shown.

use proc_connector::Filter;

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

    /// Include threads, which the output in columns leaves out by default. JSON always includes them.
    #[arg(long, conflicts_with = "processes")]
    threads: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl FormatOptions {
    /// Removes threads from a filter if the output leaves them out.
    pub(crate) fn restrict(&self, filter: Filter) -> Filter {
        if self.json || self.threads { filter } else { filter.processes_only() }
    }

    /// The page that the lines have to fit.
    pub(crate) fn page(&self) -> Page {
        Page::stdout(self.wide)
    }
}
