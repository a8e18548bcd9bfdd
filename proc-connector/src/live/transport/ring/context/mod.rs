//! The part of the program that records the acting task.
//!
//! | file | contents |
//! |---|---|
//! | `identity` | the identity of the process, its parent, and the child of a fork |
//! | `task` | names, users, session, terminal and namespace of the task |
//! | `exit` | end and usage of a process |
//! | `exec`, `paths`, `env` | the program of an exec |
//! | `parts` | the places of the parts of a record |

mod env;
mod exec;
mod exit;
mod identity;
mod parts;
mod paths;
mod task;

use std::fmt;

use proc_connector_core::context::layout::{Recorded, UsageHdr};
use proc_connector_sys as uapi;

use self::exec::{Exec, MAX_TAIL_LEN};
use self::exit::Exit;
use self::identity::Identity;
pub(crate) use self::parts::Wants;
use self::parts::{AFTER_TASK, EXEC_TAIL, EXTENSION, PROCESS_USAGE, RECORDED, load_tail_len};
pub(super) use self::parts::{DETAIL, EXIT_STATE, START, TGID, branch_unless};
use self::task::Task;
use super::asm::{Alu, Assembler, Label, Reg, Size, Width, imm, len_imm};
use super::memory::{KernelMemory, TaskPointer};
use Reg::{R3, R7};

/// Which properties of the acting task records contain, and how the program reads each.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContextPlan {
    pointer: Option<TaskPointer>,
    identity: Identity,
    exit: Option<Exit>,
    /// The parts after the identity.
    extension: Option<Extension>,
}

#[derive(Clone, Debug)]
struct Extension {
    task: Task,
    exec: Exec,
}

/// The length of the longest record.
pub(super) const MAX_RECORD_LEN: usize = EXEC_TAIL + MAX_TAIL_LEN;

impl ContextPlan {
    /// Detects which properties the program can read on this kernel.
    ///
    /// With `None`, only the identity is recorded.
    pub(super) fn new(memory: &KernelMemory, wants: Option<&Wants>) -> Self {
        Self {
            pointer: memory.pointer(),
            identity: Identity::detect(memory),
            exit: Exit::detect(memory, wants.is_some()),
            extension: wants.map(|wants| Extension {
                task: Task::detect(memory),
                exec: Exec::detect(memory, wants),
            }),
        }
    }

    /// The plan without the helpers that older kernels lack.
    #[cfg(test)]
    pub(super) fn without_helpers(self, memory: &KernelMemory) -> Self {
        let extension = self.extension.map(|extension| Extension {
            task: extension.task.without_helpers(memory),
            exec: extension.exec,
        });
        Self { extension, ..self }
    }

    /// The parts after the identity that records contain.
    pub(super) fn available(&self) -> Recorded {
        let Some(Extension { task, exec }) = &self.extension else { return Recorded::empty() };
        let mut all = task.recorded() | exec.recorded();
        let has_usage = self.exit.as_ref().is_some_and(Exit::has_usage);
        all.set(Recorded::USAGE | Recorded::PROCESS_USAGE, has_usage);
        all
    }

    /// Whether records of all events identify the process, and those of exits have its end.
    pub(crate) fn has_ends(&self) -> bool {
        self.identity.has_start() && self.exit.is_some()
    }

    /// Whether records have parts after the identity.
    pub(super) fn is_extended(&self) -> bool {
        self.extension.is_some()
    }

    /// The length in bytes of most records.
    pub(super) const fn record_len(&self) -> usize {
        if self.extension.is_some() { AFTER_TASK } else { EXTENSION }
    }

    /// Emits code that loads the address of the task to `R6`, and stores other pointers on the stack.
    /// Jumps to `missing` if one is null.
    pub(super) fn load_task(&self, asm: &mut Assembler, missing: Label) {
        if let Some(pointer) = self.pointer {
            pointer.load(asm);
            self.identity.remember_pointers(asm, missing);
        }
    }

    /// Emits code that fills in the identity in the record in `R7`, and whether the process of an
    /// exit is over. [`load_task`](Self::load_task) precedes it.
    pub(super) fn fill_identity(&self, asm: &mut Assembler) {
        self.identity.fill(asm);
        let Some(exit) = self.exit.as_ref().filter(|_| self.extension.is_none()) else { return };
        let done = asm.label();
        branch_unless(asm, uapi::PROC_EVENT_EXIT, done);
        exit.fill_state(asm, done);
        asm.bind(done);
    }

    /// Emits code that fills in whether the process of an exit is over, if the record of the event is
    /// not completed.
    pub(super) fn fill_dropped_exit(&self, asm: &mut Assembler) {
        let Some(exit) = self.exit.as_ref().filter(|_| self.extension.is_some()) else { return };
        let done = asm.label();
        branch_unless(asm, uapi::PROC_EVENT_EXIT, done);
        exit.fill_state(asm, done);
        asm.bind(done);
    }

    /// Emits code that fills in the parts after the identity. The length of the record is in `R3` at
    /// the end.
    pub(super) fn fill_extension(&self, asm: &mut Assembler) {
        let Some(Extension { task, exec }) = &self.extension else { return };
        let (not_exit, over, done) = (asm.label(), asm.label(), asm.label());
        asm.store(Size::Double, R7, RECORDED, imm(task.recorded().bits()));
        task.fill(asm);

        branch_unless(asm, uapi::PROC_EVENT_EXIT, not_exit);
        if let Some(exit) = &self.exit {
            exit.fill_usage(asm);
            exit.fill_state(asm, over);
            asm.mov(R3, len_imm(if exit.has_usage() { PROCESS_USAGE.0 } else { AFTER_TASK }));
            asm.jump(done);
            asm.bind(over);
            exit.fill_process_usage(asm);
            if exit.has_usage() {
                let has_sums = asm.label();
                asm.mov(R3, len_imm(PROCESS_USAGE.0 + size_of::<UsageHdr>()));
                super::memory::branch_if_set(
                    asm,
                    R7,
                    RECORDED,
                    Recorded::PROCESS_USAGE.bits(),
                    has_sums,
                );
                asm.mov(R3, len_imm(PROCESS_USAGE.0));
                asm.bind(has_sums);
            } else {
                asm.mov(R3, len_imm(AFTER_TASK));
            }
        } else {
            asm.bind(over);
            asm.mov(R3, len_imm(AFTER_TASK));
        }
        asm.jump(done);

        asm.bind(not_exit);
        let other = asm.label();
        branch_unless(asm, uapi::PROC_EVENT_EXEC, other);
        exec.fill(asm);
        load_tail_len(asm, R3, MAX_TAIL_LEN, other);
        asm.alu(Width::W64, Alu::Add, R3, len_imm(EXEC_TAIL));
        asm.jump(done);
        asm.bind(other);
        asm.mov(R3, len_imm(AFTER_TASK));
        asm.bind(done);
    }
}

/// Lists the properties that records contain, and those that they lack.
impl fmt::Display for ContextPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let available = self.available();
        let mut parts = vec![
            (self.identity.has_start(), "identity"),
            (self.identity.has_child_start(), "child of a fork"),
            (self.exit.is_some(), "end of the process"),
        ];
        let optional = [
            (Recorded::COMM, "name"),
            (Recorded::PID_TGID, "ids"),
            (Recorded::UID_GID, "user and group"),
            (Recorded::EUID_EGID, "effective user and group"),
            (Recorded::SESSION, "session"),
            (Recorded::TTY, "terminal"),
            (Recorded::AUDIT, "login user"),
            (Recorded::PID_NS, "pid namespace"),
            (Recorded::CGROUP_ID, "cgroup"),
            (Recorded::BOOT_NS, "boot time"),
            (Recorded::PROCESS_USAGE, "usage"),
            (Recorded::PROGRAM, "program file"),
            (Recorded::FILENAME, "file name"),
            (Recorded::ARGS, "arguments"),
            (Recorded::EXE, "path of the program"),
            (Recorded::CWD, "working directory"),
            (Recorded::ENV, "environment"),
        ];
        if self.is_extended() {
            parts.extend(optional.map(|(part, name)| (available.contains(part), name)));
        }
        let (present, missing): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|&(available, _)| available);
        let list = |parts: Vec<(bool, &'static str)>| {
            parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(", ")
        };
        f.write_str(&list(present))?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; not available: {}", list(missing)) }
    }
}
