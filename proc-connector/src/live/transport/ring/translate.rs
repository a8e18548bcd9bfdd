//! A filter's classic BPF program as part of an eBPF program.
//!
//! Core compiles filters to classic BPF, and that program is proved equal to `Filter::matches`.
//! Translating it, instruction by instruction, keeps the one truth.

use proc_connector_sys as uapi;
use uapi::sock_filter;

use super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Unwritable, Width};

/// The accumulator and the index register of classic BPF.
const A: Reg = Reg::R1;
const X: Reg = Reg::R2;

/// Adds `program` for a datagram that is on the stack, from `R10 + datagram` on. It ends by going
/// to `keep` or to `drop`.
///
/// # Errors
///
/// [`Unwritable::Filter`] for a program that uses what core's programs do not.
pub(super) fn translate(
    asm: &mut Assembler,
    program: &[sock_filter],
    datagram: i16,
    keep: Label,
    drop: Label,
) -> Result<(), Unwritable> {
    let places: Vec<Label> = program.iter().map(|_| asm.label()).collect();
    // Distances are counted from the next instruction.
    let place = |at: usize, distance: u32| {
        let to = usize::try_from(distance).ok().and_then(|distance| at.checked_add(1 + distance));
        to.and_then(|to| places.get(to)).copied().ok_or(Unwritable::Filter)
    };
    let reached = reached(program);
    for (at, instruction) in program.iter().enumerate() {
        // The verifier does not take what cannot be reached.
        if !reached[at] {
            continue;
        }
        asm.bind(places[at]);
        let sock_filter { code, jt, jf, k } = *instruction;
        let code = u32::from(code);
        match code & CLASS {
            uapi::BPF_LD if code == uapi::BPF_LD | uapi::BPF_W | uapi::BPF_ABS => {
                let offset = i16::try_from(k).ok().and_then(|k| datagram.checked_add(k));
                asm.load(Size::Word, A, Reg::R10, offset.ok_or(Unwritable::Filter)?);
                asm.swap_to_big_endian(A);
            }
            uapi::BPF_MISC if code == uapi::BPF_MISC | uapi::BPF_TAX => asm.mov(X, A),
            uapi::BPF_ALU if code == uapi::BPF_ALU | uapi::BPF_RSH | uapi::BPF_K => {
                asm.alu(Width::W32, Alu::Rsh, A, operand(k));
            }
            uapi::BPF_RET if code == uapi::BPF_RET | uapi::BPF_K => {
                asm.jump(if k == 0 { drop } else { keep });
            }
            uapi::BPF_JMP if code == uapi::BPF_JMP | uapi::BPF_JA => asm.jump(place(at, k)?),
            uapi::BPF_JMP => {
                let cond = match code & OPERATION {
                    uapi::BPF_JEQ => Cond::Eq,
                    uapi::BPF_JGE => Cond::Ge,
                    uapi::BPF_JSET => Cond::Set,
                    _ => return Err(Unwritable::Filter),
                };
                let yes = place(at, jt.into())?;
                if code & uapi::BPF_X == 0 {
                    asm.branch(Width::W32, cond, A, operand(k), yes);
                } else {
                    asm.branch(Width::W32, cond, A, X, yes);
                }
                if jf != 0 {
                    asm.jump(place(at, jf.into())?);
                }
            }
            _ => return Err(Unwritable::Filter),
        }
    }
    Ok(())
}

/// Which instructions can be reached; all jumps lead forward.
fn reached(program: &[sock_filter]) -> Vec<bool> {
    let mut reached = vec![false; program.len()];
    reached[..1.min(program.len())].fill(true);
    for (at, instruction) in program.iter().enumerate() {
        if !reached[at] {
            continue;
        }
        let code = u32::from(instruction.code);
        let next: [usize; 2] = match code & CLASS {
            uapi::BPF_RET => continue,
            uapi::BPF_JMP if code & OPERATION == uapi::BPF_JA => [instruction.k as usize; 2],
            uapi::BPF_JMP => [instruction.jt.into(), instruction.jf.into()],
            _ => [0; 2],
        };
        for distance in next {
            if let Some(place) = at.checked_add(1 + distance).and_then(|to| reached.get_mut(to)) {
                *place = true;
            }
        }
    }
    reached
}

/// The bits of a code that say what kind of instruction it is, and which of its kind
/// (`bpf_common.h`).
const CLASS: u32 = 0x07;
const OPERATION: u32 = 0xf0;

/// A number as the operand of an operation on 32 bits, which looks at the bits alone.
#[expect(clippy::cast_possible_wrap, reason = "the same bits")]
const fn operand(k: u32) -> i32 {
    k as i32
}
