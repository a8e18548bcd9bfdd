//! The places of the parts of a record, and code to fill them in.

use std::mem::offset_of;

use proc_connector_core::context::layout::{
    ExecHdr, ExitHdr, ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, imm, len_imm};
use super::super::layout::{CONTEXT, DATAGRAM, offset, variable};
use Reg::{R1, R7, R10};

/// What records contain besides the identity.
#[derive(Clone, Debug)]
pub(crate) struct Wants {
    /// The most bytes of arguments.
    pub(crate) args_len: usize,
    /// Whether to record the working directory.
    pub(crate) cwd: bool,
    /// The names of the environment variables to record.
    pub(crate) variables: Vec<Vec<u8>>,
}

/// A part of a record at a fixed place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part(pub(super) usize);

impl Part {
    /// Offset in the record of a field of this part.
    pub(super) const fn at(self, field: usize) -> i16 {
        offset(self.0 + field)
    }
}

pub(super) const EXTENSION: usize = CONTEXT + size_of::<IdentityHdr>();
pub(super) const RECORDED: i16 = offset(EXTENSION);
pub(super) const TASK: Part = Part(EXTENSION + size_of::<ExtensionHdr>());
pub(super) const AFTER_TASK: usize = TASK.0 + size_of::<TaskHdr>();
pub(super) const USAGE: Part = Part(AFTER_TASK);
pub(super) const PROCESS_USAGE: Part = Part(USAGE.0 + size_of::<UsageHdr>());
pub(super) const EXEC: Part = Part(AFTER_TASK);
pub(super) const EXEC_TAIL: usize = EXEC.0 + size_of::<ExecHdr>();

/// Offset from `R7` of the length of the variable parts.
pub(super) const TAIL_LEN: i16 = variable(0);

/// Emits code that marks a part of the record as present.
pub(super) fn add_recorded(asm: &mut Assembler, part: Recorded) {
    asm.load(Size::Word, R1, R7, RECORDED);
    asm.alu(Width::W32, Alu::Or, R1, imm(part.bits()));
    asm.store(Size::Word, R7, RECORDED, R1);
}

/// Emits code that loads the length of the variable parts. The verifier knows from the comparison
/// that it is at most `limit`.
pub(super) fn load_tail_len(asm: &mut Assembler, to: Reg, limit: usize, too_long: Label) {
    asm.load(Size::Double, to, R7, TAIL_LEN);
    asm.branch(Width::W64, Cond::Gt, to, len_imm(limit), too_long);
}

/// Emits code that jumps to `other` unless the event is of the kind `what`.
pub(in super::super) fn branch_unless(asm: &mut Assembler, what: u32, other: Label) {
    asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
    asm.branch(Width::W32, Cond::Ne, R1, imm(what), other);
}

/// Offset of `proc_event.what` in the datagram.
pub(super) const WHAT: i16 = 36;

/// Places in the identity that the other parts use.
pub(in super::super) const TGID: i16 = offset(CONTEXT + offset_of!(IdentityHdr, tgid));
pub(in super::super) const START: i16 = offset(CONTEXT + offset_of!(IdentityHdr, start_boottime));
pub(in super::super) const DETAIL: i16 = offset(CONTEXT + offset_of!(IdentityHdr, detail));
/// At an exit, whether the process is over.
pub(in super::super) const EXIT_STATE: i16 = DETAIL + offset(offset_of!(ExitHdr, state));
