//! One line of a tree: the values of a process, or of a group of similar processes.

use std::ops::Add;

use super::super::fold::Group;
use super::super::forest::{Forest, Life};
use crate::cli::output::columns::{short_size, short_time};

/// The maximum number of earlier programs on a line.
const MAX_NAMES: usize = 8;

/// One line.
pub(super) struct Row {
    pub(super) failed: bool,
    /// The columns before the end. A value that is unknown is blank.
    pub(super) numbers: [String; Row::NUMBERS.len()],
    pub(super) end: String,
    /// The lines that lead to the process.
    pub(super) branch: String,
    pub(super) command: String,
    /// The text after the command.
    pub(super) remark: String,
}

impl Row {
    /// The names of the columns before the end, the most important first.
    pub(super) const NUMBERS: [&'static str; 6] = ["PID", "TIME", "CPU", "MEM", "READ", "WRITE"];

    /// A line with the directories of programs if `is_long`.
    pub(super) fn new(forest: &Forest, group: &Group, branch: String, is_long: bool) -> Self {
        let life = &forest.lives[group.members[0]];
        let (id, time, remark) = match group.members[..] {
            [one] => {
                let remark = earlier_programs(life) + &threads(life);
                (life.tgid.to_string(), forest.duration(one), remark)
            }
            ref members => several(forest, members),
        };
        let usage = sum(forest, &group.members, |life| life.usage);
        let io = sum(forest, &group.members, |life| life.io);
        let numbers = [
            Some(id),
            Some(short_time(time)),
            usage.map(|usage| short_time(usage.cpu_ns)),
            usage.and_then(|usage| usage.max_rss).map(short_size),
            io.map(|io| short_size(io.read)),
            io.map(|io| short_size(io.written)),
        ];
        let command = match is_long {
            _ if group.varied => format!("{} …", life.name()),
            true => life.command().into(),
            // The directory of the program would take the available width.
            false => life.brief().into(),
        };
        let numbers = numbers.map(Option::unwrap_or_default);
        Self { failed: life.failed(), numbers, end: end(life), branch, command, remark }
    }
}

/// The number of several processes, their mean run time, and the shortest and longest.
fn several(forest: &Forest, members: &[usize]) -> (String, u64, String) {
    let times = || members.iter().map(|&member| forest.duration(member));
    let (least, most) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let sum: u128 = times().map(u128::from).sum();
    let mean = u64::try_from(sum / members.len() as u128).unwrap_or(u64::MAX);
    let remark = format!("  each {} to {}", short_time(least), short_time(most));
    (format!("{} ×", members.len()), mean, remark)
}

/// The sum of a value of these processes; `None` if that of any is unknown.
fn sum<T: Add<Output = T>>(
    forest: &Forest,
    members: &[usize],
    value: impl Fn(&Life) -> Option<T>,
) -> Option<T> {
    let mut values = members.iter().map(|&member| value(&forest.lives[member]));
    let first = values.next()??;
    values.try_fold(first, |sum, value| Some(sum + value?))
}

fn threads(life: &Life) -> String {
    match life.threads {
        0 => String::new(),
        1 => "  +1 thread".into(),
        threads => format!("  +{threads} threads"),
    }
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
