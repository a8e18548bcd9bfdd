//! At an exec: the program's file, the name by which it was executed, and its arguments.
//!
//! The kernel puts the strings of a new program at the top of its stack: the arguments, the
//! environment, and the name of the executed file, each directly after the other (`bprm_execve` and
//! `copy_strings` in `fs/exec.c`). So the name is at `env_end`.

use std::mem::offset_of;

use proc_connector_core::context::layout::{ExecHdr, Recorded};
use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Reg, Size, Width, len_imm};
use super::super::layout::{POINTER_1, POINTER_2, POINTER_3, POINTER_4, SCRATCH_2};
use super::super::memory::{KernelMemory, TaskMember};
use super::env::{ENV_LEN, Environment};
use super::parts::{EXEC, EXEC_TAIL, TAIL_LEN, Wants, add_recorded, load_tail_len};
use super::paths::{PATH_LEN, Path};
use Reg::{R0, R1, R2, R3, R7, R10};

/// The most bytes of arguments in a record. Longer ones are cut.
pub(super) const MAX_ARGS_LEN: usize = 32 << 10;

/// The most bytes of a file name in a record, with its NUL (`PATH_MAX`).
const FILENAME_LEN: usize = 4096;

/// The upper limit of the variable parts.
pub(super) const MAX_TAIL_LEN: usize = AFTER_PATHS + ENV_LEN;
const AFTER_FILENAME: usize = MAX_ARGS_LEN + FILENAME_LEN;
const AFTER_PATHS: usize = AFTER_FILENAME + 2 * PATH_LEN;

/// How the program reads the properties of an executed program.
#[derive(Clone, Debug)]
pub(super) struct Exec {
    file: Option<File>,
    mm: Option<TaskMember>,
    strings: Option<Strings>,
    exe: Option<Path>,
    cwd: Option<Path>,
    environment: Option<Environment>,
    args_len: usize,
}

/// The file of the program.
#[derive(Clone, Debug)]
struct File {
    /// The address of the `struct file`.
    address: TaskMember,
    inode: TaskMember,
    dev: TaskMember,
    ino: TaskMember,
    nlink: TaskMember,
    ctime_sec: TaskMember,
    ctime_nsec: TaskMember,
    /// The directory entry, its parent, and its link in the table of entries, which is null after
    /// its removal.
    dentry: TaskMember,
    parent: TaskMember,
    hashed: TaskMember,
}

/// The strings on the stack.
#[derive(Clone, Debug)]
struct Strings {
    arg_start: TaskMember,
    arg_end: TaskMember,
    env_end: TaskMember,
}

/// The bits of `i_ctime_nsec` in use: newer kernels keep a flag in the highest bit.
const NSEC_BITS: i32 = 0x3fff_ffff;

impl Exec {
    pub(super) fn detect(memory: &KernelMemory, wants: &Wants) -> Self {
        let member = |path: &str| memory.member(path);
        let strings = || {
            Some(Strings {
                arg_start: member("mm->arg_start")?,
                arg_end: member("mm->arg_end")?,
                env_end: member("mm->env_end")?,
            })
        };
        let file = || {
            let inode = |path: &str| member(&format!("mm->exe_file->f_inode->{path}"));
            let dentry = |path: &str| member(&format!("mm->exe_file->f_path.dentry{path}"));
            let either = |paths: [&str; 3]| paths.into_iter().find_map(inode);
            Some(File {
                address: member("mm->exe_file")?,
                inode: member("mm->exe_file->f_inode")?,
                dev: inode("i_sb->s_dev")?,
                ino: inode("i_ino")?,
                nlink: inode("i_nlink")?,
                ctime_sec: either(["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"])?,
                ctime_nsec: either(["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"])?,
                dentry: dentry("")?,
                parent: dentry("->d_parent")?,
                hashed: dentry("->d_hash.pprev")?,
            })
        };
        Self {
            file: file(),
            mm: member("mm"),
            strings: strings(),
            exe: Path::exe(memory),
            cwd: if wants.cwd { Path::cwd(memory) } else { None },
            environment: Environment::detect(memory, &wants.variables),
            args_len: wants.args_len.min(MAX_ARGS_LEN),
        }
    }

    /// The parts that records contain.
    pub(super) fn recorded(&self) -> Recorded {
        let mut recorded = Recorded::empty();
        recorded.set(Recorded::PROGRAM, self.file.is_some());
        recorded.set(Recorded::FILENAME, self.strings.is_some());
        recorded.set(Recorded::ARGS, self.strings.is_some() && self.args_len > 0);
        recorded.set(Recorded::ENV, self.environment.is_some());
        self.exe.iter().chain(&self.cwd).fold(recorded, |all, path| all | path.recorded())
    }

    /// Emits code that fills in the `ExecHdr` of the record in `R7`, and the parts after it. Their
    /// length is in `R7 + TAIL_LEN` at the end.
    pub(super) fn fill(&self, asm: &mut Assembler) {
        for at in (0..size_of::<ExecHdr>()).step_by(8) {
            asm.store(Size::Double, R7, EXEC.at(at), 0);
        }
        add_recorded(asm, Recorded::EXEC);
        asm.store(Size::Double, R7, TAIL_LEN, 0);
        let (no_memory, remembered) = (asm.label(), asm.remembered_pointers());
        if let Some(mm) = &self.mm {
            mm.remember(asm, POINTER_1, no_memory);
        }
        if let Some(file) = &self.file {
            file.fill(asm);
        }
        if let Some(strings) = &self.strings {
            if self.args_len > 0 {
                strings.fill_args(asm, self.args_len);
            }
            strings.fill_filename(asm);
        }
        if let Some(exe) = &self.exe {
            exe.fill(asm, AFTER_FILENAME);
        }
        if let Some(cwd) = &self.cwd {
            cwd.fill(asm, AFTER_FILENAME + PATH_LEN);
        }
        if let Some(environment) = &self.environment {
            environment.fill(asm, AFTER_PATHS);
        }
        asm.bind(no_memory);
        asm.forget_pointers(remembered);
    }
}

impl File {
    fn fill(&self, asm: &mut Assembler) {
        let at = |field| EXEC.at(field);
        let (unknown, linked, has_name) = (asm.label(), asm.label(), asm.label());
        let remembered = asm.remembered_pointers();
        self.address.remember(asm, POINTER_2, unknown);
        self.inode.remember(asm, POINTER_3, unknown);
        self.ino.load(asm, unknown);
        asm.store(Size::Double, R7, at(offset_of!(ExecHdr, ino)), R1);
        self.dev.load(asm, unknown);
        asm.store(Size::Word, R7, at(offset_of!(ExecHdr, dev)), R1);
        self.nlink.load(asm, unknown);
        asm.store(Size::Word, R7, at(offset_of!(ExecHdr, nlink)), R1);
        self.ctime_sec.load(asm, unknown);
        asm.store(Size::Double, R7, at(offset_of!(ExecHdr, ctime_sec)), R1);
        self.ctime_nsec.load(asm, unknown);
        asm.alu(Width::W64, Alu::And, R1, NSEC_BITS);
        asm.store(Size::Word, R7, at(offset_of!(ExecHdr, ctime_nsec)), R1);
        self.dentry.remember(asm, POINTER_4, unknown);
        self.hashed.load(asm, unknown);
        asm.branch(Width::W64, Cond::Ne, R1, 0, linked);
        set_flag(asm, ExecHdr::UNHASHED);
        asm.bind(linked);
        self.parent.load(asm, unknown);
        asm.load(Size::Double, R2, R10, POINTER_4);
        asm.branch(Width::W64, Cond::Ne, R1, R2, has_name);
        set_flag(asm, ExecHdr::ROOT);
        asm.bind(has_name);
        add_recorded(asm, Recorded::PROGRAM);
        asm.bind(unknown);
        asm.forget_pointers(remembered);
    }
}

fn set_flag(asm: &mut Assembler, flag: u32) {
    let at = EXEC.at(offset_of!(ExecHdr, flags));
    asm.load(Size::Word, R1, R7, at);
    asm.alu(Width::W32, Alu::Or, R1, super::super::asm::imm(flag));
    asm.store(Size::Word, R7, at, R1);
}

impl Strings {
    /// Emits code that copies the arguments from the memory of the process. If that fails, the record
    /// has none.
    ///
    /// The copy ends at `arg_end`. A longer read could cross the top of the stack and fail.
    fn fill_args(&self, asm: &mut Assembler, args_len: usize) {
        let (failed, whole) = (asm.label(), asm.label());
        let len_at = EXEC.at(offset_of!(ExecHdr, args_len));
        self.arg_start.load(asm, failed);
        asm.store(Size::Double, R10, SCRATCH_2, R1);
        self.arg_end.load(asm, failed);
        asm.load(Size::Double, R3, R10, SCRATCH_2);
        asm.mov(R2, R1);
        asm.alu(Width::W64, Alu::Sub, R2, R3);
        asm.branch(Width::W64, Cond::Le, R2, len_imm(args_len), whole);
        add_recorded(asm, Recorded::ARGS_CUT);
        asm.mov(R2, len_imm(args_len));
        asm.bind(whole);
        asm.store(Size::Double, R7, TAIL_LEN, R2);
        asm.mov(R1, R7);
        asm.alu(Width::W64, Alu::Add, R1, len_imm(EXEC_TAIL));
        asm.load(Size::Double, R3, R10, SCRATCH_2);
        asm.call(uapi::BPF_FUNC_probe_read_user);
        let read = asm.label();
        asm.branch(Width::W64, Cond::Eq, R0, 0, read);
        asm.store(Size::Double, R7, TAIL_LEN, 0);
        asm.jump(failed);
        asm.bind(read);
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.store(Size::Word, R7, len_at, R1);
        add_recorded(asm, Recorded::ARGS);
        asm.bind(failed);
    }

    /// Emits code that copies the name of the executed file.
    fn fill_filename(&self, asm: &mut Assembler) {
        let failed = asm.label();
        self.env_end.load(asm, failed);
        asm.mov(R3, R1);
        load_tail_len(asm, R1, MAX_ARGS_LEN, failed);
        asm.alu(Width::W64, Alu::Add, R1, R7);
        asm.alu(Width::W64, Alu::Add, R1, len_imm(EXEC_TAIL));
        asm.mov(R2, len_imm(FILENAME_LEN));
        asm.call(uapi::BPF_FUNC_probe_read_user_str);
        // The length with the NUL, or an error.
        asm.alu(Width::W64, Alu::Sub, R0, 1);
        asm.branch(Width::W64, Cond::Ge, R0, len_imm(FILENAME_LEN), failed);
        asm.store(Size::Word, R7, EXEC.at(offset_of!(ExecHdr, filename_len)), R0);
        asm.load(Size::Double, R1, R7, TAIL_LEN);
        asm.alu(Width::W64, Alu::Add, R1, R0);
        asm.store(Size::Double, R7, TAIL_LEN, R1);
        add_recorded(asm, Recorded::FILENAME);
        asm.bind(failed);
    }
}
