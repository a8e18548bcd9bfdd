//! Values that the schema has no attribute for, under the keys of `--format json`.

use proc_connector::parser::Text;
use proc_connector::process::Process;
use proc_connector::{Event, ExitStatus, Payload};
use serde::Serialize;

use crate::cli::output::json::UsageKeys;
use crate::cli::output::sink::Item;

#[derive(Serialize)]
pub(super) struct Unmapped<'a> {
    /// The kind of the event.
    event: &'static str,
    cpu: u32,
    timestamp_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ruid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rgid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    core_dumped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageKeys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args_cut: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<Text<'a>>,
}

impl<'a> Unmapped<'a> {
    pub(super) fn new(event: &Event<'a>, item: &Item<'a>) -> Self {
        let is_cut = |process: &Process| process.args().is_some_and(|args| args.is_cut());
        let cgroup = item.process.and_then(Process::cgroup);
        let mut unmapped = Self {
            event: "unknown",
            cpu: event.cpu(),
            timestamp_ns: event.timestamp_ns(),
            what: None,
            ruid: None,
            euid: None,
            rgid: None,
            egid: None,
            comm: None,
            code: None,
            signal: None,
            core_dumped: None,
            lifetime_ns: None,
            usage: None,
            args_cut: item.process.is_some_and(is_cut).then_some(true),
            cgroup: cgroup.map(|path| Text(path.as_os_str().as_encoded_bytes())),
        };
        unmapped.set_kind(event);
        if let Some(end) = &item.end {
            unmapped.set_status(end.status);
            // It is `exit_code` of the event.
            unmapped.code = None;
            unmapped.lifetime_ns = end.lifetime_ns;
            unmapped.usage = end.usage.as_ref().map(UsageKeys::new);
        }
        unmapped
    }

    /// Leaves out the values of an event that implies the end of another process.
    pub(super) fn clear_kind(&mut self) {
        (self.ruid, self.euid, self.rgid, self.egid, self.comm) = (None, None, None, None, None);
    }

    fn set_kind(&mut self, event: &Event<'a>) {
        // Anonymous events have no ids of users and groups.
        let known = |id: u32| Some(id).filter(|&id| id != u32::MAX);
        self.event = match event.payload() {
            Payload::Fork(_) => "fork",
            Payload::Exec(_) => "exec",
            Payload::Exit(exit) => {
                self.set_status(Some(exit.status()));
                "exit"
            }
            Payload::Uid(uid) => {
                (self.ruid, self.euid) = (known(uid.ruid()), known(uid.euid()));
                "uid"
            }
            Payload::Gid(gid) => {
                (self.rgid, self.egid) = (known(gid.rgid()), known(gid.egid()));
                "gid"
            }
            Payload::Sid(_) => "sid",
            Payload::Ptrace(_) => "ptrace",
            Payload::Comm(comm) => {
                self.comm = Some(comm.name()).filter(|name| !name.is_empty()).map(Text);
                "comm"
            }
            Payload::Coredump(_) => "coredump",
            _ => {
                self.what = Some(event.what());
                "unknown"
            }
        };
    }

    fn set_status(&mut self, status: Option<ExitStatus>) {
        self.code = status.and_then(ExitStatus::code);
        self.signal = status.and_then(ExitStatus::signal);
        self.core_dumped = self.signal.and(status).map(ExitStatus::core_dumped);
    }
}
