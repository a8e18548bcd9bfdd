//! Which of the kernel's helpers a socket filter may call here.
//!
//! That depends on the kernel's version and on this process's privilege, so each is tried.

use proc_connector_core::context::Noted;
use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Reg, Size, Width};
use super::{LICENCE, NAME};
use crate::sys::Program;
use Reg::{R0, R1, R2, R3, R10};

/// Whether the program can know who runs it.
pub(super) fn tell_actor() -> bool {
    can_call(uapi::BPF_FUNC_get_current_pid_tgid)
}

/// What the program can note of a task.
pub(super) fn noteworthy() -> Noted {
    let can_read = || {
        let readers = [uapi::BPF_FUNC_probe_read_kernel, uapi::BPF_FUNC_probe_read_user];
        can_call(uapi::BPF_FUNC_get_current_task) && can_fill_memory(&readers)
    };
    let parts = [
        (Noted::BOOT_NS, can_call(uapi::BPF_FUNC_ktime_get_boot_ns)),
        (Noted::CGROUP_ID, can_call(uapi::BPF_FUNC_get_current_cgroup_id)),
        (Noted::PID_TGID, can_call(uapi::BPF_FUNC_get_current_pid_tgid)),
        (Noted::UID_GID, can_call(uapi::BPF_FUNC_get_current_uid_gid)),
        (Noted::COMM, can_fill_memory(&[uapi::BPF_FUNC_get_current_comm])),
        (Noted::ARGS, can_read()),
    ];
    parts.into_iter().filter(|&(_, can)| can).map(|(part, _)| part).collect()
}

/// Whether a helper without arguments can be called.
fn can_call(helper: uapi::bpf_func_id) -> bool {
    loads(|asm| asm.call(helper))
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
