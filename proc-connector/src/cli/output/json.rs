//! Events for programs: one JSON object a line.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proc_connector::process::Process;
use proc_connector::{Args, Context, Filter, Received};
use serde::Serialize;

use super::sink::Sink;
use crate::cli::pipeline::identify::Who;
use crate::cli::shown::json::line;

/// Writes events as JSON lines.
#[derive(Debug)]
pub(crate) struct Json<'a, W> {
    output: W,
    with_task: bool,
    who: Option<Enriched<'a>>,
}

/// The processes behind the events, and which of these to write.
#[derive(Debug)]
struct Enriched<'a> {
    who: Who<'a>,
    filter: Filter,
    with_process: bool,
}

impl<W: Write> Json<'static, W> {
    /// Writes every event, with who made it where that was noted.
    pub(crate) fn new(output: W) -> Self {
        Self { output, with_task: true, who: None }
    }
}

impl<'a, W: Write> Json<'a, W> {
    /// Writes what passes the filter and is of a process of interest, and that process if wanted.
    pub(crate) fn with_who(
        output: W,
        who: Who<'a>,
        filter: Filter,
        with: (bool, bool),
    ) -> Json<'a, W> {
        let (with_task, with_process) = with;
        Self { output, with_task, who: Some(Enriched { who, filter, with_process }) }
    }
}

impl<W: Write> Sink for Json<'_, W> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<bool> {
        let time = time.and_then(|time| Timestamp::try_from(time).ok());
        let mut process = None;
        if let Some(Enriched { who, filter, with_process }) = &mut self.who {
            let subject = who.update(received);
            if matches!(received, Received::Event(event) if !subject.is_wanted || !filter.matches(event))
            {
                return Ok(false);
            }
            process = subject
                .process
                .filter(|_| *with_process)
                .map(|process| Whose::of(process, subject.user()));
        }
        match received {
            Received::Event(event) => {
                let context = event.context().filter(|_| self.with_task);
                let task = context.as_ref().map(Task::from);
                line(&mut self.output, &Line { received: event, time, task, process })?;
                Ok(true)
            }
            Received::Lost(lost) => {
                let lost = Line { received: lost, time, task: None, process: None };
                line(&mut self.output, &lost).map(|()| false)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn due_in(&self) -> Option<Duration> {
        self.who.as_ref()?.who.due_in()
    }

    fn catch_up(&mut self) {
        if let Some(enriched) = &mut self.who {
            enriched.who.catch_up();
        }
    }
}

/// A line: the library's form of an event or a loss, and what this program adds.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(flatten)]
    received: T,
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Task<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Whose<'a>>,
}

/// The value of `raw_KEY`: all bytes, if they are not UTF-8 and the text under `KEY` has U+FFFD instead.
fn raw(bytes: &[u8]) -> Option<&[u8]> {
    std::str::from_utf8(bytes).is_err().then_some(bytes)
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Arguments as texts, and all of them as bytes if one is not UTF-8.
type Texts<'a> = (Vec<Cow<'a, str>>, Option<Vec<&'a [u8]>>);

fn texts(args: Args<'_>) -> Texts<'_> {
    let is_text = args.iter().all(|arg| raw(arg).is_none());
    (args.iter().map(text).collect(), (!is_text).then(|| args.iter().collect()))
}

/// The process that an event is about, as the table has it after the event; what is not known is
/// null.
#[derive(Serialize)]
struct Whose<'a> {
    tgid: u32,
    parent: Option<u32>,
    comm: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_comm: Option<&'a [u8]>,
    args: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_args: Option<Vec<&'a [u8]>>,
    args_cut: Option<bool>,
    exe: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_exe: Option<&'a [u8]>,
    ruid: Option<u32>,
    euid: Option<u32>,
    /// The effective user's name.
    user: Option<String>,
    rgid: Option<u32>,
    egid: Option<u32>,
    session: Option<u32>,
    cgroup: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_cgroup: Option<&'a [u8]>,
    container: Option<&'a str>,
    threads: usize,
    start_ns: Option<u64>,
    /// Of those that have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_ns: Option<u64>,
}

impl<'a> Whose<'a> {
    fn of(process: &'a Process, user: Option<String>) -> Self {
        let comm = process.comm();
        let (args, raw_args) = process.args().map(texts).unzip();
        let (exe, cgroup) = (process.exe().map(path_bytes), process.cgroup().map(path_bytes));
        let (uid, gid) = (process.uid(), process.gid());
        Self {
            tgid: process.tgid(),
            parent: process.parent(),
            comm: comm.map(text),
            raw_comm: comm.and_then(raw),
            args,
            raw_args: raw_args.flatten(),
            args_cut: process.args().map(|args| args.is_cut()),
            exe: exe.map(text),
            raw_exe: exe.and_then(raw),
            ruid: uid.map(|uid| uid.real),
            euid: uid.map(|uid| uid.effective),
            user,
            rgid: gid.map(|gid| gid.real),
            egid: gid.map(|gid| gid.effective),
            session: process.session(),
            cgroup: cgroup.map(text),
            raw_cgroup: cgroup.and_then(raw),
            container: process.container(),
            threads: process.threads(),
            start_ns: process.start_ns(),
            lifetime_ns: process.lifetime_ns(),
        }
    }
}

/// Who made an event, as the kernel noted it; what it cannot find out is null.
#[derive(Serialize)]
struct Task<'a> {
    pid: Option<u32>,
    tgid: Option<u32>,
    ruid: Option<u32>,
    rgid: Option<u32>,
    comm: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_comm: Option<&'a [u8]>,
    cgroup_id: Option<u64>,
    boot_ns: Option<u64>,
    /// Of execs.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_args: Option<Vec<&'a [u8]>>,
    /// Whether there were more.
    #[serde(skip_serializing_if = "Option::is_none")]
    args_cut: Option<bool>,
}

impl<'a> From<&Context<'a>> for Task<'a> {
    fn from(context: &Context<'a>) -> Self {
        let comm = context.comm();
        let (args, raw_args) = context.args().map(texts).unzip();
        Self {
            pid: context.pid(),
            tgid: context.tgid(),
            ruid: context.uid(),
            rgid: context.gid(),
            comm: comm.map(text),
            raw_comm: comm.and_then(raw),
            cgroup_id: context.cgroup_id(),
            boot_ns: context.boot_ns(),
            args,
            raw_args: raw_args.flatten(),
            args_cut: context.args().map(|args| args.is_cut()),
        }
    }
}
