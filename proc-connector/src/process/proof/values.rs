//! What the kernel recorded about a process at its events.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use proc_connector_core::{Context, KernelPath};

use crate::process::change::ChangeKind;
use crate::process::population::Key;
use crate::process::process::{Name, Process};
use crate::process::snapshot::{Arguments, Fields, Ids, Image};
use crate::process::stale::Stale;
use crate::process::table::ProcessTable;

impl ProcessTable {
    /// Gives a new process the values of the thread that created it.
    pub(super) fn inherit(&self, process: &mut Process, context: &Context<'_>) {
        record_task(process, context);
        // The child may be the first process of a new pid namespace.
        process.in_namespace = None;
        if process.is_kernel_thread {
            // The kernel renames its own threads later, without an event.
            process.comm = None;
        } else if let Some(comm) = context.comm() {
            process.comm = Some(Name::new(comm));
            process.stale -= Stale::NAME;
        }
        process.css_set = context.css_set();
        if let Some(path) = context.cgroup_id().and_then(|id| self.cgroups.path(id)) {
            // The parent may have moved to another cgroup since it was read.
            process.cgroup = Some(path.clone());
        }
    }

    /// Records an exec at `ns`. Values that the kernel did not record are read from `/proc`. Returns
    /// whether the exec is reported later, with these values.
    pub(super) fn record_program(&mut self, key: Key, ns: u64, context: &Context<'_>) -> bool {
        if let Key::Live(tgid) = key {
            self.settle(tgid, false);
        }
        let Some(process) = self.population.get_mut(key) else { return false };
        process.execs = process.execs.map(|execs| execs.saturating_add(1));
        // Earlier events, which are older than a scan too, have added the threads that this exec ends.
        process.threads.exec();
        if ns <= process.seen_ns {
            // `/proc` was read after the exec, and shows this program or a later one.
            let mut then = process.clone();
            record_exec(&mut then, ns, context);
            process.exec_ns = ns;
            if let (Some(recorded), Some(read)) = (&then.image, &process.image) {
                if recorded.is_shown_by(read) {
                    process.image = Some(Arc::clone(recorded));
                }
            }
            let key = self.population.freeze(then.into());
            self.push(ChangeKind::Executed, key);
            return true;
        }
        record_exec(process, ns, context);
        let mut fields = Fields::empty();
        match process.image.as_mut().map(Arc::make_mut) {
            None => fields |= Fields::IMAGE,
            Some(image) if image.exe.is_none() => {
                let known = image.program.zip(image.filename.as_deref());
                let path = known.and_then(|(program, name)| self.programs.path(program, name));
                match path {
                    Some(path) => image.exe = Some(path.to_owned()),
                    None => fields |= Fields::IMAGE | Fields::FILE,
                }
            }
            Some(_) => {}
        }
        let cgroup_id = context.cgroup_id();
        note_css_set(process, context);
        match cgroup_id.and_then(|id| self.cgroups.path(id)) {
            Some(path) => process.cgroup = Some(path.clone()),
            None if self.cgroups.has_version_1() && process.cgroup.is_some() => {}
            None => fields |= Fields::CGROUP,
        }
        if process.uid.is_none() || process.gid.is_none() {
            fields |= Fields::IDS;
        }
        let is_complete = fields.is_empty() && process.comm.is_some();
        match key {
            Key::Live(tgid) if !is_complete => self.fill_in(tgid, fields, cgroup_id, true),
            _ => false,
        }
    }
}

/// Forgets the cgroup if the process was moved since it was determined, or if that is unknown.
pub(super) fn note_css_set(process: &mut Process, context: &Context<'_>) {
    let now = context.css_set();
    if now.is_none() || process.css_set != now {
        process.cgroup = None;
    }
    process.css_set = now;
}

/// Records an exec at `ns`.
fn record_exec(process: &mut Process, ns: u64, context: &Context<'_>) {
    process.awaits = None;
    process.exec_ns = ns;
    process.is_kernel_thread = false;
    process.stale -= Stale::NAME | Stale::PROGRAM;
    record_task(process, context);
    process.comm = context.comm().map(Name::new);
    process.image = image(context).map(Arc::new);
}

/// Records the values of the thread that acted, which is the first.
pub(super) fn record_first_thread(process: &mut Process, context: &Context<'_>) {
    record_task(process, context);
    if let Some(comm) = context.comm() {
        process.comm = Some(Name::new(comm));
        process.stale -= Stale::NAME;
    }
}

/// Records the values of the thread that acted.
fn record_task(process: &mut Process, context: &Context<'_>) {
    if let (Some(real), Some(effective)) = (context.uid(), context.euid()) {
        process.uid = Some(Ids { real, effective });
        process.stale -= Stale::USER;
    }
    if let (Some(real), Some(effective)) = (context.gid(), context.egid()) {
        process.gid = Some(Ids { real, effective });
        process.stale -= Stale::GROUP;
    }
    if context.session().is_some() {
        process.stale -= Stale::SESSION;
    }
    if context.tty().is_some() && context.login_uid().is_some() {
        process.stale -= Stale::LOGIN;
    }
    process.session = context.session().or(process.session);
    process.tty = context.tty().or(process.tty);
    process.login_uid = context.login_uid().or(process.login_uid);
    process.audit_session = context.audit_session().or(process.audit_session);
    note_namespace(process, context);
}

/// Records the process id in the pid namespace of the process, which never changes.
pub(super) fn note_namespace(process: &mut Process, context: &Context<'_>) {
    process.in_namespace = process.in_namespace.or(context.ns_tgid().zip(context.pid_ns()));
}

/// The program of an exec. `None` if nothing was recorded.
fn image(context: &Context<'_>) -> Option<Image> {
    let args = context.args();
    let args = args.map(|args| Arguments { bytes: args.bytes().into(), is_cut: args.is_cut() });
    let program = context.program();
    let is_deleted = program.is_some_and(|program| program.is_deleted || program.is_memfd);
    let exe = context.exe().map(|exe| path(exe, is_deleted));
    let filename = context.filename().map(Box::from);
    let cwd = context.cwd().map(|cwd| path(cwd, false));
    let is_recorded = args.is_some() || program.is_some() || exe.is_some() || filename.is_some();
    is_recorded.then_some(Image { args, exe, program, filename, cwd, file: None })
}

/// A path as `/proc` shows it.
fn path(path: KernelPath<'_>, is_deleted: bool) -> PathBuf {
    const DELETED: &[u8] = b" (deleted)";
    let mut bytes = Vec::with_capacity(path.bytes().len() + 1 + DELETED.len());
    for component in path.components() {
        bytes.push(b'/');
        bytes.extend(component);
    }
    if bytes.is_empty() {
        bytes.push(b'/');
    }
    if is_deleted {
        bytes.extend(DELETED);
    }
    os_string(bytes).into()
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}
