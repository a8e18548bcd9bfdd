//! Processes and actors.

use proc_connector::parser::Text;
use proc_connector::process::{Ids, Process, ProcessId};
use serde::{Serialize, Serializer};

use super::moment::Moment;
use crate::cli::output::names::{program_name, typed_command_line};

/// A process in its state after an event, or an actor in its state before. Unknown values are left out.
#[derive(Clone, Serialize)]
pub(super) struct ProcessObject<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<ProcessId>,
    /// The thread of the event, if it is not the first thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ptid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) terminated_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Id<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Id<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Id<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_process: Option<&'a ProcessObject<'a>>,
}

impl<'a> ProcessObject<'a> {
    /// A process about which nothing else is known.
    pub(super) fn with_pid(pid: u32) -> Self {
        Self {
            pid,
            uid: None,
            ptid: None,
            name: None,
            cmd_line: None,
            file: None,
            working_directory: None,
            created_time: None,
            terminated_time: None,
            user: None,
            euid: None,
            group: None,
            egid: None,
            auid: None,
            session: None,
            container: None,
            namespace_pid: None,
            parent_process: None,
        }
    }

    /// The values that identify a parent and its program.
    pub(super) fn parent(process: &'a Process, now: Moment) -> Self {
        Self {
            uid: process.id(),
            name: program_name(process).map(Text),
            cmd_line: typed_command_line(process),
            file: File::of(process),
            created_time: process.start_ns().map(|start| now.unix_ms_at(start)),
            ..Self::with_pid(process.tgid())
        }
    }

    /// All values. `user` is the name of the real user.
    pub(super) fn new(process: &'a Process, user: Option<&'a str>, now: Moment) -> Self {
        let (uid, gid) = (process.uid(), process.gid());
        let effective = |ids: Ids| ids.effective;
        Self {
            working_directory: process.cwd().map(|path| Text(path.as_os_str().as_encoded_bytes())),
            user: uid.map(|ids| User { uid: Number(ids.real), name: user }),
            euid: uid.map(effective),
            group: gid.map(|ids| Id { uid: Number(ids.real) }),
            egid: gid.map(effective),
            auid: process.login_uid().filter(|&uid| uid != u32::MAX),
            session: process.session().map(|session| Id { uid: Number(session) }),
            container: process.container().map(|uid| Id { uid: Number(uid) }),
            // In the initial namespace, both ids are the same.
            namespace_pid: process.ns_tgid().filter(|&tgid| tgid != process.tgid()),
            ..Self::parent(process, now)
        }
    }
}

/// The process that caused an event.
#[derive(Serialize)]
pub(super) struct Actor<'a> {
    process: &'a ProcessObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
}

impl<'a> Actor<'a> {
    pub(super) fn new(process: &'a ProcessObject<'a>) -> Self {
        Self { process, user: process.user }
    }
}

#[derive(Clone, Copy, Serialize)]
struct User<'a> {
    uid: Number<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// A group, a session or a container.
#[derive(Clone, Copy, Serialize)]
struct Id<T: ToString> {
    uid: Number<T>,
}

/// A number that is text in the schema.
#[derive(Clone, Copy)]
struct Number<T>(T);

impl<T: ToString> Serialize for Number<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

/// The file of a program.
#[derive(Clone, Serialize)]
struct File<'a> {
    name: Text<'a>,
    path: Text<'a>,
    /// "Regular File": the kernel executes no others.
    type_id: u8,
    /// The device and the inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_deleted: Option<bool>,
}

impl<'a> File<'a> {
    fn of(process: &'a Process) -> Option<Self> {
        const DELETED: &[u8] = b" (deleted)";
        let program = process.program();
        let path = process.exe()?.as_os_str().as_encoded_bytes();
        // Without the kernel's record, a name may end like this.
        let is_deleted = program.is_some_and(|file| file.is_deleted);
        let path = if is_deleted { path.strip_suffix(DELETED).unwrap_or(path) } else { path };
        let name = path.rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())?;
        Some(Self {
            name: Text(name),
            path: Text(path),
            type_id: 1,
            uid: program.map(|file| format!("{}:{}:{}", file.dev_major, file.dev_minor, file.ino)),
            is_deleted: is_deleted.then_some(true),
        })
    }
}
