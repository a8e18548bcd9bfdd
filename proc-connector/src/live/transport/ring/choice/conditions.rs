//! Users and names.

use proc_connector_core::filter::NamePattern;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, imm};
use super::super::context::branch_unless;
use super::super::helpers::{self, TaskValue};
use super::super::layout::{DATAGRAM, NAME};
use super::super::memory::{KernelMemory, TaskMember};
use Reg::{R1, R10};
use proc_connector_sys as uapi;

/// How the program reads the users of the acting task.
#[derive(Clone, Debug)]
pub(super) struct UserPlan {
    real: TaskMember,
    effective: TaskMember,
}

impl UserPlan {
    pub(super) fn detect(memory: &KernelMemory) -> Option<Self> {
        let (real, effective) = ("cred->uid.val", "cred->euid.val");
        Some(Self { real: memory.member(real)?, effective: memory.member(effective)? })
    }

    /// Emits code that jumps to `unwanted` unless the real or the effective user is in the list.
    pub(super) fn check(&self, asm: &mut Assembler, users: &[u32], unwanted: Label) {
        let wanted = asm.label();
        for id in [&self.real, &self.effective] {
            id.load(asm, unwanted);
            for &user in users {
                asm.branch(Width::W32, Cond::Eq, R1, imm(user), wanted);
            }
        }
        asm.jump(unwanted);
        asm.bind(wanted);
    }
}

/// How the program reads the name of the acting task.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamePlan(TaskValue);

/// Offset in the datagram of the new name in an event of the kind COMM.
const COMM: i16 = 60;

/// The length of a name (`TASK_COMM_LEN`).
const NAME_LEN: usize = 16;

impl NamePlan {
    pub(super) fn detect(memory: &KernelMemory) -> Option<Self> {
        helpers::comm(memory).map(Self)
    }

    /// Emits code that jumps to `unwanted` unless the name matches a pattern. A thread can rename
    /// another thread of its process: the new name then counts, which the event contains.
    pub(super) fn check(self, asm: &mut Assembler, patterns: &[NamePattern], unwanted: Label) {
        let (wanted, own, known) = (asm.label(), asm.label(), asm.label());
        branch_unless(asm, uapi::PROC_EVENT_COMM, own);
        for at in (0..16).step_by(4) {
            asm.load(Size::Word, R1, R10, DATAGRAM + COMM + at);
            asm.store(Size::Word, R10, NAME + at, R1);
        }
        asm.jump(known);
        asm.bind(own);
        for at in [NAME, NAME + 8] {
            asm.store(Size::Double, R10, at, 0);
        }
        self.0.fill(asm, R10, NAME, 16);
        asm.bind(known);
        for pattern in patterns {
            let next = asm.label();
            let (bytes, mask) = compared(pattern);
            for at in (0..NAME_LEN).step_by(4) {
                let word = |bytes: &[u8; NAME_LEN]| {
                    i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
                };
                if word(&mask) == 0 {
                    break;
                }
                asm.load(Size::Word, R1, R10, NAME + super::super::layout::offset(at));
                asm.alu(Width::W32, Alu::And, R1, word(&mask));
                asm.branch(Width::W32, Cond::Ne, R1, word(&bytes), next);
            }
            asm.jump(wanted);
            asm.bind(next);
        }
        asm.jump(unwanted);
        asm.bind(wanted);
    }
}

/// The bytes of a name that a pattern compares, and a mask of them. An exact name includes the final
/// zero.
fn compared(pattern: &NamePattern) -> ([u8; NAME_LEN], [u8; NAME_LEN]) {
    let (mut bytes, mut mask) = ([0; NAME_LEN], [0; NAME_LEN]);
    let name = pattern.bytes();
    let len = (name.len() + usize::from(!pattern.is_prefix())).min(NAME_LEN);
    bytes[..name.len()].copy_from_slice(name);
    mask[..len].fill(0xff);
    (bytes, mask)
}
