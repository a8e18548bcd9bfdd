//! The part of the program that records the acting task: it writes a `ContextHdr`, and the
//! arguments of an exec.

use std::fmt;
use std::mem::{offset_of, size_of};

use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Cond, Reg, Size, Width, imm, len_imm};
use super::btf::ArgOffsets;
use super::helpers::{self, TaskValue, read_kernel_u64};
use super::layout::{RECORD_LEN, SCRATCH_1, SCRATCH_2, offset};
use Reg::{R0, R1, R2, R3, R10};

/// The header of a context. The arguments follow it.
///
/// The ring transport of `proc-connector` writes it. It is not part of the public API.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub(super) struct ContextHdr {
    /// The fields that are present: bits of [`Noted`].
    pub noted: [u8; 4],
    /// Bytes of arguments after the header.
    pub args_len: [u8; 4],
    /// `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: [u8; 8],
    /// Id of the task's cgroup.
    pub cgroup_id: [u8; 8],
    /// Process id in the upper half, thread id in the lower.
    pub pid_tgid: [u8; 8],
    /// Group id in the upper half, user id in the lower.
    pub uid_gid: [u8; 8],
    /// Name of the task.
    pub comm: [u8; 16],
}

/// Bytes of a [`ContextHdr`].
#[doc(hidden)]
pub(super) const HEADER_LEN: usize = size_of::<ContextHdr>();

bitflags::bitflags! {
    /// The parts of a context that are present, as in `ContextHdr::noted`.
    #[doc(hidden)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Noted: u32 {
        /// `boot_ns`.
        const BOOT_NS = 1;
        /// `cgroup_id`.
        const CGROUP_ID = 1 << 1;
        /// `pid_tgid`.
        const PID_TGID = 1 << 2;
        /// `uid_gid`.
        const UID_GID = 1 << 3;
        /// `comm`.
        const COMM = 1 << 4;
        /// The arguments.
        const ARGS = 1 << 5;
        /// The arguments are truncated.
        const ARGS_CUT = 1 << 6;
    }
}

/// Which properties of the acting task records contain, and how the program reads each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextPlan {
    boot_ns: Option<TaskValue>,
    cgroup_id: Option<TaskValue>,
    pid_tgid: Option<TaskValue>,
    uid_gid: Option<TaskValue>,
    comm: Option<TaskValue>,
    /// Where the kernel stores the arguments.
    args: Option<ArgOffsets>,
    /// The most bytes of arguments in a record.
    args_len: usize,
}

/// The upper limit of [`ContextPlan::args_len`].
const MAX_ARGS_LEN: usize = 16 << 10;

impl ContextPlan {
    /// Detects which properties the program can read on this kernel: none without the privilege to
    /// load BPF programs.
    pub(crate) fn new(args_len: usize) -> Self {
        let can_read_args = args_len > 0 && helpers::can_read_memory();
        Self {
            boot_ns: helpers::helper_value(uapi::BPF_FUNC_ktime_get_boot_ns),
            cgroup_id: helpers::helper_value(uapi::BPF_FUNC_get_current_cgroup_id),
            pid_tgid: helpers::pid_tgid(),
            uid_gid: helpers::helper_value(uapi::BPF_FUNC_get_current_uid_gid),
            comm: helpers::comm(),
            args: if can_read_args { ArgOffsets::of_running_kernel() } else { None },
            args_len: args_len.min(MAX_ARGS_LEN),
        }
    }

    /// The plan without the helpers that older kernels lack.
    #[cfg(test)]
    pub(super) fn without_helpers(self) -> Self {
        let [pid_tgid, comm] = helpers::from_memory();
        Self { pid_tgid, comm, ..self }
    }

    /// The properties that records contain.
    pub(super) fn available(&self) -> Noted {
        let parts = [
            (Noted::BOOT_NS, self.boot_ns.is_some()),
            (Noted::CGROUP_ID, self.cgroup_id.is_some()),
            (Noted::PID_TGID, self.pid_tgid.is_some()),
            (Noted::UID_GID, self.uid_gid.is_some()),
            (Noted::COMM, self.comm.is_some()),
            (Noted::ARGS, self.args.is_some()),
        ];
        parts.into_iter().filter(|&(_, available)| available).map(|(part, _)| part).collect()
    }

    /// Where the kernel stores the arguments. `None` if records of execs have no arguments.
    pub(super) fn args(&self) -> Option<ArgOffsets> {
        self.args
    }

    /// The length in bytes of a record without arguments.
    pub(super) const fn record_len() -> usize {
        RECORD_LEN + HEADER_LEN
    }

    /// The length in bytes of a record with space for arguments.
    pub(super) const fn record_len_with_args(&self) -> usize {
        Self::record_len() + self.args_len
    }

    /// Emits code that fills in the `ContextHdr` of the record that `record` points to.
    pub(super) fn fill_task(&self, asm: &mut Assembler, record: Reg) {
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
        let noted = self.available().difference(Noted::ARGS);
        asm.store(Size::Word, record, NOTED, imm(noted.bits()));
        asm.store(Size::Word, record, ARGS_LEN, 0);
    }

    /// Emits code that copies the arguments of the current process from its memory. If a read
    /// fails, the record has no arguments.
    ///
    /// The copy ends at `arg_end`, where the environment starts. A longer read could cross the top
    /// of the stack, which is soon after the environment, and fail.
    pub(super) fn fill_args(&self, asm: &mut Assembler, offsets: ArgOffsets, record: Reg) {
        let (done, cut, read) = (asm.label(), asm.label(), asm.label());
        asm.call(uapi::BPF_FUNC_get_current_task);
        asm.mov(R3, R0);
        read_kernel_u64(asm, offsets.mm, SCRATCH_1);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R3, R10, SCRATCH_1);
        read_kernel_u64(asm, offsets.arg_start, SCRATCH_2);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R3, R10, SCRATCH_1);
        read_kernel_u64(asm, offsets.arg_end, SCRATCH_1);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);

        // `R2` becomes the length of the arguments, at most `args_len`, and `R1` the `noted` bits.
        asm.load(Size::Double, R2, R10, SCRATCH_1);
        asm.load(Size::Double, R3, R10, SCRATCH_2);
        asm.alu(Width::W64, Alu::Sub, R2, R3);
        asm.load(Size::Word, R1, record, NOTED);
        asm.branch(Width::W64, Cond::Gt, R2, len_imm(self.args_len), cut);
        asm.alu(Width::W64, Alu::Add, R1, imm(Noted::ARGS.bits()));
        asm.jump(read);
        asm.bind(cut);
        asm.alu(Width::W64, Alu::Add, R1, imm((Noted::ARGS | Noted::ARGS_CUT).bits()));
        asm.mov(R2, len_imm(self.args_len));
        asm.bind(read);
        // The call clobbers both registers.
        asm.store(Size::Double, R10, SCRATCH_1, R1);
        asm.store(Size::Double, R10, SCRATCH_2, R2);
        asm.mov(R1, record);
        asm.alu(Width::W64, Alu::Add, R1, len_imm(Self::record_len()));
        asm.call(uapi::BPF_FUNC_probe_read_user);
        asm.branch(Width::W64, Cond::Ne, R0, 0, done);
        asm.load(Size::Double, R1, R10, SCRATCH_1);
        asm.store(Size::Word, record, NOTED, R1);
        asm.load(Size::Double, R1, R10, SCRATCH_2);
        asm.store(Size::Word, record, ARGS_LEN, R1);
        asm.bind(done);
    }
}

/// Lists the properties that records contain, and those that they lack.
impl fmt::Display for ContextPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let available = self.available();
        let parts = [
            (Noted::COMM, "name"),
            (Noted::PID_TGID, "ids"),
            (Noted::UID_GID, "user and group"),
            (Noted::CGROUP_ID, "cgroup"),
            (Noted::BOOT_NS, "boot time"),
            (Noted::ARGS, "arguments"),
        ];
        let (present, missing): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|&(part, _)| available.contains(part));
        let list = |parts: Vec<(Noted, &'static str)>| {
            parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(", ")
        };
        write!(f, "it records the acting task: {}", list(present))?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; not available: {}", list(missing)) }
    }
}

const NOTED: i16 = field(offset_of!(ContextHdr, noted));
const ARGS_LEN: i16 = field(offset_of!(ContextHdr, args_len));

/// Offset in a record of a field of the `ContextHdr`.
const fn field(at: usize) -> i16 {
    offset(RECORD_LEN + at)
}
