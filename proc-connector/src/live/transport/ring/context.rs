//! What records say of the acting task: the part of the program that writes a `ContextHdr` and the
//! arguments.

use std::fmt;
use std::mem::offset_of;

use proc_connector_core::context::{self, ContextHdr, Noted};
use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Cond, Reg, Size, Width};
use super::btf::ArgOffsets;
use super::helpers::{self, TaskValue, follow};
use super::layout::{FIRST, RECORD_LEN, SECOND, flag, len_imm, offset};
use Reg::{R0, R1, R2, R3, R10};

/// What to note, and how, as far as that is possible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextPlan {
    boot_ns: Option<TaskValue>,
    cgroup_id: Option<TaskValue>,
    pid_tgid: Option<TaskValue>,
    uid_gid: Option<TaskValue>,
    comm: Option<TaskValue>,
    /// Where the kernel has the arguments.
    args: Option<ArgOffsets>,
    /// Bytes of them at most.
    args_len: usize,
}

/// The most bytes of arguments that a record may have.
const MAX_ARGS_LEN: usize = 16 << 10;

impl ContextPlan {
    /// Finds out what is possible. That takes the privilege to load programs.
    pub(crate) fn new(args_len: usize) -> Self {
        let wanted = args_len > 0 && helpers::can_read_memory();
        Self {
            boot_ns: helpers::from_helper(uapi::BPF_FUNC_ktime_get_boot_ns),
            cgroup_id: helpers::from_helper(uapi::BPF_FUNC_get_current_cgroup_id),
            pid_tgid: helpers::pid_tgid(),
            uid_gid: helpers::from_helper(uapi::BPF_FUNC_get_current_uid_gid),
            comm: helpers::comm(),
            args: if wanted { ArgOffsets::of_running_kernel() } else { None },
            args_len: args_len.min(MAX_ARGS_LEN),
        }
    }

    /// The same without the helpers that older kernels lack.
    #[cfg(test)]
    pub(super) fn without_helpers(self) -> Self {
        let [pid_tgid, comm] = helpers::from_memory();
        Self { pid_tgid, comm, ..self }
    }

    /// What is possible.
    pub(super) fn possible(&self) -> Noted {
        let parts = [
            (Noted::BOOT_NS, self.boot_ns.is_some()),
            (Noted::CGROUP_ID, self.cgroup_id.is_some()),
            (Noted::PID_TGID, self.pid_tgid.is_some()),
            (Noted::UID_GID, self.uid_gid.is_some()),
            (Noted::COMM, self.comm.is_some()),
            (Noted::ARGS, self.args.is_some()),
        ];
        parts.into_iter().filter(|&(_, can)| can).map(|(part, _)| part).collect()
    }

    /// Where the arguments are, if records of execs are to have them.
    pub(super) fn args(&self) -> Option<ArgOffsets> {
        self.args
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
            (self.boot_ns, offset_of!(ContextHdr, boot_ns)),
            (self.cgroup_id, offset_of!(ContextHdr, cgroup_id)),
            (self.pid_tgid, offset_of!(ContextHdr, pid_tgid)),
            (self.uid_gid, offset_of!(ContextHdr, uid_gid)),
        ];
        for (source, at) in numbers {
            if let Some(source) = source {
                source.load(asm);
                asm.store(Size::Double, record, field(at), R0);
            } else {
                asm.store(Size::Double, record, field(at), 0);
            }
        }
        let comm = field(offset_of!(ContextHdr, comm));
        if let Some(source) = self.comm {
            source.fill(asm, record, comm, 16);
        } else {
            asm.store(Size::Double, record, comm, 0);
            asm.store(Size::Double, record, comm + 8, 0);
        }
        let noted = self.possible().difference(Noted::ARGS);
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
        asm.branch(Width::W64, Cond::Gt, R2, len_imm(self.args_len), cut);
        asm.alu(Width::W64, Alu::Add, R1, flag(Noted::ARGS.bits()));
        asm.jump(read);
        asm.bind(cut);
        asm.alu(Width::W64, Alu::Add, R1, flag((Noted::ARGS | Noted::ARGS_CUT).bits()));
        asm.mov(R2, len_imm(self.args_len));
        asm.bind(read);
        // Both are needed again after the call.
        asm.store(Size::Double, R10, FIRST, R1);
        asm.store(Size::Double, R10, SECOND, R2);
        asm.mov(R1, record);
        asm.alu(Width::W64, Alu::Add, R1, len_imm(Self::record_len()));
        asm.call(uapi::BPF_FUNC_probe_read_user);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R1, R10, FIRST);
        asm.store(Size::Word, record, NOTED, R1);
        asm.load(Size::Double, R1, R10, SECOND);
        asm.store(Size::Word, record, ARGS_LEN, R1);
        asm.bind(done);
    }
}

/// `it records of each task: name, ids`, for people.
impl fmt::Display for ContextPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let possible = self.possible();
        let parts = [
            (Noted::COMM, "name"),
            (Noted::PID_TGID, "ids"),
            (Noted::UID_GID, "user and group"),
            (Noted::CGROUP_ID, "cgroup"),
            (Noted::BOOT_NS, "boot time"),
            (Noted::ARGS, "arguments"),
        ];
        let (can, cannot): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|&(part, _)| possible.contains(part));
        let list = |parts: Vec<(Noted, &'static str)>| {
            parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(", ")
        };
        write!(f, "it records of each task: {}", list(can))?;
        if cannot.is_empty() { Ok(()) } else { write!(f, "; not available: {}", list(cannot)) }
    }
}

const NOTED: i16 = field(offset_of!(ContextHdr, noted));
const ARGS_LEN: i16 = field(offset_of!(ContextHdr, args_len));

/// Where a record has a field of the context.
const fn field(at: usize) -> i16 {
    offset(RECORD_LEN + at)
}
