//! A report as text: lines that fit a width and a height.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use console::{Alignment, pad_str};
use jiff::tz::TimeZone;
use proc_connector::Transport;

use super::line::{GAP, Line};
use super::report::{Report, rate};
use super::rows::{Count, Key, Row};
use super::table::{self, By};
use crate::cli::output::columns::{short_size, short_time};

/// The width of a report that is not shown on a terminal.
pub(crate) const PLAIN_WIDTH: usize = 100;

/// The widths of the columns of a list: the rate with a space, and the name.
const RATE: usize = 7;
const NAME: std::ops::RangeInclusive<usize> = 12..=32;

/// How reports are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The zone of times.
    pub(crate) zone: &'static TimeZone,
    pub(crate) by: By,
}

/// The report as at most `height` lines of at most `width` columns.
pub(crate) fn lines(report: &Report, view: View, width: usize, height: usize) -> Vec<Line> {
    let mut lines = head(report, view.zone, width);
    let lists = lists(report);
    let columns = [4, 2, 1].into_iter().find(|&n| list_width(width, n) > RATE + NAME.start());
    let columns = columns.unwrap_or(1);
    // The table, and groups of lists.
    let parts = 1 + lists.len() / columns;
    // Each part begins with an empty line and a line of headings.
    let rows = (height.saturating_sub(lines.len()) / parts).saturating_sub(2).max(1);
    lines.push(Line::new("", Style::new(), width));
    lines.extend(table::lines(report, view.by, rows, width));
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
    if report.failed > 0 {
        let _ = write!(processes, "; {} failed", report.failed);
    }
    lines.push(Line::new(processes, Style::new(), width));
    lines.extend(usage(report).map(|text| Line::new(text, Style::new(), width)));
    lines
}

/// What the ended processes used, or why that is unknown.
fn usage(report: &Report) -> Option<String> {
    if report.transport == Transport::Socket {
        return Some("CPU time and memory require the ring transport".to_owned());
    }
    let Some(usage) = report.usage else {
        let text = "CPU time and memory of the ended processes are unknown";
        return (report.ended > 0).then(|| text.to_owned());
    };
    let mut text = match report.measured {
        measured if measured < report.ended => format!("{measured} ended processes used "),
        _ => "ended processes used ".to_owned(),
    };
    text += &short_time(usage.cpu_ns);
    text += " of CPU time";
    if let Some(peak) = usage.max_rss {
        let _ = write!(text, " and at most {} of memory each", short_size(peak));
    }
    Some(text)
}

/// A list's headings, and its rows: a rate and a name.
struct List {
    headings: [&'static str; 2],
    rows: Vec<(String, String)>,
}

fn lists(report: &Report) -> [List; 4] {
    let (forks, execs) = (["FORKS/s", "BY NAME"], ["EXECS/s", "BY NAME"]);
    let interval = report.interval;
    [
        list(forks, &report.forks_by_name, interval),
        list(execs, &report.execs_by_name, interval),
        list([forks[0], "BY USER"], &report.forks_by_user, interval),
        list([execs[0], "BY USER"], &report.execs_by_user, interval),
    ]
}

fn list<K: Key>(headings: [&'static str; 2], rows: &[Row<K, Count>], interval: f64) -> List {
    let row = |row: &Row<K, Count>| (format_rate(rate(row.value.count, interval)), row.key.text());
    List { headings, rows: rows.iter().map(row).collect() }
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
