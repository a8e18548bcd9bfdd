//! At an exec: paths of the executable and of the working directory.
//!
//! The program walks from an entry to the root of the mount tree, as `prepend_path` in `fs/d_path.c`
//! does, and appends the name of each entry to the record. A path that is deeper or longer than the
//! limits is not recorded.

use std::mem::offset_of;

use proc_connector_core::context::layout::{ExecHdr, Recorded};
use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, len_imm};
use super::super::layout::{SCRATCH_2, variable};
use super::super::memory::{KernelMemory, TaskMember, probe};
use super::parts::{EXEC, EXEC_TAIL, TAIL_LEN, add_recorded, load_tail_len};
use Reg::{R0, R1, R2, R3, R7, R10};

/// The most bytes of a path in a record, with a NUL after each name.
pub(super) const PATH_LEN: usize = 4096;

/// The most bytes of a name with its NUL (`NAME_MAX`).
const NAME_LEN: usize = 256;

/// The most directories and mounts in a path.
const MAX_STEPS: i32 = 64;

/// How the program reads a path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    what: Recorded,
    /// Offset in the `ExecHdr` of the length.
    len_at: usize,
    /// The directory entry to start from, and its mount.
    dentry: TaskMember,
    mnt: TaskMember,
    offsets: Offsets,
}

#[derive(Clone, Copy, Debug)]
struct Offsets {
    // In `struct dentry`.
    d_parent: i16,
    name: i16,
    /// In `struct vfsmount`.
    mnt_root: i16,
    // In `struct mount`, from the `struct vfsmount` in it.
    mnt_parent: i16,
    mnt_mountpoint: i16,
    /// From a `struct mount` to the `struct vfsmount` in it.
    mnt: i16,
}

/// Variables in front of the record: the entry, its mount, and the length of the parts before the
/// path.
const DENTRY: i16 = variable(1);
const MNT: i16 = variable(2);
const START: i16 = variable(3);

/// On the stack: the number of steps that are left. The verifier follows it to the end of the loop.
const STEPS: i16 = SCRATCH_2;

impl Path {
    /// The path of the executable.
    pub(super) fn exe(memory: &KernelMemory) -> Option<Self> {
        let (dentry, mnt) = ("mm->exe_file->f_path.dentry", "mm->exe_file->f_path.mnt");
        Self::detect(memory, Recorded::EXE, offset_of!(ExecHdr, exe_len), dentry, mnt)
    }

    /// The path of the working directory.
    pub(super) fn cwd(memory: &KernelMemory) -> Option<Self> {
        let (dentry, mnt) = ("fs->pwd.dentry", "fs->pwd.mnt");
        Self::detect(memory, Recorded::CWD, offset_of!(ExecHdr, cwd_len), dentry, mnt)
    }

    fn detect(
        memory: &KernelMemory,
        what: Recorded,
        len_at: usize,
        dentry: &str,
        mnt: &str,
    ) -> Option<Self> {
        let types = memory.types()?;
        let offset = |of, member| i16::try_from(types.offset(of, member)?).ok();
        let inner = offset("mount", "mnt")?;
        let offsets = Offsets {
            d_parent: offset("dentry", "d_parent")?,
            name: offset("dentry", "d_name.name")?,
            mnt_root: offset("vfsmount", "mnt_root")?,
            mnt_parent: offset("mount", "mnt_parent")? - inner,
            mnt_mountpoint: offset("mount", "mnt_mountpoint")? - inner,
            mnt: inner,
        };
        Some(Self {
            what,
            len_at,
            dentry: memory.member(dentry)?,
            mnt: memory.member(mnt)?,
            offsets,
        })
    }

    pub(super) fn recorded(&self) -> Recorded {
        self.what
    }

    /// Emits code that appends the path to the record in `R7`. `limit` is the most bytes of the parts
    /// before it.
    pub(super) fn fill(&self, asm: &mut Assembler, limit: usize) {
        let Offsets { d_parent, mnt_root, mnt_parent, mnt_mountpoint, mnt, .. } = self.offsets;
        let (step, next, in_mount, in_directory, complete, failed, done) = (
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
            asm.label(),
        );
        load_tail_len(asm, R1, limit, done);
        asm.store(Size::Double, R7, START, R1);
        self.dentry.load(asm, done);
        asm.store(Size::Double, R7, DENTRY, R1);
        self.mnt.load(asm, done);
        asm.store(Size::Double, R7, MNT, R1);
        asm.store(Size::Double, R10, STEPS, MAX_STEPS);

        asm.bind(step);
        asm.load(Size::Double, R1, R7, MNT);
        probe(asm, R1, mnt_root, Size::Double, failed);
        asm.load(Size::Double, R2, R7, DENTRY);
        asm.branch(Width::W64, Cond::Ne, R1, R2, in_mount);

        // The root of a mount continues at its mount point, unless nothing contains the mount.
        asm.load(Size::Double, R1, R7, MNT);
        probe(asm, R1, mnt_parent, Size::Double, failed);
        asm.alu(Width::W64, Alu::Add, R1, i32::from(mnt));
        asm.load(Size::Double, R2, R7, MNT);
        asm.branch(Width::W64, Cond::Eq, R1, R2, complete);
        asm.store(Size::Double, R7, MNT, R1);
        asm.mov(R1, R2);
        probe(asm, R1, mnt_mountpoint, Size::Double, failed);
        asm.store(Size::Double, R7, DENTRY, R1);
        asm.jump(next);

        asm.bind(in_mount);
        asm.load(Size::Double, R1, R7, DENTRY);
        probe(asm, R1, d_parent, Size::Double, failed);
        asm.load(Size::Double, R2, R7, DENTRY);
        asm.store(Size::Double, R7, DENTRY, R1);
        asm.branch(Width::W64, Cond::Ne, R1, R2, in_directory);
        // An entry without a parent belongs to no mount: an anonymous file, whose path is its name.
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.load(Size::Double, R3, R7, START);
        asm.branch(Width::W64, Cond::Ne, R1, R3, failed);
        self.append_name(asm, R2, limit, failed);
        asm.jump(complete);
        asm.bind(in_directory);
        self.append_name(asm, R2, limit, failed);

        asm.bind(next);
        asm.load(Size::Double, R1, R10, STEPS);
        asm.alu(Width::W64, Alu::Sub, R1, 1);
        asm.store(Size::Double, R10, STEPS, R1);
        asm.branch(Width::W64, Cond::Ne, R1, 0, step);

        asm.bind(failed);
        load_tail_len(asm, R1, limit + PATH_LEN, done);
        asm.load(Size::Double, R1, R7, START);
        asm.store(Size::Double, R7, TAIL_LEN, R1);
        asm.jump(done);

        asm.bind(complete);
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.load(Size::Double, R2, R7, START);
        asm.alu(Width::W64, Alu::Sub, R1, R2);
        asm.store(Size::Word, R7, EXEC.at(self.len_at), R1);
        add_recorded(asm, self.what);
        asm.bind(done);
    }

    /// Emits code that appends the name of the entry at `dentry`.
    fn append_name(&self, asm: &mut Assembler, dentry: Reg, limit: usize, failed: Label) {
        probe(asm, dentry, self.offsets.name, Size::Double, failed);
        asm.mov(R3, R1);
        load_tail_len(asm, R1, limit + PATH_LEN - NAME_LEN, failed);
        asm.alu(Width::W64, Alu::Add, R1, R7);
        asm.alu(Width::W64, Alu::Add, R1, len_imm(EXEC_TAIL));
        asm.mov(R2, len_imm(NAME_LEN));
        asm.call(uapi::BPF_FUNC_probe_read_kernel_str);
        // An error is a negative number, which is a large unsigned one.
        asm.branch(Width::W64, Cond::Gt, R0, len_imm(NAME_LEN), failed);
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.alu(Width::W64, Alu::Add, R1, R0);
        asm.store(Size::Double, R7, TAIL_LEN, R1);
    }
}
