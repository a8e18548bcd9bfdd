//! The tree of processes as text, with one line per process or per group of similar processes.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use crate::cli::output::columns::{fitted, short_time};
use crate::cli::shown::Screened;

use super::fold::{Group, fold};
use super::forest::{Forest, Life};

/// How to show the tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// The width of lines, or `None` for unlimited lines.
    pub(crate) width: Option<usize>,
    /// Whether each process gets its own line.
    pub(crate) full: bool,
}

/// The minimum width of a command, even on a narrow terminal.
const MIN_COMMAND: usize = 20;
/// The maximum number of levels with lines, because a tree may be deeper than a terminal is wide.
const MAX_LEVELS: usize = 30;

/// The maximum number of earlier programs on a line.
const MAX_NAMES: usize = 8;

/// One line.
struct Row {
    failed: bool,
    pid: String,
    time: String,
    end: String,
    /// The lines that lead to the process.
    branch: String,
    command: String,
    /// The text after the command.
    remark: String,
}

/// Writes the tree with a line of column names above it.
pub(crate) fn write(
    forest: &Forest,
    look: Look,
    output: &mut Screened<impl Write>,
) -> io::Result<()> {
    let rows = rows(forest, look);
    let widest = |column: fn(&Row) -> &str, name: &str| {
        rows.iter().map(|row| column(row).width()).max().unwrap_or_default().max(name.width())
    };
    let pid = widest(|row| &row.pid, "PID");
    let time = widest(|row| &row.time, "TIME");
    let end = widest(|row| &row.end, "END");
    let dim = Style::new().dimmed();
    if !rows.is_empty() {
        output.line(format_args!(
            "{dim}{:>pid$}  {:>time$}    {:<end$}  COMMAND{dim:#}",
            "PID", "TIME", "END"
        ))?;
    }
    let left = look.width.map(|width| width.saturating_sub(pid + time + end + 8));
    for row in rows {
        let Row { failed, branch, command, remark, .. } = &row;
        let (style, mark) =
            if *failed { (AnsiColor::Red.on_default(), '✗') } else { (Style::new(), ' ') };
        let width =
            left.map(|left| left.saturating_sub(branch.width() + remark.width()).max(MIN_COMMAND));
        let command = fitted(command, width);
        output.line(format_args!(
            "{style}{:>pid$}  {:>time$}  {mark} {:<end$}{style:#}  {dim}{branch}{dim:#}\
             {style}{command}{style:#}{dim}{remark}{dim:#}",
            row.pid, row.time, row.end,
        ))?;
    }
    Ok(())
}

/// The lines, from the top.
fn rows(forest: &Forest, look: Look) -> Vec<Row> {
    let (mut children, roots) = forest.families();
    let grouped = |siblings: &[usize]| {
        if look.full {
            siblings.iter().copied().map(Group::single).collect()
        } else {
            fold(forest, siblings)
        }
    };
    // The lines of the tree get a third of the width, at three columns per level.
    let levels = look.width.map_or(MAX_LEVELS, |width| (width / 9).clamp(2, MAX_LEVELS));
    let mut rows = Vec::new();
    let mut todo: Vec<(Group, Branch)> = Vec::new();
    push(&mut todo, grouped(&roots), &Branch::default());
    // An explicit stack, because a tree may be deeper than the stack of a thread.
    while let Some((group, branch)) = todo.pop() {
        let mut below: Vec<usize> = Vec::new();
        for &member in &group.members {
            below.append(&mut children[member]);
        }
        below.sort_by_key(|&index| forest.start(index));
        rows.push(row(forest, &group, branch.text(levels), look));
        push(&mut todo, grouped(&below), &branch);
    }
    rows
}

/// The place of a line in the tree.
#[derive(Clone, Default)]
struct Branch {
    depth: usize,
    /// For each level, or the last [`MAX_LEVELS`]: whether more siblings follow.
    open: Vec<bool>,
}

impl Branch {
    fn below(&self, more: bool) -> Self {
        let skipped = usize::from(self.open.len() == MAX_LEVELS);
        let open = self.open[skipped..].iter().copied().chain([more]).collect();
        Self { depth: self.depth + 1, open }
    }

    fn text(&self, levels: usize) -> String {
        // The top level has no lines.
        let levels = &self.open[self.open.len().saturating_sub(levels)..];
        let levels =
            if self.depth == levels.len() { &levels[levels.len().min(1)..] } else { levels };
        let Some((last, above)) = levels.split_last() else { return String::new() };
        let mut text = String::new();
        if self.depth > levels.len() + 1 {
            text.push('⋯');
        }
        for open in above {
            text.push_str(if *open { "│  " } else { "   " });
        }
        text.push_str(if *last { "├─ " } else { "└─ " });
        text
    }
}

/// Pushes groups onto the stack, so that the first one is on top.
fn push(todo: &mut Vec<(Group, Branch)>, groups: Vec<Group>, above: &Branch) {
    let last = groups.len().saturating_sub(1);
    for (index, group) in groups.into_iter().enumerate().rev() {
        todo.push((group, above.below(index < last)));
    }
}

fn row(forest: &Forest, group: &Group, branch: String, look: Look) -> Row {
    let life = &forest.lives[group.members[0]];
    let times = || group.members.iter().map(|&member| forest.duration(member));
    let (failed, end) = (life.failed(), end(life));
    let is_single = group.members.len() == 1;
    let (least, most) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let (pid, time, remark) = if is_single {
        let threads = match life.threads {
            0 => String::new(),
            1 => "  +1 thread".into(),
            threads => format!("  +{threads} threads"),
        };
        let remarks = earlier_programs(life) + &threads;
        (life.tgid.to_string(), short_time(most), remarks)
    } else {
        let sum: u128 = times().map(u128::from).sum();
        let mean = sum / group.members.len() as u128;
        let mean = short_time(u64::try_from(mean).unwrap_or(u64::MAX));
        let remark = format!("  each {} to {}", short_time(least), short_time(most));
        (format!("{} ×", group.members.len()), mean, remark)
    };
    let command = match look.width {
        _ if group.varied => format!("{} …", life.name()),
        // The directory of the program would take the available width.
        Some(_) => life.brief().into(),
        None => life.command().into(),
    };
    Row { failed, pid, time, end, branch, command, remark }
}

/// The programs that a process ran before its current one, at most [`MAX_NAMES`].
fn earlier_programs(life: &Life) -> String {
    let mut names: Vec<&str> =
        life.programs.iter().filter_map(|program| program.name.as_deref()).collect();
    names.dedup();
    names.pop();
    let skipped = names.len().saturating_sub(MAX_NAMES);
    match &names[skipped..] {
        [] => String::new(),
        last if skipped == 0 => format!("  (first ran {})", last.join(", ")),
        last => format!("  (first ran …, {})", last.join(", ")),
    }
}

fn end(life: &Life) -> String {
    match (life.runs(), life.status) {
        (true, _) => "running".into(),
        (false, Some(status)) => {
            // The column is narrow, and a signal name is clear without "killed by".
            status.to_string().replace("killed by ", "").replace(" (core dumped)", ", core")
        }
        (false, None) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests;
