//! New processes, and their update by a snapshot.

use std::sync::Arc;

use super::identity::BootId;
use super::process::{Name, Process};
use super::snapshot::Snapshot;
use super::stale::Stale;
use super::threads::Threads;
use super::time::Start;

/// Construction and updates.
impl Process {
    /// A process with only its id known.
    #[inline]
    pub(super) fn unknown(serial: u64, tgid: u32) -> Self {
        Self {
            serial,
            tgid,
            boot_id: None,
            start_boottime_ns: None,
            start: Start::default(),
            parent: None,
            above: None,
            is_creator_certain: false,
            threads: Threads::ONE,
            comm: None,
            image: None,
            uid: None,
            gid: None,
            session: None,
            cgroup: None,
            css_set: None,
            tty: None,
            login_uid: None,
            audit_session: None,
            in_namespace: None,
            is_kernel_thread: false,
            execs: None,
            end: None,
            seen_ns: 0,
            read_ns: 0,
            exec_ns: 0,
            awaits: None,
            stale: Stale::empty(),
            predecessor_exit_pending: false,
        }
    }

    /// A copy of the parent, as a fork at `ns` created it.
    #[inline]
    pub(super) fn forked(serial: u64, tgid: u32, parent: &Self, ns: u64) -> Self {
        let unknown = Self {
            parent: Some(parent.tgid),
            above: Some(parent.serial),
            boot_id: parent.boot_id,
            tty: parent.tty,
            login_uid: parent.login_uid,
            stale: parent.stale & Stale::LOGIN,
            audit_session: parent.audit_session,
            is_kernel_thread: parent.is_kernel_thread,
            execs: Some(0),
            ..Self::unknown(serial, tgid)
        };
        if ns < parent.read_ns.max(parent.exec_ns) {
            // The known values of the parent are from after the fork.
            return unknown;
        }
        Self {
            comm: parent.comm,
            image: parent.image.clone(),
            uid: parent.uid,
            gid: parent.gid,
            session: parent.session,
            cgroup: parent.cgroup.clone(),
            awaits: parent.awaits,
            stale: parent.stale - Stale::PARENT,
            ..unknown
        }
    }

    /// Forgets the values that were read from `/proc` at `ns` or later, when the process had ended:
    /// they belong to another process that was created in the same tick.
    pub(super) fn forget_read_after(&mut self, ns: u64) {
        if self.read_ns > ns {
            let kept = self.clone();
            *self = Self {
                boot_id: kept.boot_id,
                start_boottime_ns: kept.start_boottime_ns,
                start: kept.start,
                parent: kept.parent,
                above: kept.above,
                is_creator_certain: kept.is_creator_certain,
                threads: kept.threads,
                execs: kept.execs,
                ..Self::unknown(kept.serial, kept.tgid)
            };
        }
    }

    /// Records the identity of the process.
    pub(super) fn identify(&mut self, start_boottime_ns: u64, boot_id: Option<BootId>) {
        self.start_boottime_ns = Some(start_boottime_ns);
        self.boot_id = boot_id;
    }

    /// Hides all values that an event which was not received may have changed.
    pub(super) fn mark_stale(&mut self) {
        self.execs = None;
        self.stale = Stale::all();
    }

    /// Applies a snapshot, and returns whether any value changed.
    pub(super) fn update(&mut self, snapshot: Snapshot) -> bool {
        let before = self.clone();
        self.start.refine(snapshot.start_ticks, snapshot.boottime_offset_ns);
        self.parent = snapshot.parent;
        self.session = Some(snapshot.session);
        self.is_kernel_thread = snapshot.is_kernel_thread;
        // A recording can leave names out.
        self.comm = Some(Name::new(&snapshot.comm)).filter(|_| !snapshot.comm.is_empty());
        self.seen_ns = snapshot.seen_ns;
        self.read_ns = snapshot.seen_ns;
        self.stale -= Stale::SESSION | Stale::NAME | Stale::PARENT;
        self.stale
            .set(Stale::PROGRAM, self.stale.contains(Stale::PROGRAM) && snapshot.image.is_none());
        self.stale.set(Stale::USER, self.stale.contains(Stale::USER) && snapshot.uid.is_none());
        self.stale.set(Stale::GROUP, self.stale.contains(Stale::GROUP) && snapshot.gid.is_none());
        if let Some(others) = snapshot.others {
            self.threads = Threads::with_others(snapshot.first, others);
        }
        if let Some(image) = snapshot.image {
            // An equal image is kept: many processes may share it. So is a recorded one, because
            // `/proc` shows less.
            let known = self.image.as_deref();
            if !known.is_some_and(|known| *known == image || known.is_shown_by(&image)) {
                self.image = Some(Arc::new(image));
            }
        }
        self.uid = snapshot.uid.or(self.uid);
        self.gid = snapshot.gid.or(self.gid);
        if let Some(cgroup) = snapshot.cgroup {
            if self.cgroup.as_deref() != Some(&cgroup.path) {
                self.cgroup = Some(cgroup.path.into());
            }
        }
        before.differs(self)
    }

    /// Takes the program and the name of an exec that was [awaited](super::ProcessTable::awaited_exec)
    /// from its report, where they are unknown.
    pub fn take_program(&mut self, executed: &Self) {
        self.awaits = None;
        if self.image.is_none() {
            self.image.clone_from(&executed.image);
        }
        self.comm = self.comm.or(executed.comm);
    }

    fn differs(&self, other: &Self) -> bool {
        self.parent != other.parent
            || self.session != other.session
            || self.comm != other.comm
            || self.image != other.image
            || (self.uid, self.gid) != (other.uid, other.gid)
            || self.cgroup != other.cgroup
            || self.threads.count() != other.threads.count()
    }
}
