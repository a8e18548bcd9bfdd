//! Compares one process as the library reported it with its record.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;

use proc_connector::process::{Ids, Process};

use super::observer::Seen;
use super::recorded::judge_program;
use super::usage::judge_usage;
use crate::behaviour::truth::{Deleted, Image, Truth, text};

/// Arguments of up to this many bytes are recorded whole.
const WHOLE_ARGUMENTS: usize = 32 << 10;

/// How a reported value compares with the actual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// The library reports no value.
    Missing,
    /// The reported and the actual value.
    Wrong(String),
}

use Verdict::{Missing, Right, Wrong};

/// The verdict on one field of a process.
pub(crate) type Judged = (&'static str, Verdict);

/// Everything that the library reported, by process id.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    by_serial: &'a HashMap<u64, Seen>,
    by_tgid: HashMap<u32, Vec<&'a Seen>>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(by_serial: &'a HashMap<u64, Seen>) -> Self {
        let mut by_tgid: HashMap<u32, Vec<&Seen>> = HashMap::new();
        for seen in by_serial.values() {
            by_tgid.entry(seen.first.tgid()).or_default().push(seen);
        }
        Self { by_serial, by_tgid }
    }

    /// Processes of the families of `roots` that have no record.
    pub(crate) fn unrecorded(&self, roots: &[u32], truths: &[Truth]) -> Vec<&'a Seen> {
        let matched: HashSet<u64> = (truths.iter().flat_map(|truth| self.matches(truth)))
            .map(|seen| seen.first.serial())
            .collect();
        let family = roots.iter().flat_map(|&root| self.family(root));
        family.filter(|seen| !matched.contains(&seen.first.serial())).collect()
    }

    /// Processes that started when this one was created, with the same id.
    pub(crate) fn matches(&self, truth: &Truth) -> Vec<&'a Seen> {
        let (from, to) = truth.created_ns;
        let has_started =
            |seen: &&&Seen| seen.first.start_ns().is_some_and(|start| (from..=to).contains(&start));
        let owners = self.by_tgid.get(&truth.tgid).map(Vec::as_slice).unwrap_or_default();
        owners.iter().filter(has_started).copied().collect()
    }

    /// The processes that a process created, directly or not.
    fn family(&self, root: u32) -> Vec<&'a Seen> {
        let is_of = |seen: &&Seen| {
            let mut seen = *seen;
            loop {
                let creator =
                    seen.first.tree_parent().and_then(|serial| self.by_serial.get(&serial));
                match creator {
                    Some(creator) if creator.first.tgid() == root => return true,
                    Some(creator) => seen = creator,
                    None => return false,
                }
            }
        };
        self.by_serial.values().filter(is_of).collect()
    }

    pub(crate) fn judge(&self, truth: &Truth) -> Vec<Judged> {
        let matches = self.matches(truth);
        let [seen] = matches[..] else {
            return vec![("start", wrong(&matches.len(), &1))];
        };
        let mut judged = vec![("start", Right)];
        let first = &seen.first;
        judged.push(("parent", compare(first.parent(), &truth.parent)));
        judged.push(("creator", self.creator(first, truth)));
        judged.push(("inherited arguments", arguments(first, &truth.images[0])));
        judged.push(("execs", compare(Some(seen.execs.len()), &(truth.images.len() - 1))));
        for (process, image) in seen.execs.iter().zip(&truth.images[1..]) {
            let field = if is_overwriting(truth, image) { OVERWRITTEN } else { "arguments" };
            judged.push((field, arguments(process, image)));
            judged.push(("program", program(process, image)));
            judged.push(("program file", judge_program(process.program(), image)));
            if !image.filename.is_empty() {
                let filename = process.filename().map(text);
                judged.push(("file name", compare(filename.as_ref(), &&image.filename)));
            }
        }
        judged.push(("vanished", compare(Some(seen.vanished), &0)));
        judged.push(("end", compare(Some(seen.ends.len()), &1)));
        let Some(last) = seen.ends.last() else { return judged };
        judge_end(last, truth, &mut judged);
        judged
    }

    /// The same if events were lost: the process may be unknown, its changes may be incomplete and
    /// its end may be missing. What the library reports must be right.
    pub(crate) fn judge_after_losses(&self, truth: &Truth) -> Vec<Judged> {
        let mut judged = Vec::new();
        for seen in self.matches(truth) {
            judged.push(("creator", self.creator(&seen.first, truth)));
            if let Some(last) = seen.ends.last() {
                judge_end(last, truth, &mut judged);
            }
        }
        judged
    }

    /// The process that created this one: the right id, of the process that had it at that time.
    fn creator(&self, first: &Process, truth: &Truth) -> Verdict {
        let Some(serial) = first.creator() else { return Missing };
        let Some(creator) = self.by_serial.get(&serial) else {
            return Wrong(format!("the serial number {serial} of no process"));
        };
        let ended = creator.ends.first().and_then(Process::end_ns);
        if ended.is_some_and(|end| end < truth.created_ns.0) {
            return Wrong(format!("{} has ended before", creator.first.tgid()));
        }
        compare(Some(creator.first.tgid()), &truth.creator)
    }
}

/// Judges the state of a process at its end.
fn judge_end(last: &Process, truth: &Truth, judged: &mut Vec<Judged>) {
    let end_ns = last.end_ns().expect("an end");
    let is_early = end_ns < truth.alive_ns;
    let verdict =
        if is_early { wrong(&end_ns, &format!("alive at {}", truth.alive_ns)) } else { Right };
    judged.push(("end time", verdict));
    let start_ticks = last.id().map(|id| id.start_boottime_ns / 10_000_000);
    judge_known(judged, "identity", start_ticks, truth.start_ticks);
    let execs = u32::try_from(truth.images.len() - 1).expect("few");
    judged.push(("number of execs", compare(last.execs(), &execs)));
    judged.push(("ns_tgid", compare(last.ns_tgid(), &truth.ns_tgid)));
    judge_usage(judged, USAGE, last.usage(), truth.usage);
    let ids = |ids: Option<Ids>| ids.map(|ids| (ids.real, ids.effective));
    let image = truth.images.last().expect("one at least");
    let field = if is_overwriting(truth, image) { OVERWRITTEN } else { "last arguments" };
    judged.push((field, arguments(last, image)));
    judged.push(("last program", program(last, image)));
    judge_known(judged, "status", last.exit_status().map(raw), truth.status);
    judge_known(judged, "last parent", last.parent(), truth.last_parent);
    judge_known(judged, "user", ids(last.uid()), truth.uid);
    judge_known(judged, "group", ids(last.gid()), truth.gid);
    judge_known(judged, "session", last.session(), truth.session);
    judge_known(judged, "name", last.comm().map(text), truth.comm.clone());
}

const USAGE: [&str; 6] = ["cpu", "max_rss", "min_flt", "maj_flt", "nvcsw", "nivcsw"];

fn raw(status: proc_connector::ExitStatus) -> i32 {
    i32::try_from(status.into_raw()).expect("a wait status")
}

/// Judges a field whose actual value may be unknown.
pub(crate) fn judge_known<T: PartialEq + Debug>(
    judged: &mut Vec<Judged>,
    field: &'static str,
    reported: Option<T>,
    actual: Option<T>,
) {
    if let Some(actual) = actual {
        judged.push((field, compare(reported, &actual)));
    }
}

pub(crate) fn compare<T: PartialEq + Debug>(reported: Option<T>, actual: &T) -> Verdict {
    match reported {
        None => Missing,
        Some(reported) if reported == *actual => Right,
        Some(reported) => wrong(&reported, actual),
    }
}

pub(crate) fn wrong(reported: &impl Debug, actual: &impl Debug) -> Verdict {
    let short = |text: String| text.chars().take(200).collect::<String>();
    Wrong(format!("{} instead of {}", short(format!("{reported:?}")), short(format!("{actual:?}"))))
}

/// Arguments that a process may have overwritten before `/proc` was read, by as many bytes.
const OVERWRITTEN: &str = "overwritten arguments";

/// Whether the program overwrites its arguments.
fn is_overwriting(truth: &Truth, image: &Image) -> bool {
    truth.behaviour.starts_with("overwrites_its_arguments") && image.exe.ends_with("/overwrite")
}

fn arguments(process: &Process, image: &Image) -> Verdict {
    let args = process.args().map(|args| (text(args.bytes()), args.is_cut()));
    judge_arguments(args.as_ref().map(|(args, is_cut)| (&args[..], *is_cut)), image)
}

/// Judges arguments, with whether they are truncated.
pub(crate) fn judge_arguments(args: Option<(&str, bool)>, image: &Image) -> Verdict {
    match args {
        None => Missing,
        Some((args, true)) if image.args.starts_with(args) && args != image.args => {
            if image.args.len() > WHOLE_ARGUMENTS { Right } else { Missing }
        }
        Some((args, false)) if args == image.args => Right,
        Some((args, is_cut)) => wrong(&(is_cut, args.len(), args), &image.args),
    }
}

fn program(process: &Process, image: &Image) -> Verdict {
    let Some(path) = process.exe() else { return Missing };
    let path = text(path.as_os_str().as_bytes());
    let deleted = format!("{} (deleted)", image.exe);
    let is_right = match image.deleted {
        Deleted::Never => path == image.exe,
        Deleted::Before => path == deleted,
        Deleted::After => path == image.exe || path == deleted,
    };
    if is_right { Right } else { wrong(&path, &(&image.exe, image.deleted)) }
}
