//! The identity of the acting process, and of the child of a fork.

use std::mem::offset_of;

use proc_connector_core::context::layout::IdentityHdr;
use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, imm};
use super::super::helpers::{self, TaskValue};
use super::super::layout::{CONTEXT, DATAGRAM, LEADER, PARENT, SCRATCH_2, SIGNAL, offset};
use super::super::memory::{KernelMemory, TaskMember, probe};
use super::parts::{DETAIL, START, TGID, WHAT};
use Reg::{R0, R1, R2, R7, R10};

/// How the program reads the identity.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    /// `group_leader`, `real_parent` and `signal` of the current task.
    pointers: Vec<(TaskMember, i16)>,
    tgid: Option<TaskValue>,
    start: Option<TaskMember>,
    leader_tgid: Option<TaskMember>,
    parent_tgid: Option<TaskMember>,
    parent_start: Option<TaskMember>,
    child: Option<Child>,
}

/// How the program finds the child of a fork: it is the last or one of the last children of its
/// parent, which the kernel adds to the list before it sends the event (`copy_process`).
#[derive(Clone, Debug)]
struct Child {
    /// `children.prev` of the current task.
    last: TaskMember,
    /// `children.prev` of its parent, for `CLONE_PARENT`.
    last_of_parent: TaskMember,
    /// Offsets from `sibling`, which the list links.
    pid: i16,
    start: i16,
}

/// How many children the program compares with the event. Others than the newest child are behind it
/// only if they were adopted in the same moment.
const MAX_CHILDREN: usize = 8;

/// Offset of `list_head.prev`.
const PREV: i16 = 8;

/// Offsets in the datagram of words of the union.
const PARENT_PID: i16 = 52;
const CHILD_PID: i16 = 60;
const CHILD_TGID: i16 = 64;
const EXIT_PARENT_TGID: i16 = 72;

impl Identity {
    pub(super) fn detect(memory: &KernelMemory) -> Self {
        let member = |path| memory.member(path);
        let child = || {
            let types = memory.types()?;
            let from_sibling = |path| {
                let at = types.offset("task_struct", path)?;
                i16::try_from(at - types.offset("task_struct", "sibling")?).ok()
            };
            Some(Child {
                last: member("children.prev")?.probed(),
                last_of_parent: member("real_parent->children.prev")?.probed(),
                pid: from_sibling("pid")?,
                start: from_sibling("start_boottime")?,
            })
        };
        let pointers = [("group_leader", LEADER), ("real_parent", PARENT), ("signal", SIGNAL)];
        let pointers = pointers.into_iter().filter_map(|(path, at)| Some((member(path)?, at)));
        Self {
            pointers: pointers.collect(),
            tgid: helpers::pid_tgid(memory),
            start: member("group_leader->start_boottime"),
            leader_tgid: member("group_leader->tgid"),
            parent_tgid: member("real_parent->tgid"),
            parent_start: member("real_parent->group_leader->start_boottime"),
            child: child(),
        }
    }

    pub(super) fn has_start(&self) -> bool {
        self.start.is_some()
    }

    pub(super) fn has_child_start(&self) -> bool {
        self.child.is_some()
    }

    /// Emits code that stores the pointers that most members are behind. Jumps to `missing` if one is
    /// null, which no kernel has.
    pub(super) fn remember_pointers(&self, asm: &mut Assembler, missing: Label) {
        for (pointer, at) in &self.pointers {
            pointer.remember(asm, *at, missing);
        }
    }

    /// Emits code that fills in the `IdentityHdr` of the record in `R7`. `R6` holds the address of
    /// the task.
    pub(super) fn fill(&self, asm: &mut Assembler) {
        asm.store(Size::Double, R7, DETAIL, 0);
        if let Some(tgid) = self.tgid {
            tgid.load(asm);
            asm.alu(Width::W64, Alu::Rsh, R0, 32);
            asm.store(Size::Word, R7, TGID, R0);
        } else {
            asm.store(Size::Word, R7, TGID, 0);
        }
        store_or_zero(asm, self.start.as_ref(), Size::Double, START);
        self.check_leader(asm);
        self.fill_parent(asm);
        if let (Some(child), Some(tgid)) = (&self.child, self.tgid) {
            child.fill(asm, tgid);
        }
    }

    /// At the exit of another thread than the first, the first may have been freed, and its memory
    /// may belong to a task of another process.
    fn check_leader(&self, asm: &mut Assembler) {
        let Some(leader_tgid) = &self.leader_tgid else { return };
        let (stale, done) = (asm.label(), asm.label());
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Ne, R1, imm(uapi::PROC_EVENT_EXIT), done);
        leader_tgid.load(asm, stale);
        asm.load(Size::Word, R2, R7, TGID);
        asm.branch(Width::W32, Cond::Eq, R1, R2, done);
        asm.bind(stale);
        asm.store(Size::Double, R7, START, 0);
        asm.bind(done);
    }

    /// At an exit, the event has no parent if the task was already reaped. Its pointer to the parent
    /// may then be stale.
    fn fill_parent(&self, asm: &mut Assembler) {
        let (has_parent, done) = (asm.label(), asm.label());
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Ne, R1, imm(uapi::PROC_EVENT_EXIT), has_parent);
        asm.load(Size::Word, R1, R10, DATAGRAM + EXIT_PARENT_TGID);
        asm.branch(Width::W32, Cond::Ne, R1, 0, has_parent);
        asm.store(Size::Word, R7, PARENT_TGID, 0);
        asm.store(Size::Double, R7, PARENT_START, 0);
        asm.jump(done);
        asm.bind(has_parent);
        store_or_zero(asm, self.parent_tgid.as_ref(), Size::Word, PARENT_TGID);
        store_or_zero(asm, self.parent_start.as_ref(), Size::Double, PARENT_START);
        asm.bind(done);
    }
}

impl Child {
    /// Emits code that stores the start of the child of a fork. Leaves the 0 if the event is not the
    /// fork of a process, or if the child is not found.
    fn fill(&self, asm: &mut Assembler, pid_tgid: TaskValue) {
        let (own, search, found, done) = (asm.label(), asm.label(), asm.label(), asm.label());
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Ne, R1, imm(uapi::PROC_EVENT_FORK), done);
        asm.load(Size::Word, R1, R10, DATAGRAM + CHILD_PID);
        asm.load(Size::Word, R2, R10, DATAGRAM + CHILD_TGID);
        asm.branch(Width::W32, Cond::Ne, R1, R2, done);
        // With CLONE_PARENT, the event names the parent of the current task.
        pid_tgid.load(asm);
        asm.load(Size::Word, R1, R10, DATAGRAM + PARENT_PID);
        asm.branch(Width::W32, Cond::Eq, R0, R1, own);
        self.last_of_parent.load(asm, done);
        asm.jump(search);
        asm.bind(own);
        self.last.load(asm, done);
        asm.bind(search);
        for _ in 0..MAX_CHILDREN {
            asm.store(Size::Double, R10, SCRATCH_2, R1);
            probe(asm, R1, self.pid, Size::Word, done);
            asm.load(Size::Word, R2, R10, DATAGRAM + CHILD_PID);
            asm.branch(Width::W32, Cond::Eq, R1, R2, found);
            asm.load(Size::Double, R1, R10, SCRATCH_2);
            probe(asm, R1, PREV, Size::Double, done);
        }
        asm.jump(done);
        asm.bind(found);
        asm.load(Size::Double, R1, R10, SCRATCH_2);
        probe(asm, R1, self.start, Size::Double, done);
        asm.store(Size::Double, R7, DETAIL, R1);
        asm.bind(done);
    }
}

fn store_or_zero(asm: &mut Assembler, member: Option<&TaskMember>, size: Size, at: i16) {
    match member {
        Some(member) => member.store(asm, size, R7, at),
        None => asm.store(size, R7, at, 0),
    }
}

const PARENT_TGID: i16 = offset(CONTEXT + offset_of!(IdentityHdr, parent_tgid));
const PARENT_START: i16 = offset(CONTEXT + offset_of!(IdentityHdr, parent_start_boottime));
