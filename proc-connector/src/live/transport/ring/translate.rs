//! Translating a filter's classic BPF to eBPF, instruction by instruction.
//!
//! The core crate compiles filters to classic BPF, and its tests prove that the result agrees with
//! `Filter::matches`. A translation of the same program agrees as well.

use proc_connector_sys as uapi;
use uapi::sock_filter;

use super::asm::{Alu, Assembler, AssemblyError, Cond, Label, Reg, Size, Width, imm};

/// The accumulator and the index register of classic BPF.
const A: Reg = Reg::R1;
const X: Reg = Reg::R2;

/// Emits `program` for a datagram on the stack at `R10 + datagram`. The emitted code ends with a
/// jump to `keep` or `drop`.
///
/// # Errors
///
/// [`AssemblyError::UnsupportedFilter`] if `program` has an instruction that the core crate's
/// programs do not use.
pub(super) fn translate(
    asm: &mut Assembler,
    program: &[sock_filter],
    datagram: i16,
    keep: Label,
    drop: Label,
) -> Result<(), AssemblyError> {
    let labels: Vec<Label> = program.iter().map(|_| asm.label()).collect();
    // Distances are relative to the next instruction.
    let target = |at: usize, distance: u32| {
        let to = usize::try_from(distance).ok().and_then(|distance| at.checked_add(1 + distance));
        to.and_then(|to| labels.get(to)).copied().ok_or(AssemblyError::UnsupportedFilter)
    };
    for (at, instruction) in program.iter().enumerate() {
        asm.bind(labels[at]);
        let sock_filter { code, jt, jf, k } = *instruction;
        let code = u32::from(code);
        match code & CLASS {
            uapi::BPF_LD if code == uapi::BPF_LD | uapi::BPF_W | uapi::BPF_ABS => {
                let offset = i16::try_from(k).ok().and_then(|k| datagram.checked_add(k));
                asm.load(Size::Word, A, Reg::R10, offset.ok_or(AssemblyError::UnsupportedFilter)?);
                asm.swap_to_big_endian(A);
            }
            uapi::BPF_MISC if code == uapi::BPF_MISC | uapi::BPF_TAX => asm.mov(X, A),
            uapi::BPF_ALU if code == uapi::BPF_ALU | uapi::BPF_RSH | uapi::BPF_K => {
                asm.alu(Width::W32, Alu::Rsh, A, imm(k));
            }
            uapi::BPF_RET if code == uapi::BPF_RET | uapi::BPF_K => {
                asm.jump(if k == 0 { drop } else { keep });
            }
            uapi::BPF_JMP if code == uapi::BPF_JMP | uapi::BPF_JA => asm.jump(target(at, k)?),
            uapi::BPF_JMP => {
                let cond = match code & OPERATION {
                    uapi::BPF_JEQ => Cond::Eq,
                    uapi::BPF_JGE => Cond::Ge,
                    uapi::BPF_JSET => Cond::Set,
                    _ => return Err(AssemblyError::UnsupportedFilter),
                };
                let if_true = target(at, jt.into())?;
                if code & uapi::BPF_X == 0 {
                    asm.branch(Width::W32, cond, A, imm(k), if_true);
                } else {
                    asm.branch(Width::W32, cond, A, X, if_true);
                }
                if jf != 0 {
                    asm.jump(target(at, jf.into())?);
                }
            }
            _ => return Err(AssemblyError::UnsupportedFilter),
        }
    }
    Ok(())
}

/// The bits of an opcode that hold the instruction class and the operation (`bpf_common.h`).
const CLASS: u32 = 0x07;
const OPERATION: u32 = 0xf0;
