//! The table of ended processes, with what they used.

use std::fmt::Write;

use anstyle::Style;
use proc_connector::Transport;

use super::line::{GAP, Line};
use super::report::Report;
use super::rows::{Ends, Key, Row};
use crate::cli::output::columns::{short_size, short_time};

/// The property by which ended processes are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// The name of the process, which is usually that of its program.
    #[default]
    Name,
    /// The effective user.
    User,
    /// The cgroup.
    Cgroup,
}

/// A column before the name.
struct Column {
    heading: &'static str,
    width: usize,
    needs_usage: bool,
    text: fn(&Ends) -> Option<String>,
}

/// The most important columns first.
const COLUMNS: [Column; 4] = [
    Column {
        heading: "CPU",
        width: 7,
        needs_usage: true,
        text: |ends| Some(short_time(ends.usage?.cpu_ns)),
    },
    Column {
        heading: "MEM",
        width: 5,
        needs_usage: true,
        text: |ends| Some(short_size(ends.usage?.max_rss?)),
    },
    Column {
        heading: "ENDED",
        width: 6,
        needs_usage: false,
        text: |ends| Some(ends.count.to_string()),
    },
    Column {
        heading: "FAILED",
        width: 6,
        needs_usage: false,
        text: |ends| Some(ends.failed.to_string()),
    },
];

/// The minimum width of a name.
const NAME: usize = 12;

/// The headings, and at most this many rows.
pub(super) fn lines(report: &Report, by: By, rows: usize, width: usize) -> Vec<Line> {
    let columns = columns(report.transport, width);
    let heading = match by {
        By::Name => "BY NAME",
        By::User => "BY USER",
        By::Cgroup => "BY CGROUP",
    };
    let headings = columns.iter().map(|column| (column.heading.to_owned(), column.width));
    let headings = Line::new(joined(headings, heading), Style::new().bold(), width);
    let rows = match by {
        By::Name => texts(&columns, &report.ended_by_name, rows),
        By::User => texts(&columns, &report.ended_by_user, rows),
        By::Cgroup => texts(&columns, &report.ended_by_cgroup, rows),
    };
    let rows = rows.into_iter().map(|text| Line::new(text, Style::new(), width));
    [headings].into_iter().chain(rows).collect()
}

/// The columns that fit, and whose values the transport reports.
fn columns(transport: Transport, width: usize) -> Vec<&'static Column> {
    let mut left = width.saturating_sub(NAME);
    let known = |column: &&Column| transport == Transport::Ring || !column.needs_usage;
    let fits = |column: &&Column| {
        let fits = left.checked_sub(column.width + GAP);
        left = fits.unwrap_or(0);
        fits.is_some()
    };
    COLUMNS.iter().filter(known).take_while(fits).collect()
}

fn texts<K: Key>(columns: &[&Column], rows: &[Row<K, Ends>], most: usize) -> Vec<String> {
    let text = |row: &Row<K, Ends>| {
        let cells = columns
            .iter()
            .map(|column| ((column.text)(&row.value).unwrap_or_default(), column.width));
        joined(cells, &row.key.text())
    };
    rows.iter().take(most).map(text).collect()
}

fn joined(cells: impl Iterator<Item = (String, usize)>, name: &str) -> String {
    let mut text = String::new();
    for (cell, width) in cells {
        let _ = write!(text, "{cell:>width$}{:GAP$}", "");
    }
    text + name
}
