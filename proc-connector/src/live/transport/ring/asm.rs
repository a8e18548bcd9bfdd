//! An assembler with labels for the eBPF instructions that the ring's program uses.
//!
//! `Documentation/bpf/standardization/instruction-set.rst` describes the instruction set.

mod link;
#[cfg(all(test, target_endian = "little"))]
mod tests;

use std::os::fd::{AsRawFd, BorrowedFd};

use proc_connector_sys as uapi;

pub(super) use self::link::AssemblyError;
use self::link::{EXIT, JUMP, WIDE_LOAD};
use crate::sys::Instruction;

/// A register. `R0` holds results, `R1` to `R5` hold arguments and are clobbered by calls, `R6` to
/// `R9` are preserved by calls, and `R10` points to the end of the stack. `R5` is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R7,
    R8,
    R9,
    R10,
}

/// The second operand of an arithmetic instruction, comparison or store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Reg(Reg),
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Self::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(number: i32) -> Self {
        Self::Imm(number)
    }
}

/// The bits of a number as an immediate operand.
#[expect(clippy::cast_possible_wrap, reason = "the operand is read as bits")]
pub(super) const fn imm(value: u32) -> i32 {
    value as i32
}

/// A length as an immediate operand.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small")]
pub(super) const fn len_imm(bytes: usize) -> i32 {
    bytes as i32
}

/// The width of a load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// 8 bits.
    Byte,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Size {
    fn code(self) -> u32 {
        match self {
            Self::Byte => uapi::BPF_B,
            Self::Word => uapi::BPF_W,
            Self::Double => uapi::BPF_DW,
        }
    }

    pub(super) const fn bytes(self) -> i32 {
        match self {
            Self::Byte => 1,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// An arithmetic operation. The first operand becomes the result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alu {
    Mov,
    Add,
    Sub,
    /// Unsigned division.
    Div,
    And,
    Or,
    /// Shift to the left.
    Lsh,
    /// Logical shift to the right.
    Rsh,
}

impl Alu {
    fn code(self) -> u32 {
        match self {
            Self::Mov => uapi::BPF_MOV,
            Self::Add => uapi::BPF_ADD,
            Self::Sub => uapi::BPF_SUB,
            Self::Div => uapi::BPF_DIV,
            Self::And => uapi::BPF_AND,
            Self::Or => uapi::BPF_OR,
            Self::Lsh => uapi::BPF_LSH,
            Self::Rsh => uapi::BPF_RSH,
        }
    }
}

/// How many bits of a register an arithmetic operation or comparison uses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    /// The lower half. A result's upper half becomes zero.
    W32,
    W64,
}

/// An unsigned comparison of the first operand with the second.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cond {
    Eq,
    Ne,
    Ge,
    Gt,
    Le,
    /// The operands have a bit in common.
    Set,
}

impl Cond {
    fn code(self) -> u32 {
        match self {
            Self::Eq => uapi::BPF_JEQ,
            Self::Ne => uapi::BPF_JNE,
            Self::Ge => uapi::BPF_JGE,
            Self::Gt => uapi::BPF_JGT,
            Self::Le => uapi::BPF_JLE,
            Self::Set => uapi::BPF_JSET,
        }
    }
}

/// A jump target, whose place [`Assembler::bind`] sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(usize);

/// Collects instructions and resolves jumps between them.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<Instruction>,
    /// The index of the instruction that each label is bound to.
    labels: Vec<Option<usize>>,
    /// The indices of the jumps, with their targets.
    jumps: Vec<(usize, Label)>,
    /// The pointers that the stack holds at this place, each as the offsets that lead to it from the
    /// task, and its offset from `R10`.
    pointers: Vec<(Vec<i16>, i16)>,
}

impl Assembler {
    /// Creates an unbound label.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds a label to the next instruction.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Records that the stack holds a pointer, for the code up to the matching
    /// [`forget_pointers`](Self::forget_pointers).
    pub(super) fn remember_pointer(&mut self, way: Vec<i16>, at: i16) {
        self.pointers.push((way, at));
    }

    /// The number of pointers that the stack holds.
    pub(super) fn remembered_pointers(&self) -> usize {
        self.pointers.len()
    }

    /// Forgets all but the first `number` pointers.
    pub(super) fn forget_pointers(&mut self, number: usize) {
        self.pointers.truncate(number);
    }

    /// The pointer on the stack that is the furthest on this way: the number of its offsets, and its
    /// offset from `R10`.
    pub(super) fn remembered_pointer(&self, way: &[i16]) -> Option<(usize, i16)> {
        let known = self.pointers.iter().filter(|(known, _)| way.starts_with(known));
        known.map(|(known, at)| (known.len(), *at)).max_by_key(|&(len, _)| len)
    }

    pub(super) fn mov(&mut self, to: Reg, value: impl Into<Operand>) {
        self.alu(Width::W64, Alu::Mov, to, value);
    }

    pub(super) fn alu(&mut self, width: Width, alu: Alu, to: Reg, by: impl Into<Operand>) {
        let class = match width {
            Width::W32 => uapi::BPF_ALU,
            Width::W64 => uapi::BPF_ALU64,
        };
        self.operate(class | alu.code(), to, by.into());
    }

    /// Converts 32 bits between the host's byte order and big-endian.
    pub(super) fn swap_to_big_endian(&mut self, to: Reg) {
        self.push(uapi::BPF_ALU | uapi::BPF_END | uapi::BPF_TO_BE, to, Reg::R0, 0, 32);
    }

    /// Loads from `base + offset`, zero-extended.
    pub(super) fn load(&mut self, size: Size, to: Reg, base: Reg, offset: i16) {
        self.push(uapi::BPF_LDX | uapi::BPF_MEM | size.code(), to, base, offset, 0);
    }

    /// Stores to `base + offset`.
    pub(super) fn store(&mut self, size: Size, base: Reg, offset: i16, value: impl Into<Operand>) {
        let code = uapi::BPF_MEM | size.code();
        match value.into() {
            Operand::Reg(reg) => self.push(uapi::BPF_STX | code, base, reg, offset, 0),
            Operand::Imm(number) => self.push(uapi::BPF_ST | code, base, Reg::R0, offset, number),
        }
    }

    /// Adds `by` atomically to the 32-bit word at `base + offset`.
    pub(super) fn atomic_add(&mut self, base: Reg, offset: i16, by: Reg) {
        let code = uapi::BPF_STX | uapi::BPF_ATOMIC | uapi::BPF_W;
        self.push(code, base, by, offset, imm(uapi::BPF_ADD));
    }

    /// Adds `by` atomically to the 64-bit word at `base + offset`.
    pub(super) fn atomic_add_double(&mut self, base: Reg, offset: i16, by: Reg) {
        let code = uapi::BPF_STX | uapi::BPF_ATOMIC | uapi::BPF_DW;
        self.push(code, base, by, offset, imm(uapi::BPF_ADD));
    }

    /// Loads the address of a map, for a helper's argument.
    pub(super) fn load_map(&mut self, to: Reg, map: BorrowedFd<'_>) {
        self.load_wide(to, uapi::BPF_PSEUDO_MAP_FD, map);
    }

    /// Loads the address of the element of a one-element array map.
    pub(super) fn load_map_value(&mut self, to: Reg, map: BorrowedFd<'_>) {
        self.load_wide(to, uapi::BPF_PSEUDO_MAP_VALUE, map);
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(JUMP, Reg::R0, Reg::R0, 0, 0);
    }

    /// Jumps if the comparison holds.
    pub(super) fn branch(
        &mut self,
        width: Width,
        cond: Cond,
        left: Reg,
        right: impl Into<Operand>,
        to: Label,
    ) {
        let class = match width {
            Width::W32 => uapi::BPF_JMP32,
            Width::W64 => uapi::BPF_JMP,
        };
        self.jumps.push((self.code.len(), to));
        self.operate(class | cond.code(), left, right.into());
    }

    /// Calls a kernel helper, one of `BPF_FUNC_*` in `bpf.h`.
    pub(super) fn call(&mut self, helper: uapi::bpf_func_id) {
        self.push(uapi::BPF_JMP | uapi::BPF_CALL, Reg::R0, Reg::R0, 0, imm(helper));
    }

    /// Ends the program. `R0` holds its result.
    pub(super) fn exit(&mut self) {
        self.push(EXIT, Reg::R0, Reg::R0, 0, 0);
    }

    /// Resolves all jumps and returns the instructions. Unreachable instructions, which the verifier
    /// rejects, are left out.
    pub(super) fn finish(self) -> Result<Vec<Instruction>, AssemblyError> {
        let mut targets = vec![None; self.code.len()];
        for (at, label) in &self.jumps {
            targets[*at] = Some(self.labels[label.0].ok_or(AssemblyError::UnboundLabel)?);
        }
        link::link(self.code, &targets)
    }

    fn operate(&mut self, code: u32, left: Reg, right: Operand) {
        match right {
            Operand::Reg(reg) => self.push(code | uapi::BPF_X, left, reg, 0, 0),
            Operand::Imm(number) => self.push(code | uapi::BPF_K, left, Reg::R0, 0, number),
        }
    }

    /// A load of a 64-bit immediate, which occupies two instructions.
    fn load_wide(&mut self, to: Reg, kind: u32, map: BorrowedFd<'_>) {
        let fd = map.as_raw_fd();
        self.code.push(encode(WIDE_LOAD, to as u8, register_number(kind), 0, fd));
        self.code.push([0; 8]);
    }

    fn push(&mut self, code: u32, dst: Reg, src: Reg, offset: i16, imm: i32) {
        self.code.push(encode(code, dst as u8, src as u8, offset, imm));
    }
}

/// A pseudo source (`BPF_PSEUDO_*`), which a wide load encodes in its source register's field.
#[expect(clippy::cast_possible_truncation, reason = "the values in use are 1 and 2")]
const fn register_number(kind: u32) -> u8 {
    kind as u8
}

#[expect(clippy::cast_possible_truncation, reason = "opcodes have 8 bits")]
fn encode(code: u32, dst: u8, src: u8, offset: i16, imm: i32) -> Instruction {
    // Two 4-bit bit fields. The first, `dst_reg`, is in the lower half of the byte on little-endian
    // machines and in the upper half on others.
    let registers = if cfg!(target_endian = "little") { dst | src << 4 } else { src | dst << 4 };
    let [o0, o1] = offset.to_ne_bytes();
    let [i0, i1, i2, i3] = imm.to_ne_bytes();
    [code as u8, registers, o0, o1, i0, i1, i2, i3]
}
