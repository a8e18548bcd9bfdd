//! The followed processes: the roots, and all processes that descend from them.
//!
//! The program adds a child when a followed process forks, and removes a process when it is over. It
//! distinguishes processes by their ids and creation times, so a later process with the same id is
//! not followed.
//!
//! When a filter is set, descendants may exist already. The reader sets [`Word::Seeding`], reads
//! `/proc`, and inserts the processes that it finds. Meanwhile the program searches the ancestors of
//! each process that acts and is not followed: one that is not in the table yet, but descends from a
//! process in it, is then added before its next child.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use proc_connector_core::Filter;
use proc_connector_core::context::layout::ExitHdr;
use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, imm};
use super::super::context::{DETAIL, EXIT_STATE, START, TGID, branch_unless};
use super::super::helpers::{self, TaskValue};
use super::super::layout::{DATAGRAM, KEY, SCRATCH_2, SCRATCH_3, VALUE, Word, variable};
use super::super::memory::{KernelMemory, TaskMember, probe};
use super::conditions::NamePlan;
use super::table::{insert, look_up, remove};
use crate::error::Result;
use crate::live::host::processes::{self, Seed};
use crate::sys::{HashTable, WhenFull};
use Reg::{R0, R1, R2, R3, R7, R9, R10};

/// How the program finds the ancestors of a process.
#[derive(Clone, Debug)]
pub(super) struct FollowPlan {
    pid_tgid: TaskValue,
    parent: TaskMember,
    /// Offsets in a `task_struct`.
    real_parent: i16,
    group_leader: i16,
    tgid: i16,
    start: i16,
    names: Option<NamePlan>,
}

/// The followed processes, as the program knows them.
#[derive(Clone, Debug)]
pub(super) struct Descendants {
    plan: FollowPlan,
    followed: Followed,
    /// The processes that ended last. Exits of their threads can follow.
    ended: Arc<HashTable<1>>,
}

/// The table of followed processes: the creation time of each, by its id.
#[derive(Clone, Debug)]
pub(in super::super) struct Followed {
    table: Arc<HashTable<1>>,
}

/// When a followed process was created, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Since {
    /// In clock ticks of `CLOCK_BOOTTIME`, as `/proc` has it.
    Ticks(u64),
    /// The first event of a process with the id will show it.
    Unknown,
}

/// Marks a creation time in ticks.
const IN_TICKS: u64 = 1 << 63;
/// Stands for a process whose creation time its first event will show.
const UNKNOWN: u32 = 1;

/// The length of a clock tick in nanoseconds (`USER_HZ` is 100 on all architectures of today).
const TICK_NS: i32 = 10_000_000;

/// How many ended processes are remembered.
const ENDED: u32 = 4096;

/// How many times `/proc` is read at most.
const MAX_SCANS: usize = 8;

/// How many ancestors the program searches.
const MAX_ANCESTORS: i32 = 32;

/// Values of the variable `FOLLOWED`.
const NOT_FOLLOWED: i32 = 0;
const IS_FOLLOWED: i32 = 1;

/// Variables in front of the record: the address of an ancestor's `task_struct`, and whether the
/// acting process is followed. The verifier would check the rest of the program for each value of a
/// variable on the stack.
const ANCESTOR: i16 = variable(4);
const FOLLOWED: i16 = variable(7);
/// On the stack: the number of ancestors that are left. The verifier follows it to the end.
const STEPS: i16 = SCRATCH_2;

/// Offsets in the datagram.
const WHAT: i16 = 36;
const PROCESS_TGID: i16 = 56;
const CHILD_PID: i16 = 60;
const CHILD_TGID: i16 = 64;

impl From<Seed> for Since {
    fn from(seed: Seed) -> Self {
        seed.start_ticks.map_or(Self::Unknown, Self::Ticks)
    }
}

impl FollowPlan {
    pub(super) fn detect(memory: &KernelMemory, names: Option<NamePlan>) -> Option<Self> {
        let types = memory.types()?;
        let offset = |member| i16::try_from(types.offset("task_struct", member)?).ok();
        Some(Self {
            pid_tgid: helpers::pid_tgid(memory)?,
            parent: memory.member("real_parent")?,
            real_parent: offset("real_parent")?,
            group_leader: offset("group_leader")?,
            tgid: offset("tgid")?,
            start: offset("start_boottime")?,
            names,
        })
    }
}

impl Followed {
    /// Follows a process, in place of another with its id. Returns false if the table is full.
    pub(in super::super) fn insert(&self, tgid: u32, since: Since) -> io::Result<bool> {
        let value = match since {
            Since::Ticks(ticks) => ticks | IN_TICKS,
            Since::Unknown => UNKNOWN.into(),
        };
        match self.table.insert(tgid.into(), [value]) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes processes that ended before their program could see it: those that have caused no event,
    /// and are not in this list of live ones.
    fn retain(&self, live: &[Seed]) -> io::Result<()> {
        let live: HashSet<u64> = live.iter().map(|seed| seed.tgid.into()).collect();
        for tgid in self.table.keys()?.into_iter().filter(|tgid| !live.contains(tgid)) {
            let is_silent = self.table.get(tgid)?.is_some_and(|[since]| since & IN_TICKS != 0);
            if is_silent {
                self.table.remove(tgid)?;
            }
        }
        Ok(())
    }

    /// Whether a process is followed that has this id, and was created in this tick if that is given.
    pub(in super::super) fn contains(&self, tgid: u32, ticks: Option<u64>) -> bool {
        let since = self.table.get(tgid.into()).ok().flatten();
        since.is_some_and(|[since]| match (ticks, since & !IN_TICKS) {
            (None, _) => true,
            (Some(_), known) if known == u64::from(UNKNOWN) => true,
            (Some(ticks), known) if since & IN_TICKS != 0 => ticks == known,
            (Some(ticks), known) => ticks == known / u64::from(TICK_NS.unsigned_abs()),
        })
    }
}

impl Descendants {
    pub(super) fn new(plan: FollowPlan, capacity: u32) -> io::Result<Self> {
        let table = HashTable::new(capacity, WhenFull::Refuse, c"proc_followed")?;
        let ended = HashTable::new(ENDED, WhenFull::Evict, c"proc_ended")?;
        Ok(Self { plan, followed: Followed { table: Arc::new(table) }, ended: Arc::new(ended) })
    }

    /// Follows the processes in `/proc` that `filter` selects. Returns the number of those that do not
    /// fit the table.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchProcess`](crate::Error::NoSuchProcess) if a root has ended, and errors of
    /// reading `/proc`.
    pub(super) fn seed(&self, filter: &Filter) -> Result<u32> {
        let is_followed = |seed: Seed| self.followed.contains(seed.tgid, seed.start_ticks);
        let mut filter = filter.clone();
        let (mut unfollowed, mut found) = (0, Vec::new());
        // A child that is created during a scan can be missing from it. Its parent is then followed
        // from this scan on, or found by the program.
        for _ in 0..MAX_SCANS {
            found = processes::members(&filter, is_followed)?;
            let mut has_new = false;
            for &seed in found.iter().filter(|&&seed| !is_followed(seed)) {
                let fits = self.followed.insert(seed.tgid, Since::from(seed))?;
                unfollowed += u32::from(!fits);
                has_new = true;
            }
            if !has_new || unfollowed > 0 {
                break;
            }
            // The roots are followed now, and may end.
            filter = filter.descendants_of(&[]).unwrap_or_default();
        }
        self.followed.retain(&found)?;
        Ok(unfollowed)
    }

    /// Follows the processes in `/proc` that `filter` selects, before its program replaces another: the
    /// new program then finds their descendants from its first event on. Errors are those of the later
    /// [`seed`](Self::seed) as well.
    pub(super) fn seed_early(&self, filter: &Filter) {
        for seed in processes::members(filter, |_| false).unwrap_or_default() {
            let _ = self.followed.insert(seed.tgid, Since::from(seed));
        }
    }

    #[cfg(test)]
    pub(super) fn followed(&self) -> &Followed {
        &self.followed
    }

    /// Emits code that initializes the variable of [`follow`](Self::follow).
    pub(super) fn prepare(asm: &mut Assembler) {
        asm.store(Size::Double, R7, FOLLOWED, NOT_FOLLOWED);
    }

    /// Emits code that jumps to `unwanted` if the id of the acting process shows that the event cannot
    /// concern a followed process. This is the case for most events, and takes less time than reading
    /// the identity.
    pub(super) fn reject(&self, asm: &mut Assembler, filter: &Filter, unwanted: Label) {
        let (possible, no_exit) = (asm.label(), asm.label());
        asm.load(Size::Word, R1, R9, Word::Seeding.offset());
        asm.branch(Width::W32, Cond::Ne, R1, 0, possible);
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        // The traced process of an attach can be followed.
        asm.branch(Width::W32, Cond::Eq, R1, imm(uapi::PROC_EVENT_PTRACE), possible);
        if !filter.root_names().is_empty() {
            asm.branch(Width::W32, Cond::Eq, R1, imm(uapi::PROC_EVENT_EXEC), possible);
        }
        self.plan.pid_tgid.load(asm);
        asm.alu(Width::W64, Alu::Rsh, R0, 32);
        asm.store(Size::Double, R10, KEY, R0);
        look_up(asm, self.followed.table.as_fd());
        asm.branch(Width::W64, Cond::Ne, R0, 0, possible);
        branch_unless(asm, uapi::PROC_EVENT_EXIT, no_exit);
        look_up(asm, self.ended.as_fd());
        asm.branch(Width::W64, Cond::Ne, R0, 0, possible);
        asm.bind(no_exit);
        asm.jump(unwanted);
        asm.bind(possible);
    }

    /// Emits code that jumps to `unwanted` if the acting process is not followed. `FOLLOWED` holds
    /// whether it is. A child that it creates is followed from now on.
    ///
    /// The record in `R7` has the identity.
    pub(super) fn follow(&self, asm: &mut Assembler, filter: &Filter, unwanted: Label) {
        let (followed, other, adopted, done) = (asm.label(), asm.label(), asm.label(), asm.label());
        let table = self.followed.table.as_fd();
        asm.load(Size::Word, R1, R7, TGID);
        asm.store(Size::Double, R10, KEY, R1);
        look_up(asm, table);
        asm.branch(Width::W64, Cond::Eq, R0, 0, other);
        Self::compare(asm, followed, other);

        asm.bind(other);
        let no_search = asm.label();
        asm.load(Size::Word, R1, R9, Word::Seeding.offset());
        asm.branch(Width::W32, Cond::Eq, R1, 0, no_search);
        self.search_ancestors(asm, adopted, no_search);
        asm.bind(no_search);
        self.find_ended(asm, done);
        if !filter.root_names().is_empty() {
            if let Some(names) = self.plan.names {
                let no_exec = asm.label();
                branch_unless(asm, uapi::PROC_EVENT_EXEC, no_exec);
                names.check(asm, filter.root_names(), no_exec);
                asm.jump(adopted);
                asm.bind(no_exec);
            }
        }
        // An attach concerns the traced process as well.
        branch_unless(asm, uapi::PROC_EVENT_PTRACE, unwanted);
        asm.load(Size::Word, R1, R10, DATAGRAM + PROCESS_TGID);
        asm.store(Size::Double, R10, KEY, R1);
        look_up(asm, table);
        asm.branch(Width::W64, Cond::Eq, R0, 0, unwanted);
        asm.jump(done);

        asm.bind(adopted);
        asm.load(Size::Word, R1, R7, TGID);
        asm.store(Size::Double, R10, KEY, R1);
        asm.load(Size::Double, R1, R7, START);
        asm.branch(Width::W64, Cond::Eq, R1, 0, unwanted);
        asm.store(Size::Double, R10, VALUE, R1);
        self.add(asm);
        asm.bind(followed);
        asm.store(Size::Double, R7, FOLLOWED, IS_FOLLOWED);
        self.add_child(asm, done);
        asm.bind(done);
    }

    /// Emits code that jumps to `same` if the value at `R0`, which belongs to the id of the acting
    /// process, is its creation time.
    fn compare(asm: &mut Assembler, same: Label, other: Label) {
        let learn = asm.label();
        asm.load(Size::Double, R2, R7, START);
        // The exit of a thread whose first thread was freed has no creation time.
        asm.branch(Width::W64, Cond::Eq, R2, 0, same);
        compare_start(asm, same, learn, other);
        asm.bind(learn);
        asm.load(Size::Double, R2, R7, START);
        asm.store(Size::Double, R0, 0, R2);
        asm.jump(same);
    }

    /// Emits code that jumps to `found` if an ancestor of the acting process is followed, and to
    /// `missing` otherwise.
    fn search_ancestors(&self, asm: &mut Assembler, found: Label, missing: Label) {
        let (step, next) = (asm.label(), asm.label());
        self.plan.parent.load(asm, missing);
        asm.store(Size::Double, R7, ANCESTOR, R1);
        asm.store(Size::Double, R10, STEPS, MAX_ANCESTORS);
        asm.bind(step);
        asm.load(Size::Double, R1, R7, ANCESTOR);
        probe(asm, R1, self.plan.tgid, Size::Word, missing);
        asm.branch(Width::W64, Cond::Eq, R1, 0, missing);
        asm.store(Size::Double, R10, KEY, R1);
        asm.load(Size::Double, R1, R7, ANCESTOR);
        probe(asm, R1, self.plan.group_leader, Size::Double, missing);
        probe(asm, R1, self.plan.start, Size::Double, missing);
        asm.store(Size::Double, R10, SCRATCH_3, R1);
        look_up(asm, self.followed.table.as_fd());
        asm.branch(Width::W64, Cond::Eq, R0, 0, next);
        asm.load(Size::Double, R2, R10, SCRATCH_3);
        compare_start(asm, found, found, next);
        asm.bind(next);
        asm.load(Size::Double, R1, R7, ANCESTOR);
        probe(asm, R1, self.plan.real_parent, Size::Double, missing);
        asm.store(Size::Double, R7, ANCESTOR, R1);
        asm.load(Size::Double, R1, R10, STEPS);
        asm.alu(Width::W64, Alu::Sub, R1, 1);
        asm.store(Size::Double, R10, STEPS, R1);
        asm.branch(Width::W64, Cond::Ne, R1, 0, step);
        asm.jump(missing);
    }

    /// Emits code that jumps to `found` if the event is the exit of a thread whose process has ended.
    fn find_ended(&self, asm: &mut Assembler, found: Label) {
        let other = asm.label();
        branch_unless(asm, uapi::PROC_EVENT_EXIT, other);
        asm.load(Size::Word, R1, R7, TGID);
        asm.store(Size::Double, R10, KEY, R1);
        look_up(asm, self.ended.as_fd());
        asm.branch(Width::W64, Cond::Eq, R0, 0, other);
        asm.load(Size::Double, R1, R7, START);
        asm.branch(Width::W64, Cond::Eq, R1, 0, found);
        asm.load(Size::Double, R2, R0, 0);
        asm.branch(Width::W64, Cond::Eq, R1, R2, found);
        asm.bind(other);
    }

    /// Emits code that follows the child of a fork. Jumps to `other` for other events.
    fn add_child(&self, asm: &mut Assembler, other: Label) {
        let known = asm.label();
        branch_unless(asm, uapi::PROC_EVENT_FORK, other);
        asm.load(Size::Word, R1, R10, DATAGRAM + CHILD_PID);
        asm.load(Size::Word, R2, R10, DATAGRAM + CHILD_TGID);
        asm.branch(Width::W32, Cond::Ne, R1, R2, other);
        asm.store(Size::Double, R10, KEY, R1);
        asm.load(Size::Double, R1, R7, DETAIL);
        asm.branch(Width::W64, Cond::Ne, R1, 0, known);
        asm.mov(R1, imm(UNKNOWN));
        asm.bind(known);
        asm.store(Size::Double, R10, VALUE, R1);
        self.add(asm);
    }

    /// Emits code that adds the key and the value, and counts a failure.
    fn add(&self, asm: &mut Assembler) {
        let added = asm.label();
        insert(asm, self.followed.table.as_fd(), VALUE);
        asm.branch(Width::W64, Cond::Eq, R0, 0, added);
        asm.mov(R1, 1);
        asm.atomic_add(R9, Word::Unfollowed.offset(), R1);
        asm.bind(added);
    }

    /// Emits code that removes the acting process if it is followed, and over after this event.
    pub(super) fn retire(&self, asm: &mut Assembler) {
        let done = asm.label();
        branch_unless(asm, uapi::PROC_EVENT_EXIT, done);
        asm.load(Size::Double, R1, R7, FOLLOWED);
        asm.branch(Width::W64, Cond::Ne, R1, IS_FOLLOWED, done);
        asm.load(Size::Word, R1, R7, EXIT_STATE);
        asm.branch(Width::W32, Cond::Ne, R1, imm(ExitHdr::OVER), done);
        asm.load(Size::Word, R1, R7, TGID);
        asm.store(Size::Double, R10, KEY, R1);
        asm.load(Size::Double, R1, R7, START);
        asm.store(Size::Double, R10, VALUE, R1);
        // In this order: another thread of the process may exit on another CPU meanwhile.
        insert(asm, self.ended.as_fd(), VALUE);
        remove(asm, self.followed.table.as_fd());
        asm.bind(done);
    }
}

/// Emits code that compares the creation time in `R2`, in nanoseconds, with the value at `R0`. Jumps to
/// `exact` if they are equal, to `possible` if the value is less exact, and to `other` otherwise.
fn compare_start(asm: &mut Assembler, exact: Label, possible: Label, other: Label) {
    asm.load(Size::Double, R1, R0, 0);
    asm.branch(Width::W64, Cond::Eq, R1, R2, exact);
    asm.branch(Width::W64, Cond::Eq, R1, imm(UNKNOWN), possible);
    // The highest bit is `IN_TICKS`.
    asm.mov(R3, R1);
    asm.alu(Width::W64, Alu::Rsh, R3, 63);
    asm.branch(Width::W64, Cond::Eq, R3, 0, other);
    asm.alu(Width::W64, Alu::Lsh, R1, 1);
    asm.alu(Width::W64, Alu::Rsh, R1, 1);
    asm.alu(Width::W64, Alu::Div, R2, TICK_NS);
    asm.branch(Width::W64, Cond::Eq, R1, R2, possible);
    asm.jump(other);
}
