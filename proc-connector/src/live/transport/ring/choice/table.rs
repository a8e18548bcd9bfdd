//! Access of the program to hash tables with 64-bit keys.

use std::os::fd::BorrowedFd;

use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Reg, Width};
use super::super::layout::KEY;
use Reg::{R1, R2, R3, R4, R10};

/// Emits code that loads the address of the value of the key at `KEY` to `R0`, or null.
pub(super) fn look_up(asm: &mut Assembler, table: BorrowedFd<'_>) {
    load_key(asm, table);
    asm.call(uapi::BPF_FUNC_map_lookup_elem);
}

/// Emits code that sets the value of the key at `KEY` to that on the stack at `value`. `R0` is 0 on
/// success.
pub(super) fn insert(asm: &mut Assembler, table: BorrowedFd<'_>, value: i16) {
    load_key(asm, table);
    asm.mov(R3, R10);
    asm.alu(Width::W64, Alu::Add, R3, i32::from(value));
    asm.mov(R4, 0);
    asm.call(uapi::BPF_FUNC_map_update_elem);
}

/// Emits code that removes the key at `KEY`.
pub(super) fn remove(asm: &mut Assembler, table: BorrowedFd<'_>) {
    load_key(asm, table);
    asm.call(uapi::BPF_FUNC_map_delete_elem);
}

fn load_key(asm: &mut Assembler, table: BorrowedFd<'_>) {
    asm.load_map(R1, table);
    asm.mov(R2, R10);
    asm.alu(Width::W64, Alu::Add, R2, i32::from(KEY));
}
