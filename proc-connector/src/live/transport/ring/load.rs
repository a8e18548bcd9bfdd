//! Loading a BPF program under this crate's name and licence.

use std::ffi::CStr;
use std::io;

use super::asm::{Assembler, Reg};
use crate::sys::{Instruction, Program};

/// The name that tools such as `bpftool` show.
const NAME: &CStr = c"proc_connector";

/// This crate's licence, spelled as the kernel compares it: only a program under a GPL-compatible
/// licence may call GPL-only helpers (`license_is_gpl_compatible` in `include/linux/license.h`).
const LICENCE: &CStr = c"Dual MIT/GPL";

/// Loads a program. The kernel's verifier writes a NUL-terminated text to `log`, unless that is
/// empty.
pub(super) fn load(code: &[Instruction], log: &mut [u8]) -> io::Result<Program> {
    Program::load(code, NAME, LICENCE, log)
}

/// Whether the kernel loads a program with the instructions that `emit` adds. The program is not
/// attached.
pub(super) fn verifier_accepts(emit: impl FnOnce(&mut Assembler)) -> bool {
    let mut asm = Assembler::default();
    emit(&mut asm);
    asm.mov(Reg::R0, 0);
    asm.exit();
    asm.finish().is_ok_and(|code| load(&code, &mut []).is_ok())
}
