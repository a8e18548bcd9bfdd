//! The parts of a task that consecutive tasks often have in common.

use proc_connector_core::context::layout::{Recorded, TaskHdr};
use zerocopy::byteorder::{NativeEndian, U32, U64};

use super::numbers::{halves, put};
use super::{COMMON, INITIAL_PID_NS};
use crate::capture::css_sets::CssSets;

/// The text of the user, the session, the terminal, the login, the namespace and the cgroups of the last
/// task, which is kept.
#[derive(Debug, Default)]
pub(super) struct CommonText {
    css_sets: CssSets,
    recorded: u32,
    /// Whether the process id in the namespace is that of the identity.
    has_own_tgid: bool,
    task: TaskHdr,
    text: Vec<u8>,
}

impl CommonText {
    /// The text for a task of the process `own_tgid`.
    #[inline]
    pub(super) fn of(&mut self, recorded: Recorded, task: &TaskHdr, own_tgid: u32) -> &[u8] {
        let recorded = recorded.intersection(COMMON).bits();
        let has_own_tgid = task.ns_tgid.get() == own_tgid;
        if !self.is_of(recorded, has_own_tgid, task) {
            (self.recorded, self.has_own_tgid, self.task) = (recorded, has_own_tgid, *task);
            self.write();
        }
        &self.text
    }

    /// Whether the text is that of a task. Copying the task to compare all bytes takes longer.
    #[inline]
    fn is_of(&self, recorded: u32, has_own_tgid: bool, task: &TaskHdr) -> bool {
        let own = &self.task;
        (self.recorded, self.has_own_tgid) == (recorded, has_own_tgid)
            && (has_own_tgid || own.ns_tgid == task.ns_tgid)
            && (own.uid_gid, own.euid_egid) == (task.uid_gid, task.euid_egid)
            && (own.session, own.tty) == (task.session, task.tty)
            && (own.login_uid, own.audit_session) == (task.login_uid, task.audit_session)
            && (own.pid_ns, own.cgroup_id) == (task.pid_ns, task.cgroup_id)
            && own.css_set == task.css_set
    }

    fn write(&mut self) {
        let Self { css_sets, recorded, has_own_tgid, task, text: out } = self;
        let recorded = Recorded::from_bits_retain(*recorded);
        let has = |part| recorded.contains(part);
        out.clear();
        if has(Recorded::UID_GID) {
            put_ids(out, b" u=", task.uid_gid);
        }
        if has(Recorded::EUID_EGID) {
            if has(Recorded::UID_GID) && task.euid_egid == task.uid_gid {
                out.extend_from_slice(b" e");
            } else {
                put_ids(out, b" e=", task.euid_egid);
            }
        }
        if has(Recorded::SESSION) {
            put(out, b" s=", [task.session.get().into()]);
        }
        if has(Recorded::TTY) {
            match task.tty.get() {
                0 => out.extend_from_slice(b" tty"),
                tty => put(out, b" tty=", [(tty >> 20).into(), (tty & 0xf_ffff).into()]),
            }
        }
        if has(Recorded::AUDIT) {
            // The value without a login is left out.
            match [task.login_uid, task.audit_session].map(U32::get) {
                [u32::MAX, u32::MAX] => out.extend_from_slice(b" au"),
                [u32::MAX, session] => put(out, b" au=:", [session.into()]),
                [uid, u32::MAX] => {
                    put(out, b" au=", [uid.into()]);
                    out.push(b':');
                }
                [uid, session] => put(out, b" au=", [uid.into(), session.into()]),
            }
        }
        if has(Recorded::PID_NS) {
            match (task.pid_ns.get(), *has_own_tgid) {
                (INITIAL_PID_NS, true) => out.extend_from_slice(b" ns"),
                (pid_ns, true) => put(out, b" ns=", [pid_ns.into()]),
                (pid_ns, false) => put(out, b" ns=", [pid_ns.into(), task.ns_tgid.get().into()]),
            }
        }
        if has(Recorded::CGROUP_ID) {
            put(out, b" cg=", [task.cgroup_id.get()]);
        }
        if has(Recorded::CSS_SET) {
            // The kernel's number is an address, which must not be written.
            put(out, b" cs=", [css_sets.number(task.css_set.get())]);
        }
    }
}

/// Appends a key, a user id, and the group id if it is another number.
fn put_ids<const K: usize>(out: &mut Vec<u8>, key: &[u8; K], pair: U64<NativeEndian>) {
    let [gid, uid] = halves(pair);
    if uid == gid {
        put(out, key, [uid.into()]);
    } else {
        put(out, key, [uid.into(), gid.into()]);
    }
}
