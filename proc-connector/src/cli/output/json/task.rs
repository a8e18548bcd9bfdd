//! The task that caused an event.

use proc_connector::Context;
use serde::Serialize;

use super::end::UsageKeys;
use super::program::{Device, ProgramKeys};
use super::text::{PathText, RawTexts, Text, Texts, raw_bytes, raw_path};

/// The task that caused an event, as recorded by the kernel. A value that it cannot record is null.
#[derive(Serialize)]
pub(super) struct TaskKeys<'a> {
    pid: Option<u32>,
    tgid: Option<u32>,
    start_boottime_ns: Option<u64>,
    parent_tgid: Option<u32>,
    parent_start_boottime_ns: Option<u64>,
    ruid: Option<u32>,
    euid: Option<u32>,
    rgid: Option<u32>,
    egid: Option<u32>,
    comm: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_comm: Option<&'a [u8]>,
    session: Option<u32>,
    /// Null also without a terminal.
    tty: Option<Device>,
    login_uid: Option<u32>,
    audit_session: Option<u32>,
    cgroup_id: Option<u64>,
    ns_tgid: Option<u32>,
    pid_ns: Option<u32>,
    boot_ns: Option<u64>,
    /// Present for the fork of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    child_start_boottime_ns: Option<u64>,
    /// Present for an exit.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageKeys>,
    #[serde(flatten)]
    exec: ExecKeys<'a>,
}

/// The keys of an exec.
#[derive(Serialize)]
struct ExecKeys<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_filename: Option<&'a [u8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Texts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_args: Option<RawTexts<'a>>,
    /// Whether the arguments are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    args_cut: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exe: Option<PathText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_exe: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<ProgramKeys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<PathText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_cwd: Option<Vec<u8>>,
}

impl<'a> TaskKeys<'a> {
    pub(super) fn new(context: &Context<'a>) -> Self {
        let comm = context.comm();
        Self {
            pid: context.pid(),
            tgid: context.tgid(),
            start_boottime_ns: context.start_boottime_ns(),
            parent_tgid: context.parent_tgid(),
            parent_start_boottime_ns: context.parent_start_boottime_ns(),
            ruid: context.uid(),
            euid: context.euid(),
            rgid: context.gid(),
            egid: context.egid(),
            comm: comm.map(Text),
            raw_comm: comm.and_then(raw_bytes),
            session: context.session(),
            tty: context.tty().filter(|&tty| tty != 0).map(Device::from_number),
            login_uid: context.login_uid().filter(|&uid| uid != u32::MAX),
            audit_session: context.audit_session().filter(|&session| session != u32::MAX),
            cgroup_id: context.cgroup_id(),
            ns_tgid: context.ns_tgid(),
            pid_ns: context.pid_ns(),
            boot_ns: context.boot_ns(),
            child_start_boottime_ns: context.child_start_boottime_ns(),
            usage: context.usage().as_ref().map(UsageKeys::new),
            exec: ExecKeys::new(context),
        }
    }
}

impl<'a> ExecKeys<'a> {
    fn new(context: &Context<'a>) -> Self {
        let (filename, args) = (context.filename(), context.args());
        let (exe, cwd) = (context.exe(), context.cwd());
        Self {
            filename: filename.map(Text),
            raw_filename: filename.and_then(raw_bytes),
            args: args.map(Texts),
            raw_args: args.and_then(RawTexts::new),
            args_cut: args.map(|args| args.is_cut()),
            exe: exe.map(PathText),
            raw_exe: exe.and_then(raw_path),
            program: context.program().as_ref().map(ProgramKeys::new),
            cwd: cwd.map(PathText),
            raw_cwd: cwd.and_then(raw_path),
        }
    }
}
