//! An assembler with labels for the eBPF instructions that the ring's program uses.
//!
//! `Documentation/bpf/standardization/instruction-set.rst` describes the instruction set.

use std::os::fd::{AsRawFd, BorrowedFd};

use proc_connector_sys as uapi;

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

/// Why a program cannot be assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AssemblyError {
    /// The target of a jump was never bound.
    UnboundLabel,
    /// The distance of a jump does not fit 16 bits.
    JumpTooFar,
    /// The filter's classic BPF has an instruction that cannot be translated.
    UnsupportedFilter,
}

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
        let reachable = reachable(&self.code, &targets);
        // The new position of each instruction, or of the next one if it is left out.
        let mut len = 0;
        let mut positions: Vec<usize> = Vec::with_capacity(self.code.len());
        for &is_kept in &reachable {
            positions.push(len);
            len += usize::from(is_kept);
        }
        positions.push(len);
        let mut code = Vec::with_capacity(len);
        for (at, mut instruction) in self.code.into_iter().enumerate() {
            if !reachable[at] {
                continue;
            }
            if let Some(target) = targets[at] {
                let to = *positions.get(target).ok_or(AssemblyError::UnboundLabel)?;
                // Relative to the instruction after the jump.
                let distance =
                    i64::try_from(to).and_then(|to| Ok(to - i64::try_from(code.len() + 1)?));
                let distance = distance.ok().and_then(|distance| i16::try_from(distance).ok());
                let distance = distance.ok_or(AssemblyError::JumpTooFar)?;
                instruction[2..4].copy_from_slice(&distance.to_ne_bytes());
            }
            code.push(instruction);
        }
        Ok(code)
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

/// Whether the kernel can execute each instruction.
fn reachable(code: &[Instruction], targets: &[Option<usize>]) -> Vec<bool> {
    let mut reachable = vec![false; code.len()];
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        let Some(seen) = reachable.get_mut(at) else { continue };
        if std::mem::replace(seen, true) {
            continue;
        }
        pending.extend(targets[at]);
        let [operation, ..] = code[at];
        let operation = u32::from(operation);
        if operation == WIDE_LOAD {
            if let Some(second) = reachable.get_mut(at + 1) {
                *second = true;
            }
            pending.push(at + 2);
        } else if ![JUMP, EXIT].contains(&operation) {
            pending.push(at + 1);
        }
    }
    reachable
}

const JUMP: u32 = uapi::BPF_JMP | uapi::BPF_JA;
const EXIT: u32 = uapi::BPF_JMP | uapi::BPF_EXIT;
/// Occupies two instructions.
const WIDE_LOAD: u32 = uapi::BPF_LD | uapi::BPF_IMM | uapi::BPF_DW;

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

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::Reg::{R0, R1, R2, R6, R7, R9, R10};
    use super::*;

    fn assembled(emit: impl FnOnce(&mut Assembler)) -> Vec<Instruction> {
        let mut asm = Assembler::default();
        emit(&mut asm);
        asm.finish().expect("a program")
    }

    /// The expected bytes are the output of `llvm-mc -triple bpfel -mcpu=v3` for the text.
    #[test]
    fn instructions_are_encoded_as_by_llvm() {
        type Emit = fn(&mut Assembler);
        let cases: [(&str, Emit, Instruction); 18] = [
            ("r6 = r1", |asm| asm.mov(R6, R1), [0xbf, 0x16, 0, 0, 0, 0, 0, 0]),
            ("r2 = 76", |asm| asm.mov(R2, 76), [0xb7, 0x02, 0, 0, 0x4c, 0, 0, 0]),
            (
                "r1 -= r2",
                |asm| asm.alu(Width::W64, Alu::Sub, R1, R2),
                [0x1f, 0x21, 0, 0, 0, 0, 0, 0],
            ),
            (
                "w1 >>= 8",
                |asm| asm.alu(Width::W32, Alu::Rsh, R1, 8),
                [0x74, 0x01, 0, 0, 0x08, 0, 0, 0],
            ),
            ("r1 = be32 r1", |asm| asm.swap_to_big_endian(R1), [0xdc, 0x01, 0, 0, 0x20, 0, 0, 0]),
            (
                "r1 = *(u32 *)(r10 - 44)",
                |asm| asm.load(Size::Word, R1, R10, -44),
                [0x61, 0xa1, 0xd4, 0xff, 0, 0, 0, 0],
            ),
            (
                "r1 = *(u64 *)(r10 - 80)",
                |asm| asm.load(Size::Double, R1, R10, -80),
                [0x79, 0xa1, 0xb0, 0xff, 0, 0, 0, 0],
            ),
            (
                "*(u32 *)(r7 + 76) = r1",
                |asm| asm.store(Size::Word, R7, 76, R1),
                [0x63, 0x17, 0x4c, 0, 0, 0, 0, 0],
            ),
            (
                "*(u64 *)(r7 + 8) = r1",
                |asm| asm.store(Size::Double, R7, 8, R1),
                [0x7b, 0x17, 0x08, 0, 0, 0, 0, 0],
            ),
            (
                "*(u32 *)(r9 + 0) = 7",
                |asm| asm.store(Size::Word, R9, 0, 7),
                [0x62, 0x09, 0, 0, 0x07, 0, 0, 0],
            ),
            (
                "lock *(u32 *)(r9 + 8) += r1",
                |asm| asm.atomic_add(R9, 8, R1),
                [0xc3, 0x19, 0x08, 0, 0, 0, 0, 0],
            ),
            (
                "lock *(u64 *)(r9 + 8) += r1",
                |asm| asm.atomic_add_double(R9, 8, R1),
                [0xdb, 0x19, 0x08, 0, 0, 0, 0, 0],
            ),
            (
                "r2 /= 10",
                |asm| asm.alu(Width::W64, Alu::Div, R2, 10),
                [0x37, 0x02, 0, 0, 0x0a, 0, 0, 0],
            ),
            ("call 131", |asm| asm.call(131), [0x85, 0, 0, 0, 0x83, 0, 0, 0]),
            ("exit", Assembler::exit, [0x95, 0, 0, 0, 0, 0, 0, 0]),
            (
                "if r0 == 0 goto +0",
                |asm| branch_on(asm, Width::W64, Cond::Eq, R0, 0.into()),
                [0x15, 0, 0, 0, 0, 0, 0, 0],
            ),
            (
                "if w1 >= w2 goto +0",
                |asm| branch_on(asm, Width::W32, Cond::Ge, R1, R2.into()),
                [0x3e, 0x21, 0, 0, 0, 0, 0, 0],
            ),
            (
                "if w1 != 76 goto +0",
                |asm| branch_on(asm, Width::W32, Cond::Ne, R1, 76.into()),
                [0x56, 0x01, 0, 0, 0x4c, 0, 0, 0],
            ),
        ];
        for (text, emit, bytes) in cases {
            assert_eq!(assembled(emit), [bytes], "{text}");
        }
    }

    /// A branch to the next instruction.
    fn branch_on(asm: &mut Assembler, width: Width, cond: Cond, left: Reg, right: Operand) {
        let next = asm.label();
        match right {
            Operand::Reg(reg) => asm.branch(width, cond, left, reg, next),
            Operand::Imm(number) => asm.branch(width, cond, left, number, next),
        }
        asm.bind(next);
    }

    #[test]
    fn jumps_lead_to_their_labels_in_both_directions() {
        let code = assembled(|asm| {
            let (start, end) = (asm.label(), asm.label());
            asm.bind(start);
            asm.branch(Width::W64, Cond::Eq, R0, 0, end);
            asm.jump(start);
            asm.bind(end);
            asm.exit();
        });
        let distance = |at: usize| i16::from_ne_bytes([code[at][2], code[at][3]]);
        assert_eq!((distance(0), distance(1)), (1, -2));
    }

    #[test]
    fn unreachable_instructions_are_left_out() {
        let code = assembled(|asm| {
            let (unused, used) = (asm.label(), asm.label());
            asm.branch(Width::W64, Cond::Eq, R0, 0, used);
            asm.exit();
            asm.bind(unused);
            asm.mov(R0, 2);
            asm.jump(used);
            asm.bind(used);
            asm.exit();
        });
        let [branch, exit, last] = code[..] else { panic!("{code:?}") };
        assert_eq!((branch[2..4].to_vec(), exit), (vec![1, 0], last));
    }

    #[test]
    fn a_jump_to_an_unbound_label_is_an_error() {
        let mut asm = Assembler::default();
        let label = asm.label();
        asm.jump(label);
        assert_eq!(asm.finish(), Err(AssemblyError::UnboundLabel));
    }

    #[test]
    fn a_jump_beyond_16_bits_is_an_error() {
        let mut asm = Assembler::default();
        let label = asm.label();
        asm.branch(Width::W64, Cond::Eq, R0, 0, label);
        (0..=i16::MAX).for_each(|_| asm.mov(R0, 1));
        asm.bind(label);
        asm.exit();
        assert_eq!(asm.finish(), Err(AssemblyError::JumpTooFar));
    }
}
