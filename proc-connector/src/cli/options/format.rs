//! Options for the format of events.

use proc_connector::Filter;

use crate::cli::output::page::Page;

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct FormatOptions {
    /// Write one JSON object per line.
    ///
    /// The keys are the names of the event's fields, and `event`, `cpu`, `seq` and `time`. `time` is
    /// in UTC, regardless of TZ. `exit_signal` is the signal that the parent receives; it is
    /// 4294967295 (-1) for the exit of a thread, which sends no signal.
    #[arg(long)]
    pub(crate) json: bool,

    /// Add `process` to each object: the process that the event is about, with its name, arguments,
    /// user and container (requires --json).
    #[arg(long, requires = "json")]
    pub(crate) who: bool,

    /// Include threads in the output without --json, which leaves them out by default.
    #[arg(long, conflicts_with = "processes")]
    threads: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl FormatOptions {
    /// Restricts a filter to processes if the output leaves threads out.
    pub(crate) fn restrict(&self, filter: Filter) -> Filter {
        if self.json || self.threads { filter } else { filter.processes_only() }
    }

    /// The page for lines in columns.
    pub(crate) fn page(&self) -> Page {
        Page::stdout(self.wide)
    }
}
