//! In which form events are shown: the same options for `watch` and `replay`.

use super::columns::terminal_width;

#[derive(Debug, clap::Args)]
pub(super) struct Format {
    /// One JSON object a line.
    #[arg(long)]
    pub(super) json: bool,

    /// With --json, whose event each is, as `process`: its name, arguments, user, container and more,
    /// as far as they are known.
    #[arg(long, requires = "json")]
    pub(super) who: bool,

    /// Do not cut lines to the width of the terminal.
    #[arg(long, short)]
    wide: bool,
}

impl Format {
    /// To how many columns to cut lines.
    pub(super) fn width(&self) -> Option<usize> {
        if self.wide { None } else { terminal_width() }
    }
}
