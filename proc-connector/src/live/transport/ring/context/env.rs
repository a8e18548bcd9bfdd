//! At an exec: the environment variables that the user requested by name.
//!
//! The program copies one variable after another to the end of the record, and keeps those with a
//! requested name.

use std::mem::offset_of;

use proc_connector_core::context::layout::{ExecHdr, Recorded};
use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, len_imm};
use super::super::layout::{SCRATCH_2, variable};
use super::super::memory::{KernelMemory, TaskMember};
use super::parts::{EXEC, EXEC_TAIL, TAIL_LEN, add_recorded, load_tail_len};
use Reg::{R0, R1, R2, R3, R7, R10};

/// The most bytes of the variables in a record.
pub(super) const ENV_LEN: usize = 16 << 10;

/// The most bytes of a variable with its NUL. Longer ones are not recorded.
const VARIABLE_LEN: usize = 4096;

/// The most variables of a process that the program compares.
const MAX_VARIABLES: i32 = 256;

/// How the program reads the variables.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    start: TaskMember,
    end: TaskMember,
    /// The names, each with a `=`.
    names: Vec<Vec<u8>>,
}

/// Variables in front of the record: the address of the next environment variable, the end of the
/// environment, the length of the parts before, and whether the address is inside a variable that is
/// too long.
const NEXT: i16 = variable(1);
const END: i16 = variable(2);
const START: i16 = variable(3);
const IS_INSIDE: i16 = variable(4);

/// On the stack: the number of variables that are left.
const LEFT: i16 = SCRATCH_2;

impl Environment {
    pub(super) fn detect(memory: &KernelMemory, names: &[Vec<u8>]) -> Option<Self> {
        let names: Vec<_> = names.iter().map(|name| [name, &b"="[..]].concat()).collect();
        if names.is_empty() {
            return None;
        }
        let member = |path| memory.member(path);
        Some(Self { start: member("mm->env_start")?, end: member("mm->env_end")?, names })
    }

    /// Emits code that appends the variables to the record in `R7`. `limit` is the most bytes of the
    /// parts before them.
    pub(super) fn fill(&self, asm: &mut Assembler, limit: usize) {
        let (step, kept, next, complete, done) =
            (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
        load_tail_len(asm, R1, limit, done);
        asm.store(Size::Double, R7, START, R1);
        self.start.load(asm, done);
        asm.store(Size::Double, R7, NEXT, R1);
        self.end.load(asm, done);
        asm.store(Size::Double, R7, END, R1);
        asm.store(Size::Double, R7, IS_INSIDE, 0);
        asm.store(Size::Double, R10, LEFT, MAX_VARIABLES);

        asm.bind(step);
        asm.load(Size::Double, R3, R7, NEXT);
        asm.load(Size::Double, R1, R7, END);
        asm.branch(Width::W64, Cond::Ge, R3, R1, complete);
        load_place(asm, limit, complete);
        asm.mov(R2, len_imm(VARIABLE_LEN));
        asm.call(uapi::BPF_FUNC_probe_read_user_str);
        // An error is a negative number, which is a large unsigned one.
        asm.alu(Width::W64, Alu::Sub, R0, 1);
        asm.branch(Width::W64, Cond::Ge, R0, len_imm(VARIABLE_LEN), complete);
        asm.load(Size::Double, R3, R7, NEXT);
        asm.alu(Width::W64, Alu::Add, R3, R0);
        asm.store(Size::Double, R7, NEXT, R3);
        asm.load(Size::Double, R2, R7, IS_INSIDE);
        asm.store(Size::Double, R7, IS_INSIDE, 1);
        // A copy that fills the space ends inside a variable.
        asm.branch(Width::W64, Cond::Eq, R0, len_imm(VARIABLE_LEN - 1), next);
        asm.store(Size::Double, R7, IS_INSIDE, 0);
        asm.alu(Width::W64, Alu::Add, R3, 1);
        asm.store(Size::Double, R7, NEXT, R3);
        asm.branch(Width::W64, Cond::Ne, R2, 0, next);
        load_place(asm, limit, complete);
        for name in &self.names {
            branch_if_equal(asm, name, kept);
        }
        asm.jump(next);
        asm.bind(kept);
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.alu(Width::W64, Alu::Add, R1, R0);
        asm.alu(Width::W64, Alu::Add, R1, 1);
        asm.store(Size::Double, R7, TAIL_LEN, R1);
        asm.bind(next);
        asm.load(Size::Double, R1, R10, LEFT);
        asm.alu(Width::W64, Alu::Sub, R1, 1);
        asm.store(Size::Double, R10, LEFT, R1);
        asm.branch(Width::W64, Cond::Ne, R1, 0, step);

        asm.bind(complete);
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.load(Size::Double, R2, R7, START);
        asm.alu(Width::W64, Alu::Sub, R1, R2);
        asm.store(Size::Word, R7, EXEC.at(offset_of!(ExecHdr, env_len)), R1);
        add_recorded(asm, Recorded::ENV);
        asm.bind(done);
    }
}

/// Emits code that loads the address of the end of the record to `R1`.
fn load_place(asm: &mut Assembler, limit: usize, full: Label) {
    load_tail_len(asm, R1, limit + ENV_LEN - VARIABLE_LEN, full);
    asm.alu(Width::W64, Alu::Add, R1, R7);
    asm.alu(Width::W64, Alu::Add, R1, len_imm(EXEC_TAIL));
}

/// Emits code that jumps to `equal` if the bytes at `R1` start with `name`.
fn branch_if_equal(asm: &mut Assembler, name: &[u8], equal: Label) {
    let other = asm.label();
    for (at, &byte) in (0..).zip(name) {
        asm.load(Size::Byte, R2, R1, at);
        asm.branch(Width::W64, Cond::Ne, R2, i32::from(byte), other);
    }
    asm.jump(equal);
    asm.bind(other);
}
