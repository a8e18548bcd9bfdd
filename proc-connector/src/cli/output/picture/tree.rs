//! The tree of processes as text: a line each, or for some that are alike.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use crate::cli::output::columns::{fitted, short_time};
use crate::cli::shown::Screened;

use super::fold::{Group, fold};
use super::forest::{Forest, Life};

/// How to show it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Columns that there are; as many as it takes if `None`.
    pub(crate) width: Option<usize>,
    /// Puts nothing together.
    pub(crate) full: bool,
}

/// A command is not cut to less than this, whatever the terminal's width.
const LEAST: usize = 20;
/// Levels that are shown of a tree that is deeper than any terminal is wide.
const LEVELS: usize = 30;

/// One line.
struct Row {
    failed: bool,
    pid: String,
    time: String,
    end: String,
    /// Screened that lead to it.
    branch: String,
    command: String,
    /// What is to be read after the command.
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
        let (style, mark) = if *failed { (red(), '✗') } else { (Style::new(), ' ') };
        let room = left.map(|left| left.saturating_sub(branch.width() + remark.width()).max(LEAST));
        let command = fitted(command, room);
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
    let put_together = |siblings: &[usize]| {
        if look.full {
            siblings.iter().copied().map(Group::one).collect()
        } else {
            fold(forest, siblings)
        }
    };
    // A third of the width for the lines of the tree, at three columns a level.
    let levels = look.width.map_or(LEVELS, |width| (width / 9).clamp(2, LEVELS));
    let mut rows = Vec::new();
    let mut todo: Vec<(Group, Branch)> = Vec::new();
    push(&mut todo, put_together(&roots), &Branch::default());
    // A stack of its own: trees may be deeper than a thread's.
    while let Some((group, branch)) = todo.pop() {
        let mut below: Vec<usize> = Vec::new();
        for &member in &group.members {
            below.append(&mut children[member]);
        }
        below.sort_by_key(|&index| forest.start(index));
        rows.push(row(forest, &group, branch.text(levels), look));
        push(&mut todo, put_together(&below), &branch);
    }
    rows
}

/// Where in the tree a line is.
#[derive(Clone, Default)]
struct Branch {
    depth: usize,
    /// Of the levels above, the last few: whether more follow there.
    open: Vec<bool>,
}

impl Branch {
    fn below(&self, more: bool) -> Self {
        let skipped = usize::from(self.open.len() == LEVELS);
        let open = self.open[skipped..].iter().copied().chain([more]).collect();
        Self { depth: self.depth + 1, open }
    }

    fn text(&self, levels: usize) -> String {
        // The top has no lines.
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

/// Onto the stack, so that the first is on top.
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
    let one = group.members.len() == 1;
    let (least, most) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let (pid, time, remark) = if one {
        let threads = match life.threads {
            0 => String::new(),
            1 => "  +1 thread".into(),
            threads => format!("  +{threads} threads"),
        };
        let remarks = before(life) + &threads;
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
        // Folders would take what room there is.
        Some(_) => life.brief().into(),
        None => life.command().into(),
    };
    Row { failed, pid, time, end, branch, command, remark }
}

/// What a process ran before it ran what it is called by: the last few of many.
fn before(life: &Life) -> String {
    const MOST: usize = 8;
    let mut names: Vec<&str> =
        life.programs.iter().filter_map(|program| program.name.as_deref()).collect();
    names.dedup();
    names.pop();
    let skipped = names.len().saturating_sub(MOST);
    match &names[skipped..] {
        [] => String::new(),
        last if skipped == 0 => format!("  was {}", last.join(", ")),
        last => format!("  was …, {}", last.join(", ")),
    }
}

fn end(life: &Life) -> String {
    match (life.runs(), life.status) {
        (true, _) => "running".into(),
        (false, Some(status)) => {
            // The column is narrow, and what else would end a process by a signal.
            status.to_string().replace("killed by ", "").replace(" (core dumped)", ", core")
        }
        (false, None) => "unseen".into(),
    }
}

fn red() -> Style {
    Style::new().fg_color(Some(AnsiColor::Red.into()))
}

#[cfg(test)]
mod tests;
