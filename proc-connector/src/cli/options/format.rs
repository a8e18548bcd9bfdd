//! Options for the format of events.

use crate::cli::output::human::Columns;
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

    /// Add `process` to each object: the process that the event is about, with its identity, name,
    /// arguments, user and container (requires --json). Exits also show how the process ended.
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
    /// Whether the output includes threads.
    pub(crate) fn includes_threads(&self) -> bool {
        self.json || self.threads
    }

    /// The properties of lines in columns.
    pub(crate) fn columns(&self) -> Columns {
        Columns { page: Page::stdout(self.wide), threads: self.threads }
    }
}
