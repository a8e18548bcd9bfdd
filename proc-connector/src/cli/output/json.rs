//! Events for programs: one JSON object a line.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proc_connector::core::{EventData, EventRecord};
use proc_connector::process::Process;
use proc_connector::{Args, Context, ExitStatus, Filter, LossCause, Received};
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
                let EventRecord { seq, cpu, timestamp_ns, data } = EventRecord::from(*event);
                let body = Body::new(&data, event.what());
                let context = event.context().filter(|_| self.with_task);
                let task = context.as_ref().map(Task::from);
                line(
                    &mut self.output,
                    &Line { body, timestamp_ns, cpu, seq, time, task, process },
                )?;
                Ok(true)
            }
            Received::Lost(lost) => {
                let lost = LostLine { event: "lost", count: lost.count, cause: lost.cause, time };
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

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    body: Body<'a>,
    timestamp_ns: u64,
    cpu: u32,
    seq: u32,
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

#[derive(Serialize)]
struct LostLine {
    event: &'static str,
    count: Option<u64>,
    cause: LossCause,
    time: Option<Timestamp>,
}

/// The fields of `ProcEvent`, and for exits and core dumps what it has no room for.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Body<'a> {
    Exec {
        pid: u32,
        tgid: u32,
    },
    Fork {
        parent_pid: u32,
        parent_tgid: u32,
        child_pid: u32,
        child_tgid: u32,
    },
    Exit {
        pid: u32,
        tgid: u32,
        exit_code: u32,
        exit_signal: u32,
        code: Option<u8>,
        signal: Option<u8>,
        core_dumped: bool,
        parent_pid: Option<u32>,
        parent_tgid: Option<u32>,
    },
    Uid {
        pid: u32,
        tgid: u32,
        ruid: u32,
        euid: u32,
    },
    Gid {
        pid: u32,
        tgid: u32,
        rgid: u32,
        egid: u32,
    },
    Sid {
        pid: u32,
        tgid: u32,
    },
    Ptrace {
        pid: u32,
        tgid: u32,
        tracer_pid: u32,
        tracer_tgid: u32,
    },
    Comm {
        pid: u32,
        tgid: u32,
        comm: String,
        /// All 16 bytes, if they are more than a name in UTF-8 and zeros.
        #[serde(skip_serializing_if = "Option::is_none")]
        raw_comm: Option<[u8; 16]>,
    },
    Coredump {
        pid: u32,
        tgid: u32,
        parent_pid: Option<u32>,
        parent_tgid: Option<u32>,
    },
    Unknown {
        what: u32,
        raw_data: &'a [u8],
    },
}

impl<'a> Body<'a> {
    fn new(data: &EventData<'a>, what: u32) -> Self {
        match *data {
            EventData::Exec { process_pid: pid, process_tgid: tgid } => Self::Exec { pid, tgid },
            EventData::Fork { parent_pid, parent_tgid, child_pid, child_tgid } => {
                Self::Fork { parent_pid, parent_tgid, child_pid, child_tgid }
            }
            EventData::Exit {
                process_pid: pid,
                process_tgid: tgid,
                exit_code,
                exit_signal,
                parent_pid,
                parent_tgid,
            } => {
                let status = ExitStatus::from_raw(exit_code);
                Self::Exit {
                    pid,
                    tgid,
                    exit_code,
                    exit_signal,
                    code: status.code(),
                    signal: status.signal(),
                    core_dumped: status.core_dumped(),
                    parent_pid: known(parent_pid),
                    parent_tgid: known(parent_tgid),
                }
            }
            EventData::Uid { process_pid: pid, process_tgid: tgid, ruid, euid } => {
                Self::Uid { pid, tgid, ruid, euid }
            }
            EventData::Gid { process_pid: pid, process_tgid: tgid, rgid, egid } => {
                Self::Gid { pid, tgid, rgid, egid }
            }
            EventData::Sid { process_pid: pid, process_tgid: tgid } => Self::Sid { pid, tgid },
            EventData::Ptrace { process_pid: pid, process_tgid: tgid, tracer_pid, tracer_tgid } => {
                Self::Ptrace { pid, tgid, tracer_pid, tracer_tgid }
            }
            EventData::Comm { process_pid: pid, process_tgid: tgid, comm } => {
                let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
                let is_all = comm[name.len()..].iter().all(|&byte| byte == 0);
                let raw_comm = (!is_all || raw(name).is_some()).then_some(comm);
                Self::Comm { pid, tgid, comm: text(name).into_owned(), raw_comm }
            }
            EventData::Coredump {
                process_pid: pid,
                process_tgid: tgid,
                parent_pid,
                parent_tgid,
            } => Self::Coredump {
                pid,
                tgid,
                parent_pid: known(parent_pid),
                parent_tgid: known(parent_tgid),
            },
            EventData::Unknown { what, data } => Self::Unknown { what, raw_data: data },
            _ => Self::Unknown { what, raw_data: &[] },
        }
    }
}

/// A parent that the kernel named.
fn known(id: u32) -> Option<u32> {
    Some(id).filter(|&id| id != 0)
}
