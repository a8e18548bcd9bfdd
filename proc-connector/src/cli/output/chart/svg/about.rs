//! The tooltips of a process and of a group of processes.

use std::collections::HashMap;
use std::fmt::Write;

use proc_connector::Usage;

use super::super::forest::{Forest, Io, Life};
use super::super::profile::{cpu_in_period, percent};
use crate::cli::output::columns::{fitted, short_size, short_time};

/// The tooltip of one process, with one fact per line and commands cut to `width` columns. `on_path` is
/// its time on the critical path.
pub(super) fn process(forest: &Forest, index: usize, on_path: u64, width: usize) -> String {
    let life = &forest.lives[index];
    let mut text = fitted(&life.command(), Some(width));
    let _ = write!(text, "\npid {}", life.tgid);
    if let Some(creator) = life.creator.map(|creator| &forest.lives[creator]) {
        let _ = write!(text, ", child of {} {}", creator.tgid, fitted(&creator.name(), Some(40)));
    }
    let since = |ns: u64| short_time(ns.saturating_sub(forest.begin_ns));
    let period = match (life.start_ns.map(since), life.end_ns.map(since)) {
        (Some(start), Some(end)) => format!("from {start} to {end}: "),
        (Some(start), None) => format!("from {start}, still running at the end: at least "),
        (None, Some(end)) => format!("existed at the start, ended at {end}: at least "),
        (None, None) => "existed at the start, still running at the end: at least ".to_owned(),
    };
    let duration = short_time(forest.duration(index));
    let _ = write!(text, "\n{period}{duration}");
    let _ = write!(text, "\n{}", life.outcome());
    if life.threads > 0 {
        let s = if life.threads == 1 { "" } else { "s" };
        let _ = write!(text, "\n{} more thread{s}", life.threads);
    }
    text += &critical(forest, on_path);
    text += &resources(life, forest.duration(index));
    text + &programs(forest, life, width)
}

/// The time on the critical path.
fn critical(forest: &Forest, on_path: u64) -> String {
    let share = percent(on_path, forest.end_ns.saturating_sub(forest.begin_ns));
    if share.is_empty() {
        return share;
    }
    format!("\non the critical path for {} ({share})", short_time(on_path))
}

/// What a process used in its run time.
fn resources(life: &Life, time: u64) -> String {
    let mut text = String::new();
    if let Some(usage) = life.usage {
        let times = [usage.cpu_ns, usage.user_ns(), usage.system_ns()];
        let [cpu, user, system] = times.map(short_time);
        let _ = write!(text, "\nCPU time {cpu} (user {user}, system {system})");
        if let Some(peak) = usage.max_rss {
            let _ = write!(text, ", peak memory {}", short_size(peak));
        }
        if let Some(cpu_ns) = cpu_in_period(life) {
            let percent = u128::from(cpu_ns) * 100 / u128::from(time.max(1));
            let _ = write!(text, "\n{percent}% of a core");
        }
        let Usage { min_flt, maj_flt, nvcsw, nivcsw, .. } = usage;
        let _ =
            write!(text, "\n{} page faults, {maj_flt} with I/O", min_flt.saturating_add(maj_flt));
        let switches = nvcsw.saturating_add(nivcsw);
        let _ = write!(text, "\n{switches} context switches, {nivcsw} involuntary");
    }
    if let Some(Io { read, written }) = life.io.filter(|io| *io != Io::default()) {
        let _ = write!(text, "\nread {}, wrote {}", short_size(read), short_size(written));
    }
    text
}

/// The programs of a process that executed several.
fn programs(forest: &Forest, life: &Life, width: usize) -> String {
    let mut text = String::new();
    if life.programs.len() < 2 {
        return text;
    }
    for program in life.programs.iter().rev().take(8).rev() {
        let name = program.command.as_deref().or(program.name.as_deref()).unwrap_or("?");
        let at = program.at_ns.map(|at| short_time(at.saturating_sub(forest.begin_ns)));
        let at = at.map_or("earlier".to_owned(), |at| format!("at {at}"));
        let _ = write!(text, "\n{at}: {}", fitted(name, Some(width.min(200))));
    }
    text
}

/// The tooltip of several processes: their names, numbers and failures.
pub(super) fn group(forest: &Forest, members: &[usize], on_path: &[u64]) -> String {
    let lives = || members.iter().map(|&member| &forest.lives[member]);
    let mut text = format!("{} processes", members.len());
    let failed = lives().filter(|life| life.failed()).count();
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    let names = names(forest, members);
    for (name, count) in names.iter().take(5) {
        let _ = write!(text, "\n{count} × {}", fitted(name, Some(60)));
    }
    if names.len() > 5 {
        let _ = write!(text, "\nand {} other names", names.len() - 5);
    }
    let times = || members.iter().map(|&member| forest.duration(member));
    let (least, most) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let _ = write!(text, "\neach {} to {}", short_time(least), short_time(most));
    let usage = lives().filter_map(|life| life.usage).reduce(|sum, usage| sum + usage);
    if let Some(usage) = usage {
        let _ = write!(text, "\nCPU time {} together", short_time(usage.cpu_ns));
    }
    text + &critical(forest, members.iter().map(|&member| on_path[member]).sum())
}

/// The names of these processes and their numbers, the most frequent first.
pub(super) fn names(forest: &Forest, members: &[usize]) -> Vec<(String, usize)> {
    let mut counts: HashMap<_, usize> = HashMap::new();
    for &member in members {
        *counts.entry(forest.lives[member].name()).or_default() += 1;
    }
    let mut names: Vec<(String, usize)> =
        counts.into_iter().map(|(name, count)| (name.into_owned(), count)).collect();
    // Sorted by name too, so that the same processes always result in the same chart.
    names.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    names
}
