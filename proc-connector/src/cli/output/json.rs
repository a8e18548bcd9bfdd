//! Events as JSON: one object per line.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use proc_connector::process::Process;
use proc_connector::{Args, Context, Received};
use serde::Serialize;

use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::shown::json::line;

/// Writes events as JSON lines.
#[derive(Debug)]
pub(crate) struct Json<W> {
    output: W,
    with_task: bool,
    with_process: bool,
}

impl<W: Write> Json<W> {
    /// Writes each event with its `task`, if the kernel has recorded it.
    pub(crate) fn new(output: W) -> Self {
        Self { output, with_task: true, with_process: false }
    }

    /// Writes each event with the requested parts: `task` and `process`.
    pub(crate) fn with_parts(output: W, with_task: bool, with_process: bool) -> Self {
        Self { output, with_task, with_process }
    }

    /// Writes out the lines.
    pub(super) fn flush_lines(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Writes the line of an item.
    pub(super) fn line(&mut self, item: &Item<'_>) -> io::Result<()> {
        let time = item.time.and_then(|time| Timestamp::try_from(time).ok());
        match item.received {
            Received::Event(event) => {
                let context = event.context().filter(|_| self.with_task);
                let task = context.as_ref().map(TaskKeys::new);
                let process = item.process.filter(|_| self.with_process);
                let process =
                    process.map(|process| ProcessKeys::new(process, item.user.as_deref()));
                line(&mut self.output, &Line { received: event, time, task, process })
            }
            Received::Lost(lost) => {
                line(&mut self.output, &Line { received: lost, time, task: None, process: None })
            }
        }
    }
}

impl<W: Write> Sink for Json<W> {
    fn shows_users(&self) -> bool {
        self.with_process
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        Ok(self.line(item)?)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.flush_lines()?)
    }
}

/// A line: the keys of the library for an event or a loss, and the keys that this program adds.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(flatten)]
    received: T,
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskKeys<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessKeys<'a>>,
}

/// The value of `raw_KEY`: the bytes, if they are not UTF-8. The text under `KEY` then has U+FFFD.
fn raw_bytes(bytes: &[u8]) -> Option<&[u8]> {
    std::str::from_utf8(bytes).is_err().then_some(bytes)
}

fn lossy_text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Arguments as text, and all of them as bytes if any is not UTF-8.
type Texts<'a> = (Vec<Cow<'a, str>>, Option<Vec<&'a [u8]>>);

fn lossy_texts(args: Args<'_>) -> Texts<'_> {
    let is_text = args.iter().all(|arg| raw_bytes(arg).is_none());
    (args.iter().map(lossy_text).collect(), (!is_text).then(|| args.iter().collect()))
}

/// The process that an event is about, in its state after the event. An unknown value is null.
#[derive(Serialize)]
struct ProcessKeys<'a> {
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
    user: Option<&'a str>,
    rgid: Option<u32>,
    egid: Option<u32>,
    session: Option<u32>,
    cgroup: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_cgroup: Option<&'a [u8]>,
    container: Option<&'a str>,
    threads: usize,
    start_ns: Option<u64>,
    /// Present if the process has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_ns: Option<u64>,
}

impl<'a> ProcessKeys<'a> {
    fn new(process: &'a Process, user: Option<&'a str>) -> Self {
        let comm = process.comm();
        let (args, raw_args) = process.args().map(lossy_texts).unzip();
        let (exe, cgroup) = (process.exe().map(path_bytes), process.cgroup().map(path_bytes));
        let (uid, gid) = (process.uid(), process.gid());
        Self {
            tgid: process.tgid(),
            parent: process.parent(),
            comm: comm.map(lossy_text),
            raw_comm: comm.and_then(raw_bytes),
            args,
            raw_args: raw_args.flatten(),
            args_cut: process.args().map(|args| args.is_cut()),
            exe: exe.map(lossy_text),
            raw_exe: exe.and_then(raw_bytes),
            ruid: uid.map(|uid| uid.real),
            euid: uid.map(|uid| uid.effective),
            user,
            rgid: gid.map(|gid| gid.real),
            egid: gid.map(|gid| gid.effective),
            session: process.session(),
            cgroup: cgroup.map(lossy_text),
            raw_cgroup: cgroup.and_then(raw_bytes),
            container: process.container(),
            threads: process.threads(),
            start_ns: process.start_ns(),
            lifetime_ns: process.lifetime_ns(),
        }
    }
}

/// The task that caused an event, as recorded by the kernel. A value that it cannot record is null.
#[derive(Serialize)]
struct TaskKeys<'a> {
    pid: Option<u32>,
    tgid: Option<u32>,
    ruid: Option<u32>,
    rgid: Option<u32>,
    comm: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_comm: Option<&'a [u8]>,
    cgroup_id: Option<u64>,
    boot_ns: Option<u64>,
    /// Present for an exec.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_args: Option<Vec<&'a [u8]>>,
    /// Whether the arguments are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    args_cut: Option<bool>,
}

impl<'a> TaskKeys<'a> {
    fn new(context: &Context<'a>) -> Self {
        let comm = context.comm();
        let (args, raw_args) = context.args().map(lossy_texts).unzip();
        Self {
            pid: context.pid(),
            tgid: context.tgid(),
            ruid: context.uid(),
            rgid: context.gid(),
            comm: comm.map(lossy_text),
            raw_comm: comm.and_then(raw_bytes),
            cgroup_id: context.cgroup_id(),
            boot_ns: context.boot_ns(),
            args,
            raw_args: raw_args.flatten(),
            args_cut: context.args().map(|args| args.is_cut()),
        }
    }
}
