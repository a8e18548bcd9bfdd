//! A report as text: lines that fit a width and a height.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use console::{Alignment, measure_text_width, pad_str, truncate_str};
use jiff::tz::TimeZone;

use super::report::{ByName, ByUser, Report, rate};
use crate::cli::shown::{Styles, screened, shown};

/// The width of a report that is not shown on a terminal.
pub(crate) const PLAIN_WIDTH: usize = 100;

/// Spaces between columns and between lists.
const GAP: usize = 2;

/// The widths of the columns of a list: the rate with a space, and the name.
const RATE: usize = 7;
const NAME: std::ops::RangeInclusive<usize> = 12..=32;

/// A line and its style.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) text: String,
    style: Style,
}

impl Line {
    fn new(text: impl Into<String>, style: Style, width: usize) -> Self {
        let text = screened(text.into().trim_end(), Styles::Escaped);
        Self { text: truncate_str(&text, width, "…").into_owned(), style }
    }

    pub(crate) fn width(&self) -> usize {
        measure_text_width(&self.text)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, style } = self;
        write!(f, "{style}{text}{style:#}")
    }
}

/// The report with times in a zone, as at most `height` lines of at most `width` columns.
pub(crate) fn lines(report: &Report, zone: &TimeZone, width: usize, height: usize) -> Vec<Line> {
    let mut lines = head(report, zone, width);
    let lists = lists(report);
    let columns = [4, 2, 1].into_iter().find(|&n| list_width(width, n) > RATE + NAME.start());
    let columns = columns.unwrap_or(1);
    let groups = lists.len() / columns;
    // Each group begins with an empty line and a line of headings.
    let rows = (height.saturating_sub(lines.len()) / groups).saturating_sub(2).max(1);
    for group in lists.chunks(columns) {
        lines.push(Line::new("", Style::new(), width));
        lines.extend(side_by_side(group, rows, width, list_width(width, columns)));
    }
    lines.truncate(height);
    lines
}

fn head(report: &Report, zone: &TimeZone, width: usize) -> Vec<Line> {
    let zoned = report.time.to_zoned(zone.clone());
    let per_second = |count| format_rate(rate(count, report.interval));
    let lost = match (report.losses, report.lost) {
        (0, _) => "none lost".to_owned(),
        (_, 0) => "some LOST".to_owned(),
        (_, lost) => format!("{lost} LOST"),
    };
    let style =
        if report.losses > 0 { AnsiColor::Red.on_default().bold() } else { Style::new().bold() };
    let first = format!(
        "{}  {} events/s in {:.1} s, {lost}",
        zoned.strftime("%H:%M:%S%:z"),
        per_second(report.events),
        report.interval,
    );
    let mut lines = vec![Line::new(first, style, width)];
    let mut kinds = String::new();
    for (kind, rate) in report.rate.iter().filter(|(_, rate)| *rate > 0.0) {
        let mut item = format!("{kind} {}/s", format_rate(rate));
        if kind == "fork" && report.threads > 0 {
            let _ = write!(item, " (threads {})", per_second(report.threads));
        }
        if !kinds.is_empty() && kinds.len() + GAP + item.len() > width {
            lines.push(Line::new(std::mem::take(&mut kinds), Style::new(), width));
        }
        if !kinds.is_empty() {
            kinds.push_str("  ");
        }
        kinds.push_str(&item);
    }
    if !kinds.is_empty() {
        lines.push(Line::new(kinds, Style::new(), width));
    }
    let mut processes =
        format!("{} processes, {}/s ended", report.processes, per_second(report.ended));
    if let Some(share) = report.short_lived_share {
        let _ = write!(processes, ", {:.1} % of them after less than 10 ms", share * 100.0);
    }
    lines.push(Line::new(processes, Style::new(), width));
    lines
}

/// A list's headings, and its rows: a rate and a name.
struct List {
    headings: [&'static str; 2],
    rows: Vec<(String, String)>,
}

fn lists(report: &Report) -> [List; 4] {
    let per_second = |count| format_rate(rate(count, report.interval));
    let names = |rows: &[ByName]| {
        let name = |name: &Option<Vec<u8>>| name.as_deref().map_or("?".to_owned(), shown);
        rows.iter().map(|row| (per_second(row.count), name(&row.name))).collect()
    };
    let users = |rows: &[ByUser]| {
        let name = |row: &ByUser| match (&row.user, row.uid) {
            (Some(user), _) => shown(user),
            (None, Some(uid)) => uid.to_string(),
            (None, None) => "?".to_owned(),
        };
        rows.iter().map(|row| (per_second(row.count), name(row))).collect()
    };
    [
        List { headings: ["FORKS/s", "BY NAME"], rows: names(&report.forks_by_name) },
        List { headings: ["EXECS/s", "BY NAME"], rows: names(&report.execs_by_name) },
        List { headings: ["FORKS/s", "BY USER"], rows: users(&report.forks_by_user) },
        List { headings: ["EXECS/s", "BY USER"], rows: users(&report.execs_by_user) },
    ]
}

/// The width of a list with `columns` lists side by side.
fn list_width(width: usize, columns: usize) -> usize {
    width.saturating_sub((columns - 1) * GAP) / columns
}

fn side_by_side(lists: &[List], rows: usize, width: usize, list_width: usize) -> Vec<Line> {
    let name_width = list_width.saturating_sub(RATE + 1).min(*NAME.end());
    let cell = |rate: &str, name: &str| {
        let name = pad_str(name, name_width, Alignment::Left, Some("…"));
        format!("{rate:>RATE$} {name}")
    };
    let heading = |list: &List| cell(list.headings[0], list.headings[1]);
    let join = |cells: Vec<String>| cells.join(&" ".repeat(GAP));
    let headings = join(lists.iter().map(heading).collect());
    let mut lines = vec![Line::new(headings, Style::new().bold(), width)];
    let longest = lists.iter().map(|list| list.rows.len()).max().unwrap_or(0);
    for row in 0..longest.min(rows) {
        let cells = lists.iter().map(|list| match list.rows.get(row) {
            Some((rate, name)) => cell(rate, name),
            None => cell("", ""),
        });
        lines.push(Line::new(join(cells.collect()), Style::new(), width));
    }
    lines
}

/// A rate, with a fraction only if it is small.
fn format_rate(rate: f64) -> String {
    if rate >= 99.95 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests;
