//! Options for the format of events.

use crate::cli::failure::Failure;
use crate::cli::output::human::Columns;
use crate::cli::output::page::Page;

/// A format of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Lines in columns
    Text,
    /// One JSON object per line, with the fields of the event
    Json,
    /// One event of the Open Cybersecurity Schema Framework per line
    Ocsf,
}

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct FormatOptions {
    /// Set the format of the output. The default is text.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// Write one JSON object per line: the short form of --format json.
    ///
    /// The keys are the names of the event's fields, and `event`, `cpu`, `seq` and `time`. `time` is
    /// in UTC, regardless of TZ. `exit_signal` is the signal that the parent receives; it is
    /// 4294967295 (-1) for the exit of a thread, which sends no signal.
    #[arg(long)]
    json: bool,

    /// Add `process` to each object: the process that the event is about, with its identity, name,
    /// arguments, user and container (requires --json). Exits also show how the process ended.
    #[arg(long)]
    pub(crate) who: bool,

    /// Include threads in the output as text and as OCSF, which leaves them out by default.
    #[arg(long, conflicts_with = "processes")]
    threads: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl FormatOptions {
    /// The format of the output. `context` is the option that adds `task` to JSON.
    pub(crate) fn format(&self, context: bool) -> Result<Format, Failure> {
        let format = match (self.format, self.json) {
            (None, false) => Format::Text,
            (None | Some(Format::Json), true) => Format::Json,
            (Some(_), true) => {
                return Err(Failure::Contradiction("--json contradicts the other --format"));
            }
            (Some(format), false) => format,
        };
        if format == Format::Json {
            return Ok(format);
        }
        for (is_given, error) in [
            (self.who, "--who requires --json: the other formats always identify the process"),
            (context, "--context requires --json"),
        ] {
            if is_given {
                return Err(Failure::Contradiction(error));
            }
        }
        Ok(format)
    }

    /// Whether the output includes threads.
    pub(crate) fn includes_threads(&self, format: Format) -> bool {
        self.threads || format == Format::Json
    }

    /// The properties of lines in columns.
    pub(crate) fn columns(&self) -> Columns {
        Columns { page: Page::stdout(self.wide), threads: self.threads }
    }
}
