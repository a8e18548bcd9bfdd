//! Cgroups of the version 2 hierarchy, and those below them.

use std::io;
use std::os::fd::AsFd;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width};
use super::super::helpers::{self, TaskValue};
use super::super::layout::{KEY, SCRATCH_2, VALUE, variable};
use super::super::memory::{KernelMemory, TaskMember, probe};
use super::table::{insert, look_up};
use crate::sys::{HashTable, WhenFull};
use Reg::{R0, R1, R7, R10};
use proc_connector_sys as uapi;

/// How the program reads the cgroup of the acting task and those above it.
#[derive(Clone, Debug)]
pub(super) struct CgroupPlan {
    id: CgroupId,
    level: TaskMember,
    /// The address of an array of pointers to the cgroups on each level, from the root to the own.
    ancestors: TaskMember,
    /// Offsets in a `struct cgroup` and a `struct kernfs_node`.
    kn: i16,
    kn_id: i16,
}

#[derive(Clone, Debug)]
enum CgroupId {
    Helper(TaskValue),
    Memory(TaskMember),
}

/// The selected cgroups.
#[derive(Debug)]
pub(super) struct Cgroups {
    plan: CgroupPlan,
    selected: HashTable<1>,
    /// Whether a cgroup is selected, for those that caused events lately. Cgroups do not move, and
    /// their ids are not reused, so this does not change.
    verdicts: HashTable<1>,
}

const SELECTED: i32 = 1;
const NOT_SELECTED: i32 = 2;

/// How many verdicts are kept.
const VERDICTS: u32 = 4096;

/// The deepest level of a cgroup that is found to be below a selected one.
const MAX_LEVELS: i32 = 64;

/// Variables in front of the record: where the pointer to the next cgroup is, and the own id.
const NEXT: i16 = variable(4);
const OWN: i16 = variable(5);
const LEFT: i16 = variable(6);

/// On the stack: the number of steps that are left. The verifier follows it to the end of the loop.
const STEPS: i16 = SCRATCH_2;

impl CgroupPlan {
    pub(super) fn detect(memory: &KernelMemory) -> Option<Self> {
        let types = memory.types()?;
        let offset = |of, member| i16::try_from(types.offset(of, member)?).ok();
        let helper = helpers::helper_value(uapi::BPF_FUNC_get_current_cgroup_id);
        let in_memory = || memory.member("cgroups->dfl_cgrp->kn->id").map(CgroupId::Memory);
        Some(Self {
            id: helper.map(CgroupId::Helper).or_else(in_memory)?,
            level: memory.member("cgroups->dfl_cgrp->level")?,
            ancestors: memory.member("cgroups->dfl_cgrp->ancestors")?,
            kn: offset("cgroup", "kn")?,
            kn_id: offset("kernfs_node", "id")?,
        })
    }

    /// Emits code that stores the id of the task's cgroup at `KEY`.
    pub(super) fn store_id(&self, asm: &mut Assembler, missing: Label) {
        match &self.id {
            CgroupId::Helper(helper) => {
                helper.load(asm);
                asm.store(Size::Double, R10, KEY, R0);
            }
            CgroupId::Memory(member) => {
                member.load(asm, missing);
                asm.store(Size::Double, R10, KEY, R1);
            }
        }
    }
}

impl Cgroups {
    pub(super) fn new(plan: CgroupPlan, ids: &[u64]) -> io::Result<Self> {
        let capacity = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let selected = HashTable::new(capacity, WhenFull::Refuse, c"proc_cgroups")?;
        for &id in ids {
            selected.insert(id, [1])?;
        }
        let verdicts = HashTable::new(VERDICTS, WhenFull::Evict, c"proc_verdicts")?;
        Ok(Self { plan, selected, verdicts })
    }

    /// Emits code that jumps to `unwanted` unless the cgroup of the task or one above it is selected.
    pub(super) fn check(&self, asm: &mut Assembler, unwanted: Label) {
        let (walk, step, found, decided, wanted) =
            (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
        self.plan.store_id(asm, unwanted);
        look_up(asm, self.verdicts.as_fd());
        asm.branch(Width::W64, Cond::Eq, R0, 0, walk);
        asm.load(Size::Double, R1, R0, 0);
        asm.branch(Width::W64, Cond::Eq, R1, SELECTED, wanted);
        asm.jump(unwanted);

        asm.bind(walk);
        asm.load(Size::Double, R1, R10, KEY);
        asm.store(Size::Double, R7, OWN, R1);
        self.plan.ancestors.load(asm, unwanted);
        asm.store(Size::Double, R7, NEXT, R1);
        self.plan.level.load(asm, unwanted);
        asm.alu(Width::W64, Alu::Add, R1, 1);
        asm.store(Size::Double, R7, LEFT, R1);
        asm.store(Size::Double, R10, VALUE, NOT_SELECTED);
        asm.store(Size::Double, R10, STEPS, MAX_LEVELS);
        asm.bind(step);
        asm.load(Size::Double, R1, R7, NEXT);
        probe(asm, R1, 0, Size::Double, unwanted);
        probe(asm, R1, self.plan.kn, Size::Double, unwanted);
        probe(asm, R1, self.plan.kn_id, Size::Double, unwanted);
        asm.store(Size::Double, R10, KEY, R1);
        look_up(asm, self.selected.as_fd());
        asm.branch(Width::W64, Cond::Ne, R0, 0, found);
        asm.load(Size::Double, R1, R7, NEXT);
        asm.alu(Width::W64, Alu::Add, R1, 8);
        asm.store(Size::Double, R7, NEXT, R1);
        asm.load(Size::Double, R1, R7, LEFT);
        asm.alu(Width::W64, Alu::Sub, R1, 1);
        asm.store(Size::Double, R7, LEFT, R1);
        asm.branch(Width::W64, Cond::Eq, R1, 0, decided);
        asm.load(Size::Double, R1, R10, STEPS);
        asm.alu(Width::W64, Alu::Sub, R1, 1);
        asm.store(Size::Double, R10, STEPS, R1);
        asm.branch(Width::W64, Cond::Ne, R1, 0, step);
        asm.jump(decided);

        asm.bind(found);
        asm.store(Size::Double, R10, VALUE, SELECTED);
        asm.bind(decided);
        asm.load(Size::Double, R1, R7, OWN);
        asm.store(Size::Double, R10, KEY, R1);
        insert(asm, self.verdicts.as_fd(), VALUE);
        asm.load(Size::Double, R1, R10, VALUE);
        asm.branch(Width::W64, Cond::Ne, R1, SELECTED, unwanted);
        asm.bind(wanted);
    }
}
