//! Events of the Open Cybersecurity Schema Framework (OCSF): one object per line.
//!
//! Events of processes have the class Process Activity (1007). Losses, and events of kinds that this
//! program does not know, have the base class (0). `docs/ocsf.md` describes the mapping.

mod activity;
mod machine;
mod moment;
mod process;
mod unmapped;

use std::io::Write;

use proc_connector::process::Process;
use proc_connector::{Event, ExitStatus, Lost, Payload, Received};
use serde::Serialize;

use self::activity::Activity;
use self::machine::{Device, EventUid, Metadata};
use self::moment::Moment;
use self::process::{Actor, ProcessObject};
use self::unmapped::Unmapped;
use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::shown::json::append;

/// The base class, and the class Process Activity with its category System Activity.
const BASE: Class = Class { category: 0, uid: 0, profiles: &["host"] };
const PROCESS: Class =
    Class { category: 1, uid: 1007, profiles: &["container", "host", "linux/linux_users"] };

/// A class of events.
#[derive(Clone, Copy, Debug)]
struct Class {
    category: u8,
    uid: u32,
    /// The profiles that the events use.
    profiles: &'static [&'static str],
}

/// The severities "Informational" and "Medium".
const INFORMATIONAL: u8 = 1;
const MEDIUM: u8 = 3;

/// Writes events as OCSF.
#[derive(Debug)]
pub(crate) struct Ocsf<W> {
    output: W,
    /// The number of losses that were written.
    losses: u64,
    /// The buffer of a line, reused for all lines.
    line: Vec<u8>,
}

impl<W: Write> Ocsf<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output, losses: 0, line: Vec::new() }
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        item: &Item<'_>,
        is_other_end: bool,
    ) -> Result<(), Failure> {
        let moment = Moment::new(item.time.ok_or(Failure::NoTimeOfDay)?, event.timestamp_ns());
        let uid = EventUid::of_event(event, item.details.boot_id, is_other_end);
        let mut unmapped = Unmapped::new(event, item);
        let Some(ids) = event.process() else {
            let activity = Activity::UNKNOWN_KIND;
            let mut line = Line::new(BASE, activity, INFORMATIONAL, moment, item, unmapped);
            line.metadata.uid = uid;
            return self.write_line(&line);
        };
        let activity = if is_other_end { Activity::TERMINATE } else { Activity::of(event, item) };
        let is_end = activity == Activity::TERMINATE;
        if is_other_end {
            unmapped.clear_kind();
        }
        let status = item.end.filter(|_| is_end).and_then(|end| end.status);
        let parent = item.details.parent;
        let parent = parent.map(|parent| ProcessObject::parent(parent, moment));
        let tgid = item.process.map_or(ids.tgid, Process::tgid);
        let mut process = match item.process {
            Some(process) => ProcessObject::new(process, item.details.user, moment),
            None => ProcessObject::with_pid(tgid),
        };
        let actor = match (item.details.actor, causing_pid(event).filter(|_| !is_other_end)) {
            (Some(actor), _) => ProcessObject::new(actor, item.details.actor_user, moment),
            (None, Some(pid)) => ProcessObject::with_pid(pid),
            // The schema permits this for an unknown actor.
            (None, None) => process.clone(),
        };
        process.ptid = Some(ids.pid).filter(|&pid| pid != ids.tgid && !is_other_end);
        process.terminated_time =
            is_end.then(|| item.process.and_then(Process::end_ns)).map(|end| match end {
                Some(end_ns) if !is_other_end => moment.unix_ms_at(end_ns),
                _ => moment.unix_ms(),
            });
        process.parent_process = parent.as_ref();
        let mut line = Line::new(PROCESS, activity, INFORMATIONAL, moment, item, unmapped);
        line.metadata.uid = uid;
        line.metadata.sequence = Some(event.seq());
        line.exit_code = status.and_then(ExitStatus::code);
        line.message = status.filter(|status| status.code().is_none()).map(|it| it.to_string());
        line.actor = Some(Actor::new(&actor));
        line.process = Some(&process);
        self.write_line(&line)
    }

    fn lost(&mut self, lost: &Lost, item: &Item<'_>) -> Result<(), Failure> {
        let moment = Moment::new(item.time.ok_or(Failure::NoTimeOfDay)?, 0);
        self.losses += 1;
        let mut line = Line::new(BASE, Activity::LOST, MEDIUM, moment, item, lost);
        line.metadata.uid = EventUid::of_loss(self.losses, moment, item.details.boot_id);
        line.count = lost.count;
        line.message = Some(lost.to_string());
        self.write_line(&line)
    }

    fn write_line<T: Serialize>(&mut self, line: &Line<'_, T>) -> Result<(), Failure> {
        self.line.clear();
        append(&mut self.line, line)?;
        self.line.push(b'\n');
        Ok(self.output.write_all(&self.line)?)
    }
}

impl<W: Write> Sink for Ocsf<W> {
    fn shows_details(&self) -> bool {
        true
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        match item.received {
            Received::Event(event) => self.event(event, item, false),
            Received::Lost(lost) => self.lost(lost, item),
        }
    }

    fn write_end(&mut self, item: &Item<'_>) -> Result<bool, Failure> {
        let Received::Event(event) = item.received else { return Ok(false) };
        self.event(event, item, true)?;
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.output.flush()?)
    }
}

/// The id of the process that caused an event, if that is another process than that of the event.
fn causing_pid(event: &Event<'_>) -> Option<u32> {
    match event.payload() {
        Payload::Fork(fork) => {
            let running = event.context().and_then(|task| task.tgid());
            Some(running.unwrap_or(fork.parent_tgid()))
        }
        Payload::Ptrace(ptrace) => Some(ptrace.tracer_tgid()).filter(|&tgid| tgid != 0),
        _ => None,
    }
}

/// A line.
#[derive(Serialize)]
struct Line<'a, U> {
    category_uid: u8,
    class_uid: u32,
    activity_id: u8,
    activity_name: &'static str,
    type_uid: u32,
    time: i64,
    severity_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    launch_type_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    metadata: Metadata,
    device: Device<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<&'a ProcessObject<'a>>,
    unmapped: U,
}

impl<'a, U> Line<'a, U> {
    fn new(
        class: Class,
        activity: Activity,
        severity_id: u8,
        moment: Moment,
        item: &Item<'a>,
        unmapped: U,
    ) -> Self {
        let Activity { id, name, launch } = activity;
        Self {
            category_uid: class.category,
            class_uid: class.uid,
            activity_id: id,
            activity_name: name,
            type_uid: class.uid * 100 + u32::from(id),
            time: moment.unix_ms(),
            severity_id,
            launch_type_id: launch.map(|(id, _)| id),
            launch_type: launch.map(|(_, name)| name),
            exit_code: None,
            count: None,
            message: None,
            metadata: Metadata::new(class.profiles),
            device: Device::new(item.details.host, item.details.boot_id),
            actor: None,
            process: None,
            unmapped,
        }
    }
}
