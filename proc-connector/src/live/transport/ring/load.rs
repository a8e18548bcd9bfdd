//! Loading a BPF program under this crate's name and licence.

use std::ffi::CStr;
use std::io;

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
