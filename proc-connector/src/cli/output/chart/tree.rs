//! The tree of processes as text, with one line per process or per group of similar processes.

mod layout;
mod row;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use self::layout::{Layout, MIN_COMMAND};
use self::row::Row;
use super::fold::{Group, fold};
use super::forest::Forest;
use super::order::{Order, SortKey};
use crate::cli::output::columns::fitted;
use crate::cli::shown::Screened;

/// How to show the tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// The width of lines, or `None` for unlimited lines.
    pub(crate) width: Option<usize>,
    /// Whether each process gets its own line.
    pub(crate) full: bool,
    /// The order of siblings; without a key, that of their starts.
    pub(crate) sort: Option<SortKey>,
}

/// The maximum number of levels with lines, because a tree may be deeper than a terminal is wide.
const MAX_LEVELS: usize = 30;

/// Writes the tree with a line of column names above it.
pub(crate) fn write(
    forest: &Forest,
    look: Look,
    output: &mut Screened<impl Write>,
) -> io::Result<()> {
    let rows = rows(forest, look);
    if rows.is_empty() {
        return Ok(());
    }
    let layout = Layout::new(&rows, look.width);
    let dim = Style::new().dimmed();
    let headings = layout.cells(&Row::NUMBERS, ' ', "END");
    output.line(format_args!("{dim}{headings}  COMMAND{dim:#}"))?;
    let left = look.width.map(|width| layout.left(width));
    for row in rows {
        let Row { failed, numbers, end, branch, command, remark } = &row;
        let (style, mark) =
            if *failed { (AnsiColor::Red.on_default(), '✗') } else { (Style::new(), ' ') };
        let width =
            left.map(|left| left.saturating_sub(branch.width() + remark.width()).max(MIN_COMMAND));
        let command = fitted(command, width);
        let cells = layout.cells(numbers, mark, end);
        output.line(format_args!(
            "{style}{cells}{style:#}  {dim}{branch}{dim:#}\
             {style}{command}{style:#}{dim}{remark}{dim:#}",
        ))?;
    }
    Ok(())
}

/// The lines, from the top.
fn rows(forest: &Forest, look: Look) -> Vec<Row> {
    let (mut children, roots) = forest.families();
    let order = Order::new(forest, look.sort);
    let grouped = |siblings: &[usize]| {
        let mut groups: Vec<Group> = if look.full {
            siblings.iter().copied().map(Group::single).collect()
        } else {
            fold(forest, siblings)
        };
        order.sort(&mut groups);
        groups
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
        let is_long = look.width.is_none();
        rows.push(Row::new(forest, &group, branch.text(levels), is_long));
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

#[cfg(test)]
mod tests;
