//! Reading values of the current task from kernel memory.
//!
//! Where the kernel provides a typed pointer to the task, a value behind any number of pointers is
//! an ordinary load for each pointer. Otherwise each load is a call of `bpf_probe_read_kernel`.

use proc_connector_sys as uapi;

use super::asm::{Alu, Assembler, Label, Reg, Size, Width};
use super::asm::{Cond, imm};
use super::btf::{Btf, Walk};
use super::layout::SCRATCH_1;
use super::load::verifier_accepts;
use Reg::{R0, R1, R2, R3, R6, R10};

/// How the program obtains the address of the current task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskPointer {
    /// With its type, so that the program may load from it.
    Typed,
    /// As a number.
    Untyped,
}

impl TaskPointer {
    fn detect() -> Self {
        let is_typed = verifier_accepts(|asm| asm.call(uapi::BPF_FUNC_get_current_task_btf));
        if is_typed { Self::Typed } else { Self::Untyped }
    }

    /// Emits code that loads the address to `R6`.
    pub(super) fn load(self, asm: &mut Assembler) {
        asm.call(match self {
            Self::Typed => uapi::BPF_FUNC_get_current_task_btf,
            Self::Untyped => uapi::BPF_FUNC_get_current_task,
        });
        asm.mov(R6, R0);
    }
}

/// What the program may read, and where.
#[derive(Debug)]
pub(super) struct KernelMemory {
    /// How the program obtains the current task, and the types of the kernel. `None` if the program
    /// may not read memory, or if the kernel was built without type information.
    access: Option<(TaskPointer, Btf)>,
    trust: Trust,
}

/// Whether to try each value on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The kernel accepts all ways to a value of which it has the types. Most kernels do, and trying
    /// them takes about a millisecond each.
    All,
    /// Try whether the kernel accepts each way.
    Nothing,
}

impl KernelMemory {
    /// Detects the access that this process can give to a program.
    pub(super) fn detect(trust: Trust) -> Self {
        let access = || {
            can_read_memory().then(|| Some((TaskPointer::detect(), Btf::of_running_kernel()?)))?
        };
        Self { access: access(), trust }
    }

    pub(super) fn pointer(&self) -> Option<TaskPointer> {
        self.access.as_ref().map(|&(pointer, _)| pointer)
    }

    pub(super) fn types(&self) -> Option<&Btf> {
        self.access.as_ref().map(|(_, btf)| btf)
    }

    /// The member of `task_struct` with this [path](Btf::walk). `None` if the kernel has no such
    /// member, or does not let the program read it.
    pub(super) fn member(&self, path: &str) -> Option<TaskMember> {
        let (pointer, btf) = self.access.as_ref()?;
        TaskMember::find(btf, *pointer, path, self.trust)
    }
}

/// Whether the program may read the memory of the kernel and of the current process.
fn can_read_memory() -> bool {
    verifier_accepts(|asm| {
        asm.call(uapi::BPF_FUNC_get_current_task);
        for helper in [uapi::BPF_FUNC_probe_read_kernel, uapi::BPF_FUNC_probe_read_user] {
            asm.mov(R1, R10);
            asm.alu(Width::W64, Alu::Add, R1, i32::from(SCRATCH_1));
            asm.mov(R2, 8);
            asm.mov(R3, 0);
            asm.call(helper);
        }
    })
}

/// A value of the current task in kernel memory, and how the program reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TaskMember {
    walk: Walk,
    is_typed: bool,
}

impl TaskMember {
    fn find(btf: &Btf, pointer: TaskPointer, path: &str, trust: Trust) -> Option<Self> {
        let walk = btf.walk("task_struct", path)?;
        [true, false].into_iter().filter(|&typed| !typed || pointer == TaskPointer::Typed).find_map(
            |is_typed| {
                let member = Self { walk: walk.clone(), is_typed };
                if trust == Trust::All {
                    return Some(member);
                }
                let accepted = verifier_accepts(|asm| {
                    pointer.load(asm);
                    let missing = asm.label();
                    member.load(asm, missing);
                    asm.bind(missing);
                });
                accepted.then_some(member)
            },
        )
    }

    /// The same value, read with a helper. That costs the program more time, and the verifier less.
    pub(super) fn probed(self) -> Self {
        Self { is_typed: false, ..self }
    }

    /// Emits code that loads the value, or the address of a struct or array, to `R1`. `R6` holds the
    /// address of the task. Jumps to `missing` if a pointer on the way is null or cannot be read.
    ///
    /// The code clobbers `R0` to `R5`.
    pub(super) fn load(&self, asm: &mut Assembler, missing: Label) {
        let Walk { pointers, offset, size } = &self.walk;
        let mut from = R6;
        let remembered = asm.remembered_pointer(pointers);
        if let Some((_, at)) = remembered {
            asm.load(Size::Double, R1, R10, at);
            from = R1;
        }
        let known = remembered.map_or(0, |(len, _)| len);
        for &pointer in &pointers[known..] {
            if self.is_typed {
                asm.load(Size::Double, R1, from, pointer);
            } else {
                probe(asm, from, pointer, Size::Double, missing);
            }
            asm.branch(Width::W64, Cond::Eq, R1, 0, missing);
            from = R1;
        }
        match *size {
            Some(size) if self.is_typed => asm.load(size, R1, from, *offset),
            Some(size) => probe(asm, from, *offset, size, missing),
            None => {
                asm.mov(R1, from);
                asm.alu(Width::W64, Alu::Add, R1, i32::from(*offset));
            }
        }
    }

    /// Emits code that stores a pointer on the stack, at the offset `at` from `R10`. Members behind it
    /// are then read from there. Jumps to `missing` if it is null.
    ///
    /// This saves loads, and much of the verifier's time: Linux 6.18 searches all of its types by name
    /// for each load of a typed pointer.
    pub(super) fn remember(&self, asm: &mut Assembler, at: i16, missing: Label) {
        self.load(asm, missing);
        asm.branch(Width::W64, Cond::Eq, R1, 0, missing);
        asm.store(Size::Double, R10, at, R1);
        let mut way = self.walk.pointers.clone();
        way.push(self.walk.offset);
        asm.remember_pointer(way, at);
    }

    /// Emits code that loads the value to `R1`, or 0 if it is missing.
    pub(super) fn load_or_zero(&self, asm: &mut Assembler) {
        let (missing, done) = (asm.label(), asm.label());
        self.load(asm, missing);
        let is_behind_known = asm
            .remembered_pointer(&self.walk.pointers)
            .is_some_and(|(len, _)| len == self.walk.pointers.len());
        if self.is_typed && (self.walk.pointers.is_empty() || is_behind_known) {
            asm.bind(missing);
            return;
        }
        asm.jump(done);
        asm.bind(missing);
        asm.mov(R1, 0);
        asm.bind(done);
    }

    /// Emits code that stores the value, or 0 if it is missing, to `base + at` with `width`.
    pub(super) fn store(&self, asm: &mut Assembler, width: Size, base: Reg, at: i16) {
        self.load_or_zero(asm);
        asm.store(width, base, at, R1);
    }
}

/// Emits code that reads kernel memory at `from + offset` to `R1`, and jumps to `failed` if that
/// fails.
pub(super) fn probe(asm: &mut Assembler, from: Reg, offset: i16, size: Size, failed: Label) {
    asm.mov(R3, from);
    asm.alu(Width::W64, Alu::Add, R3, i32::from(offset));
    asm.mov(R1, R10);
    asm.alu(Width::W64, Alu::Add, R1, i32::from(SCRATCH_1));
    asm.mov(R2, size.bytes());
    asm.call(uapi::BPF_FUNC_probe_read_kernel);
    asm.branch(Width::W64, Cond::Ne, R0, 0, failed);
    asm.load(size, R1, R10, SCRATCH_1);
}

/// Emits code that jumps to `to` if the word at `base + at` has any of these bits.
pub(super) fn branch_if_set(asm: &mut Assembler, base: Reg, at: i16, bits: u32, to: Label) {
    asm.load(Size::Word, R1, base, at);
    asm.branch(Width::W32, Cond::Set, R1, imm(bits), to);
}
