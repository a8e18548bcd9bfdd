//! Detecting how a socket filter can read properties of the current task, and of the sender, on this
//! kernel.
//!
//! Which BPF helpers a socket filter may call depends on the kernel's version and on this process's
//! privileges, so each helper is tried by loading a small program. Most are missing on Linux 6.1.
//! The ring's program then reads the property from the `task_struct`, if it may read kernel memory.

use std::fmt;

use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Reg, Size, Width, imm};
use super::layout::SCRATCH_1;
use super::load::verifier_accepts;
use super::memory::KernelMemory;
use Reg::{R0, R1, R2, R3, R10};

/// How the program reads a property of the current task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskValue {
    /// By calling this helper.
    Helper(uapi::bpf_func_id),
    /// From kernel memory, at this offset in the `task_struct`.
    Memory(u32),
}

/// The id of the thread in the lower half, and the id of the process in the upper half.
pub(super) fn pid_tgid(memory: &KernelMemory) -> Option<TaskValue> {
    let helper = uapi::BPF_FUNC_get_current_pid_tgid;
    // `task_struct` has `pid` before `tgid`, so on little-endian machines one 64-bit load has `pid`
    // in the lower half.
    let pid_is_lower = cfg!(target_endian = "little");
    let from_memory = || pid_tgid_in_memory(memory).filter(|_| pid_is_lower);
    helper_value(helper).or_else(from_memory)
}

/// The task's name, 16 bytes.
pub(super) fn comm(memory: &KernelMemory) -> Option<TaskValue> {
    let helper = uapi::BPF_FUNC_get_current_comm;
    let has_helper = can_fill_memory(&[helper]);
    has_helper.then_some(TaskValue::Helper(helper)).or_else(|| comm_in_memory(memory))
}

/// The value returned by a helper without arguments.
pub(super) fn helper_value(helper: uapi::bpf_func_id) -> Option<TaskValue> {
    verifier_accepts(|asm| asm.call(helper)).then_some(TaskValue::Helper(helper))
}

/// `pid_tgid` and `comm` from kernel memory, even if the helpers exist.
#[cfg(test)]
pub(super) fn from_memory(memory: &KernelMemory) -> [Option<TaskValue>; 2] {
    [pid_tgid_in_memory(memory), comm_in_memory(memory)]
}

fn pid_tgid_in_memory(memory: &KernelMemory) -> Option<TaskValue> {
    let btf = memory.types()?;
    let [pid, tgid] = ["pid", "tgid"].map(|name| btf.offset("task_struct", name));
    (tgid? == pid? + 4).then_some(TaskValue::Memory(u32::try_from(pid?).ok()?))
}

fn comm_in_memory(memory: &KernelMemory) -> Option<TaskValue> {
    let btf = memory.types()?;
    Some(TaskValue::Memory(u32::try_from(btf.offset("task_struct", "comm")?).ok()?))
}

/// How the program recognises datagrams that the kernel did not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SenderCheck {
    /// By the process id of the sender, at this offset in the `struct sk_buff`. That of the kernel is
    /// 0. No forged datagram passes.
    Sender(i32),
    /// Actions that only the process named in the event can cause must come from that process. A
    /// process can forge the others, and its own actions.
    OwnActions(TaskValue),
    /// The program recognises them by their form only.
    FormOnly,
}

impl SenderCheck {
    /// The best check on this kernel.
    pub(super) fn detect(memory: &KernelMemory) -> Self {
        let by_sender = || sender_process(memory).map(Self::Sender);
        by_sender().or_else(|| pid_tgid(memory).map(Self::OwnActions)).unwrap_or(Self::FormOnly)
    }
}

impl fmt::Display for SenderCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender(_) => "the ring refuses all forged events, by their sender",
            Self::OwnActions(_) => {
                "the ring cannot see the sender of an event: a process with CAP_NET_ADMIN can forge \
                 forks, ptrace events and events about itself"
            }
            Self::FormOnly => {
                "the ring cannot see the sender of an event: a process with CAP_NET_ADMIN can forge \
                 any event"
            }
        })
    }
}

/// The offset in a `struct sk_buff` of the sender's process id, if the program may read it.
///
/// The kernel clears a part of the control block before it runs a program that calls another one
/// (`bpf_prog_run_save_cb`). The port id of the sender is in that part.
fn sender_process(memory: &KernelMemory) -> Option<i32> {
    let btf = memory.types()?;
    let at = btf.offset("netlink_skb_parms", "creds.pid")?;
    if at + 4 > btf.offset("qdisc_skb_cb", "data")? {
        return None;
    }
    let offset = btf.offset("sk_buff", "cb")? + at;
    let accepted = verifier_accepts(|asm| {
        // The socket buffer is the program's argument.
        asm.mov(R3, R1);
        read_sender_process(asm, offset);
    });
    accepted.then_some(offset)
}

/// Emits code that reads the process id of the sender of the socket buffer `R3` to `SCRATCH_1`. Sets
/// `R0` to 0 on success.
pub(super) fn read_sender_process(asm: &mut Assembler, offset: i32) {
    asm.alu(Width::W64, Alu::Add, R3, offset);
    asm.mov(R1, R10);
    asm.alu(Width::W64, Alu::Add, R1, i32::from(SCRATCH_1));
    asm.mov(R2, 4);
    asm.call(uapi::BPF_FUNC_probe_read_kernel);
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
fn read_kernel_u64(asm: &mut Assembler, offset: u32, to: i16) {
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
