//! The processes, as JSON within a script element.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::super::consumption::Consumption;
use super::super::forest::{Forest, Life, Program};
use super::super::lanes::Lanes;
use super::super::profile::{Parallelism, critical_path};
use crate::cli::output::columns::short_time;
use crate::cli::shown::{is_seen, json};

/// What the page shows of the whole forest. Times are in nanoseconds since its begin.
#[derive(Serialize)]
struct Head<'a> {
    title: Cow<'a, str>,
    totals: Cow<'a, str>,
    period: u64,
    parallelism: String,
    /// The CPUs that the processes could use.
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<usize>,
    lanes: usize,
    left_out: usize,
    /// The times of losses, and their counts if they are known.
    losses: Vec<(u64, Option<u64>)>,
    /// The critical path: a place in the list of processes, and the times from and to which it is there.
    critical: Vec<(usize, u64, u64)>,
}

/// One process. Unknown values have no key.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key")]
struct Process<'a> {
    pid: u32,
    /// The place of its creator in the list of processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<usize>,
    name: Cow<'a, str>,
    /// Whether the name of its program is unknown.
    #[serde(skip_serializing_if = "is_false")]
    nameless: bool,
    command: Cow<'a, str>,
    start: u64,
    end: u64,
    /// Whether it started before the chart.
    #[serde(skip_serializing_if = "is_false")]
    earlier: bool,
    #[serde(skip_serializing_if = "is_false")]
    running: bool,
    #[serde(skip_serializing_if = "is_false")]
    failed: bool,
    exit: String,
    #[serde(skip_serializing_if = "is_zero")]
    threads: u32,
    #[serde(flatten)]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<u64>,
    /// The times and commands of its programs, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<(Option<u64>, Cow<'a, str>)>,
}

#[derive(Serialize)]
struct Usage {
    cpu: u64,
    user: u64,
    system: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    faults: u64,
    major_faults: u64,
    switches: u64,
    involuntary_switches: u64,
}

/// The size of all commands together, in bytes, above which the longest are cut. Browsers become slow
/// with several times as much.
const COMMANDS: usize = 16 << 20;
/// The size to which every command may extend, however many processes there are.
const COMMAND: usize = 400;

/// Writes one line for each process.
pub(super) fn write(forest: &Forest, title: &str, output: &mut impl Write) -> io::Result<()> {
    let lanes = Lanes::new(forest);
    let mut lane_of = vec![None; forest.lives.len()];
    for (lane, members) in lanes.iter().enumerate() {
        for &index in members {
            lane_of[index] = Some(lane);
        }
    }
    let since = |ns: u64| ns.saturating_sub(forest.begin_ns);
    let period = since(forest.end_ns);
    let used = Consumption::new(forest).map(|used| format!(", {}", used.text(forest)));
    let used = used.unwrap_or_default();
    let totals = format!("{}, {}{used}", forest.totals(), short_time(period));
    let head = Head {
        title: visible(title.into(), COMMANDS),
        totals: visible(totals.into(), COMMANDS),
        period,
        parallelism: Parallelism::new(forest).text(forest.cores),
        cores: forest.cores,
        lanes: lanes.iter().len(),
        left_out: lanes.left_out(),
        critical: critical_path(forest)
            .into_iter()
            .map(|segment| (segment.process, since(segment.from_ns), since(segment.to_ns)))
            .collect(),
        losses: forest.losses.iter().map(|loss| (since(loss.at_ns), loss.count)).collect(),
    };
    output.write_all(b"{\"head\":")?;
    put(output, &head)?;
    output.write_all(b",\n\"processes\":[")?;
    let longest = (COMMANDS / forest.lives.len().max(1)).max(COMMAND);
    for (index, lane) in lane_of.into_iter().enumerate() {
        output.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        put(output, &process(forest, index, lane, longest))?;
    }
    output.write_all(b"\n]}")
}

/// Commands are cut to `longest` bytes.
fn process(forest: &Forest, index: usize, lane: Option<usize>, longest: usize) -> Process<'_> {
    let life = &forest.lives[index];
    let since = |ns: u64| ns.saturating_sub(forest.begin_ns);
    Process {
        pid: life.tgid,
        parent: life.creator,
        lane,
        name: visible(life.name_or_pid(), COMMAND),
        nameless: life.program().is_none(),
        command: visible(life.command(), longest),
        start: since(forest.start(index)),
        end: since(forest.end(index)),
        earlier: life.start_ns.is_none(),
        running: life.runs(),
        failed: life.failed(),
        exit: life.outcome(),
        threads: life.threads,
        usage: usage(life),
        read: life.io.map(|io| io.read),
        written: life.io.map(|io| io.written),
        programs: programs(&life.programs, since, longest),
    }
}

fn programs<'a>(
    programs: &'a [Program],
    since: impl Fn(u64) -> u64,
    longest: usize,
) -> Vec<(Option<u64>, Cow<'a, str>)> {
    if programs.len() < 2 {
        return Vec::new();
    }
    let command = |program: &'a Program| program.command.as_deref().or(program.name.as_deref());
    let text = |program: &'a Program| visible(command(program).unwrap_or("?").into(), longest);
    programs.iter().map(|program| (program.at_ns.map(&since), text(program))).collect()
}

fn usage(life: &Life) -> Option<Usage> {
    let usage = life.usage?;
    Some(Usage {
        cpu: usage.cpu_ns,
        user: usage.user_ns(),
        system: usage.system_ns(),
        memory: usage.max_rss,
        faults: usage.min_flt,
        major_faults: usage.maj_flt,
        switches: usage.nvcsw,
        involuntary_switches: usage.nivcsw,
    })
}

/// Text cut to a number of bytes, without invisible characters and without those that change the
/// direction of text.
fn visible(text: Cow<'_, str>, longest: usize) -> Cow<'_, str> {
    let end = if text.len() <= longest {
        text.len()
    } else {
        let places = text.char_indices().map(|(place, _)| place);
        places.take_while(|&place| place <= longest).last().unwrap_or(0)
    };
    if end == text.len() && text.chars().all(is_seen) {
        return text;
    }
    let mut visible = String::with_capacity(end);
    for letter in text[..end].chars() {
        match letter {
            letter if is_seen(letter) => visible.push(letter),
            letter => visible.extend(letter.escape_unicode()),
        }
    }
    visible.push_str(if end < text.len() { "…" } else { "" });
    Cow::Owned(visible)
}

/// Writes JSON that cannot end the script element or start a comment in it. These characters occur only
/// in strings, where each may be an escape.
fn put(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = Vec::new();
    json::append(&mut text, value)?;
    let mut rest = &text[..];
    while let Some(place) = rest.iter().position(|byte| b"<>&".contains(byte)) {
        output.write_all(&rest[..place])?;
        write!(output, "\\u{:04x}", rest[place])?;
        rest = &rest[place + 1..];
    }
    output.write_all(rest)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
