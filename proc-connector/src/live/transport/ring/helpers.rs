//! Detecting how a socket filter can read properties of the current task on this kernel.
//!
//! Which BPF helpers a socket filter may call depends on the kernel's version and on this process's
//! privileges, so each helper is tried by loading a small program. Most are missing on Linux 6.1.
//! The ring's program then reads the property from the `task_struct`, if it may read kernel memory.

use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Reg, Size, Width, imm};
use super::btf::TaskOffsets;
use super::layout::SCRATCH_1;
use super::load::load;
use Reg::{R0, R1, R2, R3, R10};

/// How the program reads a property of the current task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskValue {
    /// By calling this helper.
    Helper(uapi::bpf_func_id),
    /// From kernel memory, at this offset in the `task_struct`.
    Memory(u32),
}

/// The id of the thread in the lower half, and the id of the process in the upper half.
pub(super) fn pid_tgid() -> Option<TaskValue> {
    let helper = uapi::BPF_FUNC_get_current_pid_tgid;
    // `task_struct` has `pid` before `tgid`, so on little-endian machines one 64-bit load has `pid`
    // in the lower half.
    let pid_is_lower = cfg!(target_endian = "little");
    let from_memory = || task_member(|task| task.pid_tgid).filter(|_| pid_is_lower);
    helper_value(helper).or_else(from_memory)
}

/// The task's name, 16 bytes.
pub(super) fn comm() -> Option<TaskValue> {
    let helper = uapi::BPF_FUNC_get_current_comm;
    let has_helper = can_fill_memory(&[helper]);
    has_helper.then_some(TaskValue::Helper(helper)).or_else(|| task_member(|task| task.comm))
}

/// The value returned by a helper without arguments.
pub(super) fn helper_value(helper: uapi::bpf_func_id) -> Option<TaskValue> {
    verifier_accepts(|asm| asm.call(helper)).then_some(TaskValue::Helper(helper))
}

/// Whether the program may read the memory of the kernel and of the current process.
pub(super) fn can_read_memory() -> bool {
    helper_value(uapi::BPF_FUNC_get_current_task).is_some()
        && can_fill_memory(&[uapi::BPF_FUNC_probe_read_kernel, uapi::BPF_FUNC_probe_read_user])
}

/// `pid_tgid` and `comm` from kernel memory, even if the helpers exist.
#[cfg(test)]
pub(super) fn from_memory() -> [Option<TaskValue>; 2] {
    [task_member(|task| task.pid_tgid), task_member(|task| task.comm)]
}

fn task_member(offset: fn(TaskOffsets) -> u32) -> Option<TaskValue> {
    let offsets = can_read_memory().then(TaskOffsets::of_running_kernel)??;
    Some(TaskValue::Memory(offset(offsets)))
}

impl TaskValue {
    /// Emits code that loads a 64-bit value to `R0`.
    pub(super) fn load(self, asm: &mut Assembler) {
        match self {
            Self::Helper(helper) => asm.call(helper),
            Self::Memory(at) => {
                asm.call(uapi::BPF_FUNC_get_current_task);
                asm.mov(R3, R0);
                read_kernel_u64(asm, at, SCRATCH_1);
                asm.load(Size::Double, R0, R10, SCRATCH_1);
            }
        }
    }

    /// Emits code that copies `len` bytes of the value to `base + at`.
    pub(super) fn fill(self, asm: &mut Assembler, base: Reg, at: i16, len: i32) {
        if let Self::Memory(offset) = self {
            asm.call(uapi::BPF_FUNC_get_current_task);
            asm.mov(R3, R0);
            asm.alu(Width::W64, Alu::Add, R3, imm(offset));
        }
        asm.mov(R1, base);
        asm.alu(Width::W64, Alu::Add, R1, i32::from(at));
        asm.mov(R2, len);
        asm.call(match self {
            Self::Helper(helper) => helper,
            Self::Memory(_) => uapi::BPF_FUNC_probe_read_kernel,
        });
    }
}

/// Emits code that reads 64 bits of kernel memory at `R3 + offset` to the stack at `R10 + to`. Sets
/// `R0` to 0 on success.
pub(super) fn read_kernel_u64(asm: &mut Assembler, offset: u32, to: i16) {
    asm.alu(Width::W64, Alu::Add, R3, imm(offset));
    asm.mov(R1, R10);
    asm.alu(Width::W64, Alu::Add, R1, i32::from(to));
    asm.mov(R2, 8);
    asm.call(uapi::BPF_FUNC_probe_read_kernel);
}

/// Whether the program may call helpers with the arguments destination, length and source address.
fn can_fill_memory(helpers: &[uapi::bpf_func_id]) -> bool {
    verifier_accepts(|asm| {
        for &helper in helpers {
            asm.store(Size::Double, R10, -8, 0);
            asm.mov(R1, R10);
            asm.alu(Width::W64, Alu::Add, R1, -8);
            asm.mov(R2, 8);
            asm.mov(R3, 0);
            asm.call(helper);
        }
    })
}

/// Whether the kernel loads a program with the instructions that `emit` adds. The program is not
/// attached.
fn verifier_accepts(emit: impl FnOnce(&mut Assembler)) -> bool {
    let mut asm = Assembler::default();
    emit(&mut asm);
    asm.mov(R0, 0);
    asm.exit();
    asm.finish().is_ok_and(|code| load(&code, &mut []).is_ok())
}
