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
        ("r1 -= r2", |asm| asm.alu(Width::W64, Alu::Sub, R1, R2), [0x1f, 0x21, 0, 0, 0, 0, 0, 0]),
        ("w1 >>= 8", |asm| asm.alu(Width::W32, Alu::Rsh, R1, 8), [0x74, 0x01, 0, 0, 0x08, 0, 0, 0]),
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
