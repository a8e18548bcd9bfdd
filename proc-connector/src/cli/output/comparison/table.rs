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

/// A property in each recording, and its change.
type Values = [String; 3];

/// A property that the table compares: its heading, and its values.
type Property = (&'static str, fn(&Pair) -> Values);

const ALWAYS: [Property; 2] = [
    ("PROCESSES", |Pair { old, new, change }| {
        let values = (Some(old.processes), Some(new.processes), Some(change.processes));
        texts(values, |number| number.to_string())
    }),
    ("RUN TIME", |Pair { old, new, change }| {
        texts((Some(old.run_ns), Some(new.run_ns), Some(change.run_ns)), short_time)
    }),
];

const IF_MEASURED: [Property; 2] = [
    ("CPU TIME", |Pair { old, new, change }| {
        texts((old.cpu_ns, new.cpu_ns, change.cpu_ns), short_time)
    }),
    ("PEAK MEMORY", |Pair { old, new, change }| {
        texts((old.max_rss, new.max_rss, change.max_rss), short_size)
    }),
];

/// The text of two values and of their change. An unknown value is blank.
fn texts(
    (old, new, change): (Option<u64>, Option<u64>, Option<i64>),
    text: impl Fn(u64) -> String,
) -> Values {
    let change = change.map(|change| match change {
        0 => "0".to_owned(),
        1.. => format!("+{}", text(change.unsigned_abs())),
        _ => format!("-{}", text(change.unsigned_abs())),
    });
    [old.map(&text), new.map(&text), change].map(Option::unwrap_or_default)
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
    let mut widths: Vec<[usize; 3]> = Vec::new();
    for (property, (heading, _)) in properties.iter().enumerate() {
        let mut columns = ["old", "new", "change"].map(str::len);
        for (_, values) in &rows {
            for (width, value) in columns.iter_mut().zip(&values[property]) {
                *width = value.width().max(*width);
            }
        }
        columns[0] += heading.len().saturating_sub(columns.iter().sum::<usize>() + 2 * GAP);
        widths.push(columns);
    }
    let mut heading = padded("PROGRAM", name_width);
    for ((name, _), columns) in properties.iter().zip(&widths) {
        let width = columns.iter().sum::<usize>() + 2 * GAP;
        // Writing to a string cannot fail.
        let _ = write!(heading, "{:WIDE_GAP$}{}", "", padded(name, width));
    }
    output.line(format_args!("{}", heading.trim_end()))?;
    let columns = vec![["old", "new", "change"].map(str::to_owned); properties.len()];
    for (name, values) in [(String::new(), columns)].iter().chain(&rows) {
        let mut line = padded(name, name_width);
        for (values, widths) in values.iter().zip(&widths) {
            for (column, (value, width)) in values.iter().zip(widths).enumerate() {
                let gap = if column == 0 { WIDE_GAP } else { GAP };
                let spaces = gap + width - value.width();
                let _ = write!(line, "{:spaces$}{value}", "");
            }
        }
        output.line(format_args!("{}", line.trim_end()))?;
    }
    Ok(())
}
