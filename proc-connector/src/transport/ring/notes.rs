//! What records say of the acting task: the part of the program that writes a `ContextHdr` and the
//! arguments.

use std::fmt;
use std::mem::offset_of;

use proc_connector_core::context::{self, ContextHdr, Noted};
use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Cond, Reg, Size, Width};
use super::btf::ArgOffsets;
use super::helpers;
use super::layout::{RECORD_LEN, flag, number, offset};
use Reg::{R0, R1, R2, R3, R10};

/// What to note, and what of that is possible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notes {
    possible: Noted,
    /// Bytes of arguments at most.
    args_len: usize,
    /// Where the kernel has them, if it says so.
    offsets: Option<ArgOffsets>,
}

/// The most bytes of arguments that a record may have.
const MAX_ARGS_LEN: usize = 16 << 10;

/// Words of the stack, from `R10` on, that the datagram does not use.
const FIRST: i16 = -88;
const SECOND: i16 = -96;

impl Notes {
    /// Finds out what is possible. That takes the privilege to load programs.
    pub(crate) fn new(args_len: usize) -> Self {
        Self {
            possible: helpers::noteworthy(),
            args_len: args_len.min(MAX_ARGS_LEN),
            offsets: if args_len == 0 { None } else { ArgOffsets::of_running_kernel() },
        }
    }

    /// What is possible.
    #[cfg(test)]
    pub(super) fn possible(&self) -> Noted {
        self.possible
    }

    /// Where the arguments are, if records of execs are to have them.
    pub(super) fn args(&self) -> Option<ArgOffsets> {
        self.offsets.filter(|_| self.possible.contains(Noted::ARGS))
    }

    /// Bytes of a record without arguments.
    pub(super) const fn record_len() -> usize {
        RECORD_LEN + context::HEADER_LEN
    }

    /// Bytes of a record with arguments.
    pub(super) const fn record_len_with_args(&self) -> usize {
        Self::record_len() + self.args_len
    }

    /// Fills in all but the arguments of the record that `record` points to.
    pub(super) fn note_task(&self, asm: &mut Assembler, record: Reg) {
        let numbers = [
            (
                Noted::BOOT_NS,
                uapi::BPF_FUNC_ktime_get_boot_ns,
                field(offset_of!(ContextHdr, boot_ns)),
            ),
            (
                Noted::CGROUP_ID,
                uapi::BPF_FUNC_get_current_cgroup_id,
                field(offset_of!(ContextHdr, cgroup_id)),
            ),
            (
                Noted::PID_TGID,
                uapi::BPF_FUNC_get_current_pid_tgid,
                field(offset_of!(ContextHdr, pid_tgid)),
            ),
            (
                Noted::UID_GID,
                uapi::BPF_FUNC_get_current_uid_gid,
                field(offset_of!(ContextHdr, uid_gid)),
            ),
        ];
        for (part, helper, at) in numbers {
            if self.possible.contains(part) {
                asm.call(helper);
                asm.store(Size::Double, record, at, R0);
            } else {
                asm.store(Size::Double, record, at, 0);
            }
        }
        let comm = field(offset_of!(ContextHdr, comm));
        if self.possible.contains(Noted::COMM) {
            asm.mov(R1, record);
            asm.alu(Width::W64, Alu::Add, R1, i32::from(comm));
            asm.mov(R2, 16);
            asm.call(uapi::BPF_FUNC_get_current_comm);
        } else {
            asm.store(Size::Double, record, comm, 0);
            asm.store(Size::Double, record, comm + 8, 0);
        }
        let noted = self.possible.difference(Noted::ARGS);
        asm.store(Size::Word, record, NOTED, flag(noted.bits()));
        asm.store(Size::Word, record, ARGS_LEN, 0);
    }

    /// Fills in the arguments of the running process, which end where its environment begins:
    /// behind the last of that, at the top of the stack, there is nothing to read.
    pub(super) fn note_args(&self, asm: &mut Assembler, offsets: ArgOffsets, record: Reg) {
        let (done, cut, read) = (asm.label(), asm.label(), asm.label());
        asm.call(uapi::BPF_FUNC_get_current_task);
        asm.mov(R3, R0);
        follow(asm, offsets.mm, FIRST);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R3, R10, FIRST);
        follow(asm, offsets.arg_start, SECOND);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R3, R10, FIRST);
        follow(asm, offsets.arg_end, FIRST);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);

        // The length, and what is noted by it.
        asm.load(Size::Double, R2, R10, FIRST);
        asm.load(Size::Double, R3, R10, SECOND);
        asm.alu(Width::W64, Alu::Sub, R2, R3);
        asm.load(Size::Word, R1, record, NOTED);
        asm.branch(Width::W64, Cond::Gt, R2, number(self.args_len), cut);
        asm.alu(Width::W64, Alu::Add, R1, flag(Noted::ARGS.bits()));
        asm.jump(read);
        asm.bind(cut);
        asm.alu(Width::W64, Alu::Add, R1, flag((Noted::ARGS | Noted::ARGS_CUT).bits()));
        asm.mov(R2, number(self.args_len));
        asm.bind(read);
        // Both are needed again after the call.
        asm.store(Size::Double, R10, FIRST, R1);
        asm.store(Size::Double, R10, SECOND, R2);
        asm.mov(R1, record);
        asm.alu(Width::W64, Alu::Add, R1, number(Self::record_len()));
        asm.call(uapi::BPF_FUNC_probe_read_user);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R1, R10, FIRST);
        asm.store(Size::Word, record, NOTED, R1);
        asm.load(Size::Double, R1, R10, SECOND);
        asm.store(Size::Word, record, ARGS_LEN, R1);
        asm.bind(done);
    }
}

/// `it can note of a task: name, ids`, for people.
impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = self.args().is_some();
        let parts = [
            (self.possible.contains(Noted::COMM), "name"),
            (self.possible.contains(Noted::PID_TGID), "ids"),
            (self.possible.contains(Noted::UID_GID), "user and group"),
            (self.possible.contains(Noted::CGROUP_ID), "cgroup"),
            (self.possible.contains(Noted::BOOT_NS), "boot time"),
            (args, "arguments"),
        ];
        let (can, cannot): (Vec<_>, Vec<_>) = parts.into_iter().partition(|&(can, _)| can);
        let list = |parts: Vec<(bool, &'static str)>| {
            parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(", ")
        };
        write!(f, "it can note of a task: {}", list(can))?;
        if cannot.is_empty() { Ok(()) } else { write!(f, "; not: {}", list(cannot)) }
    }
}

const NOTED: i16 = field(offset_of!(ContextHdr, noted));
const ARGS_LEN: i16 = field(offset_of!(ContextHdr, args_len));

/// Where a record has a field of the context.
const fn field(at: usize) -> i16 {
    offset(RECORD_LEN + at)
}

/// Reads the pointer that is `offset` bytes behind `R3` to the stack.
fn follow(asm: &mut Assembler, offset: u32, to: i16) {
    asm.alu(Width::W64, Alu::Add, R3, flag(offset));
    asm.mov(R1, R10);
    asm.alu(Width::W64, Alu::Add, R1, i32::from(to));
    asm.mov(R2, 8);
    asm.call(uapi::BPF_FUNC_probe_read_kernel);
}
