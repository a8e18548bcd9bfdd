//! The acting task: a `TaskHdr`.

use std::mem::offset_of;

use proc_connector_core::context::layout::{NO_SESSION, Recorded, TaskHdr};
use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Reg, Size, Width, imm};
use super::super::helpers::{self, TaskValue};
use super::super::layout::{POINTER_1, POINTER_2, SCRATCH_2, SCRATCH_3};
use super::super::memory::{KernelMemory, TaskMember, probe};
use super::parts::{TASK, TGID};
use Reg::{R0, R1, R2, R7, R10};

/// How the program reads the properties of the acting task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    boot_ns: Option<TaskValue>,
    cgroup_id: Option<TaskValue>,
    pid_tgid: Option<TaskValue>,
    uid_gid: Option<TaskValue>,
    comm: Option<TaskValue>,
    /// The real ids and the cgroup where the helpers are missing.
    real: Option<[TaskMember; 2]>,
    cgroup_id_in_memory: Option<TaskMember>,
    /// The address of the `struct cred`, which no task lacks.
    cred: Option<TaskMember>,
    effective: Option<[TaskMember; 2]>,
    session: Option<TaskMember>,
    tty: Option<Tty>,
    audit: Option<[TaskMember; 2]>,
    pid_namespace: Option<PidNamespace>,
    css_set: Option<TaskMember>,
}

/// How the program reads the device number of the controlling terminal.
#[derive(Clone, Debug)]
struct Tty {
    /// The address of the `struct tty_struct`.
    address: TaskMember,
    driver: TaskMember,
    major: TaskMember,
    minor_start: TaskMember,
    index: TaskMember,
}

/// How the program reads the process id in the task's own namespace: the last of the numbers of its
/// `struct pid`, one for each level of namespaces.
#[derive(Clone, Debug)]
struct PidNamespace {
    /// The number of levels below the initial namespace.
    level: TaskMember,
    /// The address of `numbers`.
    numbers: TaskMember,
    /// The size of a number is a power of two.
    number_shift: i32,
    /// Offsets in a number, and from the namespace to its inode number.
    nr: i16,
    ns: i16,
    inum: i16,
}

/// The inode number of the initial pid namespace (`PROC_PID_INIT_INO` in
/// `include/linux/proc_ns.h`).
const INITIAL_PID_NS: u32 = 0xefff_fffc;

impl Task {
    pub(super) fn detect(memory: &KernelMemory) -> Self {
        let member = |path: &str| memory.member(path);
        let pair = |paths: [&str; 2]| Some([member(paths[0])?, member(paths[1])?]);
        let tty = || {
            Some(Tty {
                address: member("signal->tty")?,
                driver: member("signal->tty->driver")?,
                major: member("signal->tty->driver->major")?,
                minor_start: member("signal->tty->driver->minor_start")?,
                index: member("signal->tty->index")?,
            })
        };
        let pid_namespace = || {
            let types = memory.types()?;
            let size = types.struct_size("upid")?;
            Some(PidNamespace {
                level: member("signal->pids[1]->level")?,
                numbers: member("signal->pids[1]->numbers")?,
                number_shift: size
                    .is_power_of_two()
                    .then(|| size.trailing_zeros())?
                    .try_into()
                    .ok()?,
                nr: types.offset("upid", "nr")?.try_into().ok()?,
                ns: types.offset("upid", "ns")?.try_into().ok()?,
                inum: types.offset("pid_namespace", "ns.inum")?.try_into().ok()?,
            })
        };
        let uid_gid = helpers::helper_value(uapi::BPF_FUNC_get_current_uid_gid);
        let cgroup_id = helpers::helper_value(uapi::BPF_FUNC_get_current_cgroup_id);
        Self {
            boot_ns: helpers::helper_value(uapi::BPF_FUNC_ktime_get_boot_ns),
            cgroup_id,
            cgroup_id_in_memory: member("cgroups->dfl_cgrp->kn->id")
                .filter(|_| cgroup_id.is_none()),
            real: pair(["cred->uid.val", "cred->gid.val"]).filter(|_| uid_gid.is_none()),
            pid_tgid: helpers::pid_tgid(memory),
            uid_gid,
            comm: helpers::comm(memory),
            cred: member("cred"),
            effective: pair(["cred->euid.val", "cred->egid.val"]),
            session: member("signal->pids[3]->numbers[0].nr"),
            tty: tty(),
            audit: pair(["loginuid.val", "sessionid"]),
            pid_namespace: pid_namespace(),
            css_set: member("cgroups"),
        }
    }

    /// The parts that records contain.
    pub(super) fn recorded(&self) -> Recorded {
        let parts = [
            (Recorded::BOOT_NS, self.boot_ns.is_some()),
            (Recorded::CGROUP_ID, self.cgroup_id.is_some() || self.cgroup_id_in_memory.is_some()),
            (Recorded::PID_TGID, self.pid_tgid.is_some()),
            (Recorded::UID_GID, self.uid_gid.is_some() || self.real.is_some()),
            (Recorded::COMM, self.comm.is_some()),
            (Recorded::EUID_EGID, self.effective.is_some()),
            (Recorded::SESSION, self.session.is_some()),
            (Recorded::TTY, self.tty.is_some()),
            (Recorded::AUDIT, self.audit.is_some()),
            (Recorded::PID_NS, self.pid_namespace.is_some()),
            (Recorded::CSS_SET, self.css_set.is_some()),
        ];
        parts.into_iter().filter(|&(_, available)| available).map(|(part, _)| part).collect()
    }

    /// The plan without the helpers that older kernels lack.
    #[cfg(test)]
    pub(super) fn without_helpers(self, memory: &KernelMemory) -> Self {
        let [pid_tgid, comm] = helpers::from_memory(memory);
        let ids = ["cred->uid.val", "cred->gid.val"].map(|path| memory.member(path));
        let [Some(uid), Some(gid)] = ids else { return Self { pid_tgid, comm, ..self } };
        let cgroup_id_in_memory = memory.member("cgroups->dfl_cgrp->kn->id");
        let (uid_gid, cgroup_id, real) = (None, None, Some([uid, gid]));
        Self { cgroup_id, pid_tgid, uid_gid, comm, real, cgroup_id_in_memory, ..self }
    }

    /// Emits code that fills in the `TaskHdr` of the record in `R7`.
    pub(super) fn fill(&self, asm: &mut Assembler) {
        let numbers = [
            (self.boot_ns, offset_of!(TaskHdr, boot_ns)),
            (self.cgroup_id, offset_of!(TaskHdr, cgroup_id)),
            (self.pid_tgid, offset_of!(TaskHdr, pid_tgid)),
            (self.uid_gid, offset_of!(TaskHdr, uid_gid)),
        ];
        for (source, at) in numbers {
            if let Some(source) = source {
                source.load(asm);
                asm.store(Size::Double, R7, TASK.at(at), R0);
            } else {
                asm.store(Size::Double, R7, TASK.at(at), 0);
            }
        }
        let comm = TASK.at(offset_of!(TaskHdr, comm));
        if let Some(source) = self.comm {
            source.fill(asm, R7, comm, 16);
        } else {
            asm.store(Size::Double, R7, comm, 0);
            asm.store(Size::Double, R7, comm + 8, 0);
        }
        self.fill_users(asm);
        if let Some(cgroup_id) = &self.cgroup_id_in_memory {
            cgroup_id.store(asm, Size::Double, R7, TASK.at(offset_of!(TaskHdr, cgroup_id)));
        }
        self.fill_session(asm);
        let [login_uid, audit_session] = split(self.audit.as_ref());
        store(asm, login_uid, TASK.at(offset_of!(TaskHdr, login_uid)));
        store(asm, audit_session, TASK.at(offset_of!(TaskHdr, audit_session)));
        self.fill_tty(asm);
        self.fill_pid_namespace(asm);
        let css_set = TASK.at(offset_of!(TaskHdr, css_set));
        match &self.css_set {
            Some(member) => member.store(asm, Size::Double, R7, css_set),
            None => asm.store(Size::Double, R7, css_set, 0),
        }
    }

    fn fill_users(&self, asm: &mut Assembler) {
        let (done, remembered) = (asm.label(), asm.remembered_pointers());
        let effective = TASK.at(offset_of!(TaskHdr, euid_egid));
        if let Some(cred) = &self.cred {
            asm.store(Size::Double, R7, effective, 0);
            cred.remember(asm, POINTER_1, done);
        }
        fill_pair(asm, self.effective.as_ref(), effective);
        if self.real.is_some() {
            fill_pair(asm, self.real.as_ref(), TASK.at(offset_of!(TaskHdr, uid_gid)));
        }
        asm.bind(done);
        asm.forget_pointers(remembered);
    }

    fn fill_session(&self, asm: &mut Assembler) {
        let at = TASK.at(offset_of!(TaskHdr, session));
        asm.store(Size::Word, R7, at, imm(NO_SESSION));
        let Some(session) = &self.session else { return };
        let none = asm.label();
        session.load(asm, none);
        asm.store(Size::Word, R7, at, R1);
        asm.bind(none);
    }

    fn fill_tty(&self, asm: &mut Assembler) {
        let at = TASK.at(offset_of!(TaskHdr, tty));
        asm.store(Size::Word, R7, at, 0);
        let Some(tty) = &self.tty else { return };
        let (none, remembered) = (asm.label(), asm.remembered_pointers());
        tty.address.remember(asm, POINTER_1, none);
        tty.driver.remember(asm, POINTER_2, none);
        tty.major.load(asm, none);
        asm.alu(Width::W64, Alu::Lsh, R1, 20);
        asm.store(Size::Double, R10, SCRATCH_2, R1);
        tty.minor_start.load(asm, none);
        asm.load(Size::Double, R2, R10, SCRATCH_2);
        asm.alu(Width::W64, Alu::Add, R2, R1);
        asm.store(Size::Double, R10, SCRATCH_2, R2);
        tty.index.load(asm, none);
        asm.load(Size::Double, R2, R10, SCRATCH_2);
        asm.alu(Width::W64, Alu::Add, R2, R1);
        asm.store(Size::Word, R7, at, R2);
        asm.bind(none);
        asm.forget_pointers(remembered);
    }

    fn fill_pid_namespace(&self, asm: &mut Assembler) {
        let nr = TASK.at(offset_of!(TaskHdr, ns_tgid));
        let inum = TASK.at(offset_of!(TaskHdr, pid_ns));
        asm.store(Size::Word, R7, nr, 0);
        asm.store(Size::Word, R7, inum, 0);
        let Some(namespace) = &self.pid_namespace else { return };
        let (none, nested) = (asm.label(), asm.label());
        namespace.level.load(asm, none);
        asm.branch(Width::W32, Cond::Ne, R1, 0, nested);
        asm.load(Size::Word, R1, R7, TGID);
        asm.store(Size::Word, R7, nr, R1);
        asm.store(Size::Word, R7, inum, imm(INITIAL_PID_NS));
        asm.jump(none);
        asm.bind(nested);
        asm.alu(Width::W64, Alu::Lsh, R1, namespace.number_shift);
        asm.store(Size::Double, R10, SCRATCH_2, R1);
        namespace.numbers.load(asm, none);
        asm.store(Size::Double, R10, SCRATCH_3, R1);
        // As a number, which may be added to another.
        add_address(asm);
        probe(asm, R1, namespace.nr, Size::Word, none);
        asm.store(Size::Word, R7, nr, R1);
        asm.load(Size::Double, R1, R10, SCRATCH_3);
        probe(asm, R1, namespace.ns, Size::Double, none);
        probe(asm, R1, namespace.inum, Size::Word, none);
        asm.store(Size::Word, R7, inum, R1);
        asm.bind(none);
    }
}

/// Emits code that adds the number in `SCRATCH_2` to the address in `R1` and in `SCRATCH_3`.
fn add_address(asm: &mut Assembler) {
    asm.load(Size::Double, R2, R10, SCRATCH_2);
    asm.alu(Width::W64, Alu::Add, R1, R2);
    asm.store(Size::Double, R10, SCRATCH_3, R1);
}

/// Emits code that stores two numbers as the halves of a 64-bit number, the first as the lower.
fn fill_pair(asm: &mut Assembler, pair: Option<&[TaskMember; 2]>, at: i16) {
    let [lower, upper] = split(pair);
    let (lower_at, upper_at) = if cfg!(target_endian = "little") { (0, 4) } else { (4, 0) };
    store(asm, lower, at + lower_at);
    store(asm, upper, at + upper_at);
}

fn split(pair: Option<&[TaskMember; 2]>) -> [Option<&TaskMember>; 2] {
    pair.map_or([None, None], |[first, second]| [Some(first), Some(second)])
}

fn store(asm: &mut Assembler, member: Option<&TaskMember>, at: i16) {
    match member {
        Some(member) => member.store(asm, Size::Word, R7, at),
        None => asm.store(Size::Word, R7, at, 0),
    }
}
