//! A comparison as a table.

use std::fmt::Write as _;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::{Comparison, Pair};
use crate::cli::output::columns::{fitted, padded, short_size, short_time};
use crate::cli::shown::Screened;

/// The maximum width of a program's name.
const NAME: usize = 30;
/// The columns between two values, and between two properties.
const GAP: usize = 2;
const WIDE_GAP: usize = 4;

/// A property in each recording, its change, and the change in percent of the old value.
type Values = [String; COLUMNS.len()];

const COLUMNS: [&str; 4] = ["old", "new", "change", "%"];

/// The shortest time, in nanoseconds, of which a share is shown. Shorter times differ at random.
const SHORTEST: u64 = 1_000_000;

/// A property that the table compares: its heading, and its values.
type Property = (&'static str, fn(&Pair) -> Values);

const ALWAYS: [Property; 2] = [
    ("PROCESSES", |Pair { old, new, change }| {
        let values = (Some(old.processes), Some(new.processes), Some(change.processes));
        texts(values, u64::MAX, |number| number.to_string())
    }),
    ("RUN TIME", |Pair { old, new, change }| {
        texts((Some(old.run_ns), Some(new.run_ns), Some(change.run_ns)), SHORTEST, short_time)
    }),
];

const IF_MEASURED: [Property; 2] = [
    ("CPU TIME", |Pair { old, new, change }| {
        texts((old.cpu_ns, new.cpu_ns, change.cpu_ns), SHORTEST, short_time)
    }),
    ("PEAK MEMORY", |Pair { old, new, change }| {
        texts((old.max_rss, new.max_rss, change.max_rss), 1, short_size)
    }),
];

/// The text of two values and of their change. An unknown value is blank, and so is the share of a change
/// from or to a value below `least`.
fn texts(
    (old, new, change): (Option<u64>, Option<u64>, Option<i64>),
    least: u64,
    text: impl Fn(u64) -> String,
) -> Values {
    let share = old.zip(new).filter(|&(old, new)| old.min(new) >= least.max(1) && old != new);
    let change = change.map(|change| match change {
        0 => "0".to_owned(),
        1.. => format!("+{}", text(change.unsigned_abs())),
        _ => format!("-{}", text(change.unsigned_abs())),
    });
    let share = share.map(|(old, new)| percent(old, new));
    [old.map(&text), new.map(&text), change, share].map(Option::unwrap_or_default)
}

/// A change in percent of the old value, rounded.
fn percent(old: u64, new: u64) -> String {
    const MOST: u128 = 999;
    let percent = (u128::from(old.abs_diff(new)) * 100 + u128::from(old) / 2) / u128::from(old);
    match percent {
        0 => "0%".to_owned(),
        percent if new < old => format!("-{percent}%"),
        1..=MOST => format!("+{percent}%"),
        _ => format!(">{MOST}%"),
    }
}

/// The position of the shares among the columns.
const SHARE: usize = 3;

/// The width of the columns of a property, the gaps between them included.
fn width(columns: [usize; COLUMNS.len()]) -> usize {
    let shown = columns.iter().filter(|width| **width > 0).count();
    columns.iter().sum::<usize>() + shown.saturating_sub(1) * GAP
}

/// Writes a heading, a line for each program, and the totals.
pub(crate) fn write<W: Write>(comparison: &Comparison, output: &mut Screened<W>) -> io::Result<()> {
    let total = &comparison.total;
    let is_measured = total.old.measured > 0 || total.new.measured > 0;
    let [processes, run_time] = ALWAYS;
    let [cpu, memory] = IF_MEASURED;
    let properties = if is_measured {
        vec![processes, cpu, run_time, memory]
    } else {
        vec![processes, run_time]
    };
    let of_programs = comparison.programs.iter().map(|row| (row.program.as_str(), &row.costs));
    let rows = of_programs.chain([("total", total)]);
    let rows: Vec<(String, Vec<Values>)> = rows
        .map(|(name, pair)| {
            let values = properties.iter().map(|(_, values)| values(pair)).collect();
            (fitted(name, Some(NAME)), values)
        })
        .collect();
    let names = rows.iter().map(|(name, _)| name.width()).chain(["PROGRAM".len()]);
    let name_width = names.max().unwrap_or_default();
    // The widths of the columns, and of the properties that they belong to.
    let mut widths: Vec<[usize; COLUMNS.len()]> = Vec::new();
    for (property, (heading, _)) in properties.iter().enumerate() {
        let has_share = rows.iter().any(|(_, values)| !values[property][SHARE].is_empty());
        let mut columns = COLUMNS.map(str::len);
        if !has_share {
            columns[SHARE] = 0;
        }
        for (_, values) in &rows {
            for (width, value) in columns.iter_mut().zip(&values[property]) {
                *width = value.width().max(*width);
            }
        }
        columns[0] += heading.len().saturating_sub(width(columns));
        widths.push(columns);
    }
    let mut heading = padded("PROGRAM", name_width);
    for ((name, _), columns) in properties.iter().zip(&widths) {
        let width = width(*columns);
        // Writing to a string cannot fail.
        let _ = write!(heading, "{:WIDE_GAP$}{}", "", padded(name, width));
    }
    output.line(format_args!("{}", heading.trim_end()))?;
    let headings = vec![COLUMNS.map(str::to_owned); properties.len()];
    for (name, values) in [(String::new(), headings)].iter().chain(&rows) {
        let mut line = padded(name, name_width);
        for (values, widths) in values.iter().zip(&widths) {
            let columns = values.iter().zip(widths).enumerate();
            for (column, (value, width)) in columns.filter(|(_, (_, width))| **width > 0) {
                let gap = if column == 0 { WIDE_GAP } else { GAP };
                let spaces = gap + width - value.width();
                let _ = write!(line, "{:spaces$}{value}", "");
            }
        }
        output.line(format_args!("{}", line.trim_end()))?;
    }
    Ok(())
}
