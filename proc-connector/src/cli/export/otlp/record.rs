//! Log records of events and losses.

use std::time::SystemTime;

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use proc_connector::parser::Usage;
use proc_connector::process::Process;
use proc_connector::{Event, ExitStatus, Payload};

use super::attributes as keys;
use super::encode::{Attributes, field_len, put_bytes, put_fixed64, put_len, put_number};
use super::times::{Times, unix_ns};
use super::uid::Uids;
use crate::cli::output::sink::{End, Item};

/// The length of the field at the start of a record that has the time of observation.
pub(super) const OBSERVED_LEN: usize = 9;

/// Events that have no record of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    /// The number of events; `None` if it is unknown.
    pub(super) count: Option<u64>,
    /// Whether the number may include events that were not selected.
    pub(super) is_upper_limit: bool,
    pub(super) reason: &'static str,
    /// The CPU that the events are from; `None` for all.
    pub(super) cpu: Option<u32>,
    /// The time before which none of these events happened, if that is known.
    pub(super) since: Option<SystemTime>,
}

/// Encodes records, one at a time.
#[derive(Debug)]
pub(super) struct Records {
    uids: Uids,
    times: Times,
    /// Whether the arguments of execs are included.
    with_arguments: bool,
    record: Vec<u8>,
}

impl Records {
    pub(super) fn new(uids: Uids, with_arguments: bool) -> Self {
        Self { uids, times: Times::new(), with_arguments, record: Vec::new() }
    }

    /// Compares the clocks. Call it regularly, because the time of day may be set.
    pub(super) fn compare_clocks(&mut self) {
        self.times.compare_clocks();
    }

    /// Encodes the record of an event. It begins with the time of observation, which is 0.
    pub(super) fn event(&mut self, event: &Event<'_>, item: &Item<'_>) -> &[u8] {
        let payload = event.payload();
        let (name, severity) = kind(&payload, item.end.as_ref());
        self.begin(name, severity, item.time);
        let mut to = Attributes::of_record(&mut self.record);
        let uid = self.uids.of_event(event.cpu(), event.timestamp_ns(), event.seq());
        to.text_in_parts(keys::RECORD_UID, uid);
        if let Some(ids) = event.process() {
            to.number(keys::PID, ids.tgid);
            let is_of_thread = matches!(payload, Payload::Comm(_) | Payload::Exit(_))
                && item.end.is_none()
                || !ids.is_leader();
            if is_of_thread {
                to.number(keys::THREAD_ID, ids.pid);
            }
        }
        match payload {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                parent(&mut to, item.process, Some(fork.parent_tgid()));
                creation(&mut to, &mut self.times, item.process);
                container(&mut to, item.process);
            }
            Payload::Exec(_) => {
                parent(&mut to, item.process, None);
                creation(&mut to, &mut self.times, item.process);
                if let Some(process) = item.process {
                    program(&mut to, process, self.with_arguments);
                    users(&mut to, item);
                }
            }
            Payload::Exit(exit) => match &item.end {
                Some(end) => {
                    parent(&mut to, item.process, exit.parent_tgid());
                    creation(&mut to, &mut self.times, item.process);
                    executable_name(&mut to, item.process);
                    container(&mut to, item.process);
                    ended(&mut to, end);
                }
                None => status(&mut to, exit.status()),
            },
            Payload::Uid(uid) => {
                put_id(&mut to, keys::USER_ID, uid.euid());
                put_id(&mut to, keys::REAL_USER_ID, uid.ruid());
                owner(&mut to, item);
            }
            Payload::Gid(gid) => {
                put_id(&mut to, keys::GROUP_ID, gid.egid());
                put_id(&mut to, keys::REAL_GROUP_ID, gid.rgid());
            }
            Payload::Ptrace(ptrace) => to.number(keys::TRACER_PID, ptrace.tracer_tgid()),
            Payload::Comm(comm) => to.lossy(keys::THREAD_NAME, comm.name()),
            Payload::Coredump(_) => executable_name(&mut to, item.process),
            Payload::Unknown(data) => {
                to.number(keys::KIND, event.what());
                to.bytes(keys::DATA, data);
            }
            Payload::Fork(_) | Payload::Sid(_) | _ => {}
        }
        &self.record
    }

    /// Encodes the record of a loss. It begins with the time of observation, which is 0.
    pub(super) fn loss(&mut self, loss: &Loss, time: SystemTime) -> &[u8] {
        self.begin("process.lost", SeverityNumber::Warn, Some(time));
        let mut to = Attributes::of_record(&mut self.record);
        to.text(keys::RECORD_UID, &self.uids.of_loss());
        if let Some(count) = loss.count {
            to.number(keys::LOST_COUNT, count);
            if loss.is_upper_limit {
                to.boolean(keys::LOST_AT_MOST, true);
            }
        }
        to.text(keys::LOST_REASON, loss.reason);
        if let Some(cpu) = loss.cpu {
            to.number(keys::LOST_CPU, cpu);
        }
        if let Some(since) = loss.since.and_then(|since| self.times.text(since)) {
            to.text(keys::LOST_SINCE, since);
        }
        &self.record
    }

    /// Encodes all fields but the attributes.
    fn begin(&mut self, name: &str, severity: SeverityNumber, time: Option<SystemTime>) {
        self.record.clear();
        put_fixed64(&mut self.record, 11, 0);
        if let Some(time) = time {
            put_fixed64(&mut self.record, 1, unix_ns(time));
        }
        put_number(&mut self.record, 2, severity as u64);
        // The name is the body, too: some receivers discard the names of events.
        put_len(&mut self.record, 5, field_len(name.len()));
        put_bytes(&mut self.record, 1, name.as_bytes());
        put_bytes(&mut self.record, 12, name.as_bytes());
    }
}

/// The id of a user or a group. With `--anonymous` it is -1, which no task has.
fn put_id(to: &mut Attributes<'_>, key: &str, id: u32) {
    if id != u32::MAX {
        to.number(key, id);
    }
}

/// The name and the severity of an event.
fn kind(payload: &Payload<'_>, end: Option<&End>) -> (&'static str, SeverityNumber) {
    let name = match payload {
        Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => "process.fork",
        Payload::Fork(_) => "thread.fork",
        Payload::Exec(_) => "process.exec",
        Payload::Uid(_) => "process.uid",
        Payload::Gid(_) => "process.gid",
        Payload::Sid(_) => "process.sid",
        Payload::Ptrace(_) => "process.ptrace",
        Payload::Comm(_) => "process.comm",
        Payload::Coredump(_) => return ("process.coredump", SeverityNumber::Warn),
        Payload::Exit(_) if end.is_some() => "process.exit",
        Payload::Exit(_) => "thread.exit",
        _ => "process.unknown",
    };
    (name, SeverityNumber::Info)
}

fn parent(to: &mut Attributes<'_>, process: Option<&Process>, in_event: Option<u32>) {
    // The kernel reports 0 for a process that has no parent in this pid namespace.
    let parent = in_event.or_else(|| process?.parent()).filter(|&parent| parent != 0);
    if let Some(parent) = parent {
        to.number(keys::PARENT_PID, parent);
    }
}

fn creation(to: &mut Attributes<'_>, times: &mut Times, process: Option<&Process>) {
    if let Some(created) = process.and_then(|process| times.creation(process)) {
        to.text(keys::CREATION_TIME, created);
    }
}

fn container(to: &mut Attributes<'_>, process: Option<&Process>) {
    if let Some(container) = process.and_then(Process::container) {
        to.text(keys::CONTAINER_ID, container);
    }
}

fn executable_name(to: &mut Attributes<'_>, process: Option<&Process>) {
    let exe = process.and_then(Process::exe);
    if let Some(name) = exe.and_then(|exe| exe.file_name()) {
        to.lossy(keys::EXECUTABLE_NAME, name.as_encoded_bytes());
    }
}

/// What a process executes, and where.
fn program(to: &mut Attributes<'_>, process: &Process, with_arguments: bool) {
    executable_name(to, Some(process));
    if let Some(exe) = process.exe() {
        to.lossy(keys::EXECUTABLE_PATH, exe.as_os_str().as_encoded_bytes());
    }
    if let Some(args) = process.args().filter(|_| with_arguments) {
        to.texts(keys::ARGUMENTS, args.iter());
        if args.is_cut() {
            to.boolean(keys::ARGUMENTS_CUT, true);
        }
    }
    if let Some(cwd) = process.cwd() {
        to.lossy(keys::WORKING_DIRECTORY, cwd.as_os_str().as_encoded_bytes());
    }
    if let Some(session) = process.session() {
        to.number(keys::SESSION_LEADER_PID, session);
    }
    if let Some(vpid) = process.ns_tgid().filter(|&vpid| vpid != process.tgid()) {
        to.number(keys::VPID, vpid);
    }
    container(to, Some(process));
    if let Some(cgroup) = process.cgroup() {
        to.lossy(keys::CGROUP, cgroup.as_os_str().as_encoded_bytes());
    }
}

fn users(to: &mut Attributes<'_>, item: &Item<'_>) {
    if let Some(uid) = item.process.and_then(Process::uid) {
        to.number(keys::USER_ID, uid.effective);
        to.number(keys::REAL_USER_ID, uid.real);
        owner(to, item);
    }
}

/// The name of the user. A user without a name has its id as text, which is no name.
fn owner(to: &mut Attributes<'_>, item: &Item<'_>) {
    if let Some(user) = item.user.as_deref().filter(|user| user.parse::<u32>().is_err()) {
        to.text(keys::OWNER, user);
    }
}

/// How a process ended, and the resources that it used. Counters that are 0 are left out, except those
/// of CPU time, whose presence shows that the resources are known.
fn ended(to: &mut Attributes<'_>, end: &End) {
    if let Some(known) = end.status {
        status(to, known);
    }
    let Some(usage) = &end.usage else { return };
    to.number(keys::CPU_USER, usage.user_ns());
    to.number(keys::CPU_SYSTEM, usage.system_ns());
    let &Usage { min_flt, maj_flt, nvcsw, nivcsw, read_bytes, write_bytes, max_rss, .. } = usage;
    for (key, count) in [
        (keys::MAX_RSS, max_rss.unwrap_or(0)),
        (keys::MINOR_FAULTS, min_flt),
        (keys::MAJOR_FAULTS, maj_flt),
        (keys::VOLUNTARY_SWITCHES, nvcsw),
        (keys::INVOLUNTARY_SWITCHES, nivcsw),
        (keys::READ_BYTES, read_bytes),
        (keys::WRITTEN_BYTES, write_bytes),
    ] {
        if count != 0 {
            to.number(key, count);
        }
    }
}

fn status(to: &mut Attributes<'_>, status: ExitStatus) {
    if let Some(code) = status.code() {
        to.number(keys::EXIT_CODE, code);
    }
    if let Some(signal) = status.signal() {
        to.number(keys::EXIT_SIGNAL, signal);
        to.boolean(keys::CORE_DUMPED, status.core_dumped());
    }
}
