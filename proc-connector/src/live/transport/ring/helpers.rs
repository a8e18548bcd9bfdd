//! How a socket filter can find out here what it is to note.
//!
//! Which helpers it may call depends on the kernel's version and on this process's privilege, so
//! each is tried. Where one is missing, as most are on Linux 6.1, but reading the kernel's memory is
//! allowed, the same is read from the task.

use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Reg, Size, Width};
use super::btf::TaskOffsets;
use super::layout::{FIRST, flag};
use super::{LICENCE, NAME};
use crate::sys::Program;
use Reg::{R0, R1, R2, R3, R10};

/// Something of the running task: from a helper of its own, or from the task's memory, so many bytes
/// into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskValue {
    Helper(uapi::bpf_func_id),
    Memory(u32),
}

/// Its thread's id, in the lower half, and its process's.
pub(super) fn pid_tgid() -> Option<TaskValue> {
    let helper = uapi::BPF_FUNC_get_current_pid_tgid;
    // In memory the thread's comes first.
    let lower_first = cfg!(target_endian = "little");
    let from_memory = || of_task(|task| task.pid_tgid).filter(|_| lower_first);
    from_helper(helper).or_else(from_memory)
}

/// Its name.
pub(super) fn comm() -> Option<TaskValue> {
    let helper = uapi::BPF_FUNC_get_current_comm;
    let is_there = can_fill_memory(&[helper]);
    is_there.then_some(TaskValue::Helper(helper)).or_else(|| of_task(|task| task.comm))
}

/// What a helper without arguments gives.
pub(super) fn from_helper(helper: uapi::bpf_func_id) -> Option<TaskValue> {
    loads(|asm| asm.call(helper)).then_some(TaskValue::Helper(helper))
}

/// Whether the memory of the kernel and of the running process can be read.
pub(super) fn can_read_memory() -> bool {
    from_helper(uapi::BPF_FUNC_get_current_task).is_some()
        && can_fill_memory(&[uapi::BPF_FUNC_probe_read_kernel, uapi::BPF_FUNC_probe_read_user])
}

/// The two that can come from memory, from there.
#[cfg(test)]
pub(super) fn from_memory() -> [Option<TaskValue>; 2] {
    [of_task(|task| task.pid_tgid), of_task(|task| task.comm)]
}

fn of_task(offset: fn(TaskOffsets) -> u32) -> Option<TaskValue> {
    let offsets = can_read_memory().then(TaskOffsets::of_running_kernel)??;
    Some(TaskValue::Memory(offset(offsets)))
}

impl TaskValue {
    /// Loads a number of 64 bits to `R0`.
    pub(super) fn load(self, asm: &mut Assembler) {
        match self {
            Self::Helper(helper) => asm.call(helper),
            Self::Memory(at) => {
                asm.call(uapi::BPF_FUNC_get_current_task);
                asm.mov(R3, R0);
                follow(asm, at, FIRST);
                asm.load(Size::Double, R0, R10, FIRST);
            }
        }
    }

    /// Fills `len` bytes of what `base` points to, from `at` on.
    pub(super) fn fill(self, asm: &mut Assembler, base: Reg, at: i16, len: i32) {
        if let Self::Memory(offset) = self {
            asm.call(uapi::BPF_FUNC_get_current_task);
            asm.mov(R3, R0);
            asm.alu(Width::W64, Alu::Add, R3, flag(offset));
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

/// Reads the number of 64 bits that is `offset` bytes behind `R3` in the kernel's memory to the
/// stack. `R0` is 0 if that worked.
pub(super) fn follow(asm: &mut Assembler, offset: u32, to: i16) {
    asm.alu(Width::W64, Alu::Add, R3, flag(offset));
    asm.mov(R1, R10);
    asm.alu(Width::W64, Alu::Add, R1, i32::from(to));
    asm.mov(R2, 8);
    asm.call(uapi::BPF_FUNC_probe_read_kernel);
}

/// Whether helpers can be called that fill memory of a given length, from an address.
fn can_fill_memory(helpers: &[uapi::bpf_func_id]) -> bool {
    loads(|asm| {
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

/// Whether the kernel takes such a program. It is never attached.
fn loads(write: impl FnOnce(&mut Assembler)) -> bool {
    let mut asm = Assembler::default();
    write(&mut asm);
    asm.mov(R0, 0);
    asm.exit();
    asm.finish().is_ok_and(|code| Program::load(&code, NAME, LICENCE, &mut []).is_ok())
}
