//! The profile as text: a few lines below the tree.

use std::fmt;
use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::super::forest::Forest;
use super::super::order::SortKey;
use super::{Cost, Parallelism, critical_path, most_expensive, programs, times_on_path};
use crate::cli::output::columns::{fitted, short_size, short_time};
use crate::cli::shown::Screened;

/// The lines of each table, without the heading.
const LINES: usize = 4;

/// The columns before the name.
const COLUMNS: [&str; 5] = ["PID", "TIME", "CPU", "MEM", "PATH"];

/// A line of a table: the cells before the name, and the name.
type Line = ([String; COLUMNS.len()], String);

/// A table with the names of the first and the last column.
struct Table {
    first: &'static str,
    last: String,
    lines: Vec<Line>,
}

/// Writes the parallelism, and tables of the most expensive programs and processes and of the processes
/// on the critical path. `key` is what the tables are sorted by, if that is known, and `width` limits
/// the lines.
pub(crate) fn write(
    forest: &Forest,
    key: Option<SortKey>,
    width: Option<usize>,
    output: &mut Screened<impl Write>,
) -> io::Result<()> {
    let parallelism = Parallelism::new(forest);
    output.line(format_args!("{}", fitted(&parallelism.text(forest.cores), width)))?;
    let on_path = times_on_path(forest, &critical_path(forest));
    let costs: Vec<Cost> =
        (0..forest.lives.len()).map(|index| Cost::new(forest, &on_path, index)).collect();
    let key = match parallelism.used_cores {
        Some(_) => key.unwrap_or(SortKey::Cpu),
        None => SortKey::Time,
    };
    let by = match key {
        SortKey::Cpu => "CPU TIME",
        SortKey::Mem => "PEAK MEMORY",
        SortKey::Time => "RUN TIME",
    };
    let length = forest.end_ns.saturating_sub(forest.begin_ns);
    let process = |index: usize| {
        let life = &forest.lives[index];
        (cells(life.tgid.to_string(), &costs[index], length), life.brief().into_owned())
    };
    let programs = programs(forest, &costs, key).into_iter().take(LINES);
    let programs = programs.map(|program| {
        (cells(program.count.to_string(), &program.cost, length), program.name.into_owned())
    });
    let expensive = most_expensive(&costs, LINES, |cost| cost.value(key));
    let waited_for = most_expensive(&costs, LINES, |cost| cost.on_path_ns);
    let table = |last: String, places: Vec<usize>| Table {
        first: COLUMNS[0],
        last,
        lines: places.into_iter().map(process).collect(),
    };
    let tables = [
        Table { first: "COUNT", last: format!("PROGRAMS BY {by}"), lines: programs.collect() },
        table(format!("PROCESSES BY {by}"), expensive),
        table("ON THE CRITICAL PATH".into(), waited_for),
    ];
    let widths = widths(&tables);
    let dim = Style::new().dimmed();
    let row = |cells: [&str; COLUMNS.len()], name: &str| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths).filter(|&(_, width)| width > 0) {
            // Writing to a string cannot fail.
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{cell:>width$}  "));
        }
        let left = width.map(|width| width.saturating_sub(text.width()));
        text + &fitted(name, left)
    };
    for Table { first, last, lines } in tables.iter().filter(|table| !table.lines.is_empty()) {
        let mut headings = COLUMNS;
        headings[0] = first;
        output.line(format_args!("{dim}{}{dim:#}", row(headings, last)))?;
        for (cells, name) in lines {
            output.line(format_args!("{}", row(cells.each_ref().map(String::as_str), name)))?;
        }
    }
    Ok(())
}

/// The cells of a process or a program. A value that is unknown is blank.
fn cells(first: String, cost: &Cost, length: u64) -> [String; COLUMNS.len()] {
    [
        first,
        short_time(cost.time_ns),
        cost.cpu_ns.map(short_time).unwrap_or_default(),
        cost.memory.map(short_size).unwrap_or_default(),
        percent(cost.on_path_ns, length),
    ]
}

/// The width of each column; 0 if it has no values.
fn widths(tables: &[Table]) -> [usize; COLUMNS.len()] {
    let cells = || tables.iter().flat_map(|table| &table.lines).map(|(cells, _)| cells);
    std::array::from_fn(|column| {
        let widest = cells().map(|cells| cells[column].width()).max().unwrap_or_default();
        let heading = if column == 0 { "COUNT" } else { COLUMNS[column] };
        if widest == 0 { 0 } else { widest.max(heading.len()) }
    })
}

/// A part of a whole, in percent, rounded. Blank for nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    match (u128::from(part) * 100 + whole / 2) / whole {
        _ if part == 0 => String::new(),
        0 => "<1%".into(),
        percent => format!("{percent}%"),
    }
}

impl Parallelism {
    /// `1.8 processes at a time on average, at most 4; 1.6 of 2 cores used`.
    pub(crate) fn text(&self, cores: Option<usize>) -> String {
        let Self { mean, most, used_cores, is_complete } = *self;
        let used = used_cores.map(|used| {
            let at_least = if is_complete { "" } else { "at least " };
            let used = format!("; {at_least}{used:.1}");
            match cores {
                Some(1) => format!("{used} of 1 core used"),
                Some(cores) => format!("{used} of {cores} cores used"),
                None => format!("{used} cores used"),
            }
        });
        let used = used.unwrap_or_default();
        format!("{mean:.1} processes at a time on average, at most {most}{used}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::samples::{HOSTILE, build, forest, measured, process};
    use super::*;
    use crate::cli::shown::Styles;

    fn text(forest: &Forest, key: Option<SortKey>, width: Option<usize>) -> String {
        let mut output = Vec::new();
        write(forest, key, width, &mut Screened::new(&mut output, Styles::Kept)).expect("memory");
        let text = String::from_utf8(output).expect("UTF-8");
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_most_expensive_are_listed_with_their_time_on_the_critical_path() {
        let expected = "
1.0 processes at a time on average, at most 2; at least 0.3 of 2 cores used
COUNT    TIME     CPU   MEM  PATH  PROGRAMS BY CPU TIME
    1   54 ms   51 ms   60M   14%  cc1
    1  220 ms   30 ms   40M   59%  ld
    1  374 ms  9.0 ms  3.1M   25%  make
    1   56 ms  2.0 ms  1.7M    1%  cc
  PID    TIME     CPU   MEM  PATH  PROCESSES BY CPU TIME
  102   54 ms   51 ms   60M   14%  cc1 a.c
  103  220 ms   30 ms   40M   59%  ld a.o
  100  374 ms  9.0 ms  3.1M   25%  make -s
  101   56 ms  2.0 ms  1.7M    1%  cc -c a.c
  PID    TIME     CPU   MEM  PATH  ON THE CRITICAL PATH
  103  220 ms   30 ms   40M   59%  ld a.o
  100  374 ms  9.0 ms  3.1M   25%  make -s
  102   54 ms   51 ms   60M   14%  cc1 a.c
  101   56 ms  2.0 ms  1.7M    1%  cc -c a.c
";
        assert_eq!(text(&measured(), None, Some(100)), expected[1..]);
    }

    #[test]
    fn without_usage_the_run_time_decides() {
        let expected = "
1.3 processes at a time on average, at most 2
COUNT    TIME  PATH  PROGRAMS BY RUN TIME
    4  412 ms   18%  cc
    1  374 ms   10%  make
    2  283 ms   47%  cc1
    1  217 ms   10%  sh
  PID    TIME  PATH  PROCESSES BY RUN TIME
  100  374 ms   10%  make -j2 test
  102  217 ms   10%  sh -c 'cc -c a.c'
  104  181 ms    2%  cc -c a.c
  106  174 ms   47%  cc1 -quiet -o /tmp/a.s a…
  PID    TIME  PATH  ON THE CRITICAL PATH
  106  174 ms   47%  cc1 -quiet -o /tmp/a.s a…
  101   56 ms   15%  cc -MM a.c b.c
  108   51 ms   14%  ld -o test a.o b.o
  100  374 ms   10%  make -j2 test
";
        assert_eq!(text(&build(), Some(SortKey::Cpu), Some(46)), expected[1..]);
    }

    #[test]
    fn lines_are_short_and_few() {
        for width in [1, 20, 40, 80] {
            let lives = HOSTILE.iter().chain(&HOSTILE).map(|name| {
                let name = crate::cli::shown::shown(name);
                process(None, 1, &name, 0, 900).using(800, 7, [0, 0])
            });
            let text = text(&forest(lives.collect()), None, Some(width));
            assert!(text.lines().count() <= 16, "{text}");
            for line in text.lines() {
                // The numbers are never cut.
                assert!(line.width() <= width.max(35), "{line}");
            }
        }
    }

    #[test]
    fn the_key_selects_the_order() {
        let first = |key| {
            let text = text(&measured(), Some(key), None);
            text.lines().nth(2).expect("a program").split_whitespace().last().map(str::to_owned)
        };
        assert_eq!(first(SortKey::Cpu).as_deref(), Some("cc1"));
        assert_eq!(first(SortKey::Mem).as_deref(), Some("cc1"));
        assert_eq!(first(SortKey::Time).as_deref(), Some("make"));
    }

    #[test]
    fn an_empty_forest_has_one_line() {
        let expected = "0.0 processes at a time on average, at most 0\n";
        assert_eq!(text(&Forest::default(), None, Some(80)), expected);
    }
}
