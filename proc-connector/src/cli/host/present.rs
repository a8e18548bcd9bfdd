//! Checks that selected processes, users and cgroups exist on this machine. Otherwise a command would
//! wait forever for events that cannot occur.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{self, Pid};

use crate::cli::shown::shown;
use crate::cli::values::{self, User};

/// A selection that nothing can match.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Absent {
    #[error("no process has the id {0}: `ps -e` lists the running processes")]
    Process(u32),
    #[error("{thread} is a thread of process {process}: use {process}")]
    Thread { thread: u32, process: u32 },
    #[error(
        "no user is called {}: `getent passwd` lists users, and a numeric id works too",
        shown(.0.as_bytes())
    )]
    User(String),
    #[error("cannot look up the id of user {}: {error}; give the id instead", shown(.name.as_bytes()))]
    Lookup { name: String, error: io::Error },
    #[error("the cgroup {} does not exist: /proc/PID/cgroup shows the cgroup of a process", shown(.0.as_bytes()))]
    Cgroup(String),
    #[error("a recording has user ids but no names: give the id of {}", shown(.0.as_bytes()))]
    NameOfRecorded(String),
}

/// Refuses the id of a process that does not exist, or of a thread that is not a process's first.
pub(crate) fn process(pid: u32) -> Result<(), Absent> {
    let id = i32::try_from(pid).map(Pid::from_raw).map_err(|_| Absent::Process(pid))?;
    // This also finds processes that `/proc` hides.
    if kill(id, None) == Err(Errno::ESRCH) {
        return Err(Absent::Process(pid));
    }
    // In the `/proc` of another pid namespace, this id belongs to another process.
    let own = fs::read_link("/proc/self").ok();
    if own.is_none_or(|own| own != Path::new(&std::process::id().to_string())) {
        return Ok(());
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tgid = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    match tgid.and_then(|tgid| tgid.trim().parse().ok()) {
        Some(process) if process != pid => Err(Absent::Thread { thread: pid, process }),
        _ => Ok(()),
    }
}

/// Whether a process has this id, as its own or as that of a thread.
pub(crate) fn has_id(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

/// The id of a user of this machine.
pub(crate) fn user(user: &User) -> Result<u32, Absent> {
    match user {
        User::Id(id) => Ok(*id),
        User::Name(name) => match unistd::User::from_name(name) {
            Ok(Some(user)) => Ok(user.uid.as_raw()),
            // Some user databases report a missing user as an error (getpwnam(3)).
            Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => Err(Absent::User(name.clone())),
            Err(error) => Err(Absent::Lookup { name: name.clone(), error: error.into() }),
        },
    }
}

/// The id of a user in a recording. Fails for a name, which this machine cannot look up.
pub(crate) fn recorded_user(user: &User) -> Result<u32, Absent> {
    match user {
        User::Id(id) => Ok(*id),
        User::Name(name) => Err(Absent::NameOfRecorded(name.clone())),
    }
}

/// Refuses the path of a cgroup that does not exist. A pattern or a container id may match later.
pub(crate) fn cgroup(wanted: &str) -> Result<(), Absent> {
    // In a cgroup namespace, the paths of cgroups outside of it start with `/..`.
    let is_elsewhere = wanted.split('/').any(|part| part == "..");
    if is_elsewhere || wanted.contains(['*', '?', '[']) || values::is_container(wanted) {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = super::mounts::mounts(&mounts);
    // Without a mounted hierarchy, this cannot be checked.
    if mounts.is_empty() || mounts.iter().any(|mount| mount.may_contain(wanted)) {
        return Ok(());
    }
    Err(Absent::Cgroup(wanted.to_owned()))
}
