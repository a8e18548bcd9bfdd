//! The process that an event is about.

use proc_connector::process::Process;
use serde::Serialize;

use super::id::IdText;
use super::program::{Device, ProgramKeys};
use super::text::{RawTexts, Text, Texts, path_bytes, raw_bytes};

/// The process that an event is about, in its state after the event. An unknown value is null.
#[derive(Serialize)]
pub(in crate::cli::output) struct ProcessKeys<'a> {
    id: Option<&'a str>,
    tgid: u32,
    parent: Option<u32>,
    execs: Option<u32>,
    comm: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_comm: Option<&'a [u8]>,
    args: Option<Texts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_args: Option<RawTexts<'a>>,
    args_cut: Option<bool>,
    exe: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_exe: Option<&'a [u8]>,
    ruid: Option<u32>,
    euid: Option<u32>,
    /// The effective user's name.
    user: Option<&'a str>,
    rgid: Option<u32>,
    egid: Option<u32>,
    session: Option<u32>,
    cgroup: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_cgroup: Option<&'a [u8]>,
    container: Option<&'a str>,
    threads: usize,
    start_ns: Option<u64>,
    /// Present if the process has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_ns: Option<u64>,
    // Values that only the ring transport records. Otherwise they are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_boottime_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_filename: Option<&'a [u8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<ProgramKeys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_cwd: Option<&'a [u8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_session: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ns_tgid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_ns: Option<u32>,
}

impl<'a> ProcessKeys<'a> {
    pub(in crate::cli::output) fn new(
        process: &'a Process,
        user: Option<&'a str>,
        id: &'a mut IdText,
    ) -> Self {
        let (comm, args) = (process.comm(), process.args());
        let (exe, cgroup) = (process.exe().map(path_bytes), process.cgroup().map(path_bytes));
        let (uid, gid) = (process.uid(), process.gid());
        let (filename, cwd) = (process.filename(), process.cwd().map(path_bytes));
        Self {
            id: process.id().map(|process| id.text(process)),
            tgid: process.tgid(),
            parent: process.parent(),
            execs: process.execs(),
            comm: comm.map(Text),
            raw_comm: comm.and_then(raw_bytes),
            args: args.map(Texts),
            raw_args: args.and_then(RawTexts::new),
            args_cut: args.map(|args| args.is_cut()),
            exe: exe.map(Text),
            raw_exe: exe.and_then(raw_bytes),
            ruid: uid.map(|uid| uid.real),
            euid: uid.map(|uid| uid.effective),
            user,
            rgid: gid.map(|gid| gid.real),
            egid: gid.map(|gid| gid.effective),
            session: process.session(),
            cgroup: cgroup.map(Text),
            raw_cgroup: cgroup.and_then(raw_bytes),
            container: process.container(),
            threads: process.threads(),
            start_ns: process.start_ns(),
            lifetime_ns: process.lifetime_ns(),
            start_boottime_ns: process.start_boottime_ns(),
            filename: filename.map(Text),
            raw_filename: filename.and_then(raw_bytes),
            program: process.program().as_ref().map(ProgramKeys::new),
            cwd: cwd.map(Text),
            raw_cwd: cwd.and_then(raw_bytes),
            tty: process.tty().filter(|&tty| tty != 0).map(Device::from_number),
            login_uid: process.login_uid().filter(|&uid| uid != u32::MAX),
            audit_session: process.audit_session().filter(|&session| session != u32::MAX),
            ns_tgid: process.ns_tgid(),
            pid_ns: process.pid_ns(),
        }
    }
}
