//! At an exit: whether the process is over, its status, and what the thread and the process used.
//!
//! A process is over when none of its threads will use anything any more. The kernel removes each
//! thread but the first from `signal->nr_threads` before it sends the event of its exit, and adds its
//! usage to the sums in `signal_struct` at the same time (`__exit_signal` in `kernel/exit.c`). The
//! first thread stays until the parent has waited for the process. So the process is over
//!
//! - at the exit of the first thread, if it is the only one left;
//! - at the exit of another thread, if at most the first is left, and has become a zombie.
//!
//! Both can hold for two threads that exit at the same time. The sums are then complete in both
//! events.

use std::mem::offset_of;

use proc_connector_core::context::layout::{ExitHdr, Recorded, UsageHdr};

use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, imm};
use super::super::layout::{DATAGRAM, SCRATCH_2, SCRATCH_3, offset};
use super::super::memory::{KernelMemory, TaskMember};
use super::parts::{DETAIL, PROCESS_USAGE, USAGE, add_recorded};
use Reg::{R1, R2, R7, R10};

/// How the program reads the state of the process.
#[derive(Clone, Debug)]
pub(super) struct Exit {
    /// Threads that have not begun to exit.
    live: TaskMember,
    /// Threads that the kernel has not removed.
    nr_threads: TaskMember,
    /// Nonzero once the first thread is a zombie.
    leader_exit_state: TaskMember,
    leader_pid: TaskMember,
    signal_flags: TaskMember,
    group_exit_code: TaskMember,
    leader_exit_code: TaskMember,
    usage: Option<ProcessUsage>,
}

/// How the program reads the usage.
#[derive(Clone, Debug)]
struct ProcessUsage {
    /// The counter of the lock that the kernel holds while it changes the sums: odd meanwhile.
    sequence: TaskMember,
    /// Pages.
    max_rss: TaskMember,
    counters: Vec<Counter>,
}

#[derive(Clone, Debug)]
struct Counter {
    /// Offset in a `UsageHdr`.
    at: usize,
    /// Of the current thread.
    own: TaskMember,
    /// Of the first thread.
    leader: TaskMember,
    /// Of the threads that were removed.
    sum: TaskMember,
}

/// A flag of `signal_struct` (`include/linux/sched/signal.h`): the exit code is that of the process.
const SIGNAL_GROUP_EXIT: u32 = 4;

/// How often the program reads the sums again because the kernel changed them meanwhile.
const ATTEMPTS: usize = 3;

/// How often before each attempt the program looks whether the kernel has finished changing the sums.
/// A look takes some 30 ns. The kernel holds the lock for longer than that, because it also removes
/// the process id.
const LOOKS: i32 = 12;

/// Offsets in the datagram.
const PROCESS_PID: i16 = 52;
const PROCESS_TGID: i16 = 56;

const STATE: i16 = DETAIL + offset(offset_of!(ExitHdr, state));
const STATUS: i16 = DETAIL + offset(offset_of!(ExitHdr, status));

impl Exit {
    pub(super) fn detect(memory: &KernelMemory, with_usage: bool) -> Option<Self> {
        let member = |path| memory.member(path);
        Some(Self {
            live: member("signal->live.counter")?,
            nr_threads: member("signal->nr_threads")?,
            leader_exit_state: member("group_leader->exit_state")?,
            leader_pid: member("group_leader->pid")?,
            signal_flags: member("signal->flags")?,
            group_exit_code: member("signal->group_exit_code")?,
            leader_exit_code: member("group_leader->exit_code")?,
            usage: if with_usage { ProcessUsage::detect(memory) } else { None },
        })
    }

    pub(super) fn has_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// Emits code that stores the state and the status. Jumps to `over` if the process is over, and
    /// falls through otherwise.
    pub(super) fn fill_state(&self, asm: &mut Assembler, over: Label) {
        let (done, ending, is_leader, is_over) =
            (asm.label(), asm.label(), asm.label(), asm.label());
        self.live.load(asm, done);
        asm.store(Size::Word, R7, STATE, imm(ExitHdr::CONTINUES));
        asm.branch(Width::W32, Cond::Ne, R1, 0, done);
        self.fill_status(asm);
        self.nr_threads.load(asm, ending);
        asm.branch(Width::W32, Cond::Gt, R1, 1, ending);
        // Without any thread, the first thread may already be freed.
        asm.branch(Width::W32, Cond::Eq, R1, 0, is_over);
        branch_if_leader(asm, is_leader);
        // A thread that exited before an exec of another thread still points to the first thread of
        // that time, which the exec replaced (`de_thread`). The new first thread reports the end.
        self.leader_pid.load(asm, ending);
        asm.load(Size::Word, R2, R10, DATAGRAM + PROCESS_TGID);
        asm.branch(Width::W32, Cond::Ne, R1, R2, ending);
        self.leader_exit_state.load(asm, ending);
        asm.branch(Width::W32, Cond::Eq, R1, 0, ending);
        asm.bind(is_leader);
        asm.bind(is_over);
        asm.store(Size::Word, R7, STATE, imm(ExitHdr::OVER));
        asm.jump(over);
        asm.bind(ending);
        asm.store(Size::Word, R7, STATE, imm(ExitHdr::ENDING));
        asm.bind(done);
    }

    /// Emits code that stores the wait status. Before Linux 5.19, a process whose threads ended one
    /// by one has the code of its first thread.
    fn fill_status(&self, asm: &mut Assembler) {
        let (group, unknown, store) = (asm.label(), asm.label(), asm.label());
        self.signal_flags.load(asm, unknown);
        asm.branch(Width::W32, Cond::Set, R1, imm(SIGNAL_GROUP_EXIT), group);
        self.leader_exit_code.load(asm, unknown);
        asm.jump(store);
        asm.bind(group);
        self.group_exit_code.load(asm, unknown);
        asm.bind(store);
        asm.store(Size::Word, R7, STATUS, R1);
        asm.bind(unknown);
    }

    /// Emits code that stores the usage of the current thread.
    pub(super) fn fill_usage(&self, asm: &mut Assembler) {
        let Some(usage) = &self.usage else { return };
        for counter in &usage.counters {
            counter.own.store(asm, Size::Double, R7, USAGE.at(counter.at));
        }
        asm.store(Size::Double, R7, USAGE.at(MAX_RSS), 0);
        add_recorded(asm, Recorded::USAGE);
    }

    /// Emits code that stores the usage of a process that is over. Its record has no such usage if
    /// the kernel kept changing the sums.
    pub(super) fn fill_process_usage(&self, asm: &mut Assembler) {
        let Some(usage) = &self.usage else { return };
        let (read, done) = (asm.label(), asm.label());
        for _ in 0..ATTEMPTS {
            let again = asm.label();
            usage.load_even_sequence(asm, done, again);
            asm.store(Size::Double, R10, SCRATCH_2, R1);
            self.nr_threads.load(asm, done);
            asm.store(Size::Double, R10, SCRATCH_3, R1);
            for counter in &usage.counters {
                counter.sum.store(asm, Size::Double, R7, PROCESS_USAGE.at(counter.at));
            }
            usage.sequence.load(asm, done);
            asm.load(Size::Double, R2, R10, SCRATCH_2);
            asm.branch(Width::W32, Cond::Eq, R1, R2, read);
            asm.bind(again);
        }
        asm.jump(done);
        asm.bind(read);
        usage.max_rss.load_or_zero(asm);
        asm.alu(Width::W64, Alu::Lsh, R1, page_shift());
        asm.store(Size::Double, R7, PROCESS_USAGE.at(MAX_RSS), R1);
        add_recorded(asm, Recorded::PROCESS_USAGE);
        // The sums include the first thread once it is removed.
        asm.load(Size::Double, R1, R10, SCRATCH_3);
        asm.branch(Width::W32, Cond::Eq, R1, 0, done);
        let leader = asm.label();
        branch_if_leader(asm, leader);
        for counter in &usage.counters {
            counter.leader.load_or_zero(asm);
            add(asm, PROCESS_USAGE.at(counter.at));
        }
        asm.jump(done);
        asm.bind(leader);
        for counter in &usage.counters {
            asm.load(Size::Double, R1, R7, USAGE.at(counter.at));
            add(asm, PROCESS_USAGE.at(counter.at));
        }
        asm.bind(done);
    }
}

impl ProcessUsage {
    fn detect(memory: &KernelMemory) -> Option<Self> {
        let member = |path: &str| memory.member(path);
        let sequences = [
            "signal->stats_lock.seqcount.seqcount.sequence",
            "signal->stats_lock.seqcount.sequence",
        ];
        // Each with its names in `task_struct` and in `signal_struct`.
        let counters = [
            (offset_of!(UsageHdr, cpu_ns), "se.sum_exec_runtime", "sum_sched_runtime"),
            (offset_of!(UsageHdr, utime), "utime", "utime"),
            (offset_of!(UsageHdr, stime), "stime", "stime"),
            (offset_of!(UsageHdr, nvcsw), "nvcsw", "nvcsw"),
            (offset_of!(UsageHdr, nivcsw), "nivcsw", "nivcsw"),
            (offset_of!(UsageHdr, min_flt), "min_flt", "min_flt"),
            (offset_of!(UsageHdr, maj_flt), "maj_flt", "maj_flt"),
            (offset_of!(UsageHdr, read_bytes), "ioac.read_bytes", "ioac.read_bytes"),
            (offset_of!(UsageHdr, write_bytes), "ioac.write_bytes", "ioac.write_bytes"),
        ];
        let counter = |(at, own, sum): (usize, &str, &str)| {
            Some(Counter {
                at,
                own: member(own)?,
                leader: member(&format!("group_leader->{own}"))?,
                sum: member(&format!("signal->{sum}"))?,
            })
        };
        Some(Self {
            sequence: sequences.into_iter().find_map(member)?,
            max_rss: member("signal->maxrss")?,
            counters: counters.into_iter().map(counter).collect::<Option<_>>()?,
        })
    }

    /// Emits code that loads the counter of the lock to `R1`. Jumps to `locked` if the kernel holds
    /// the lock for too long. The verifier follows each look, which limits their number.
    fn load_even_sequence(&self, asm: &mut Assembler, failed: Label, locked: Label) {
        let look = asm.label();
        asm.mov(R1, LOOKS);
        asm.store(Size::Double, R10, SCRATCH_2, R1);
        asm.bind(look);
        asm.load(Size::Double, R2, R10, SCRATCH_2);
        asm.branch(Width::W64, Cond::Eq, R2, 0, locked);
        asm.alu(Width::W64, Alu::Sub, R2, 1);
        asm.store(Size::Double, R10, SCRATCH_2, R2);
        // Takes time.
        asm.call(uapi::BPF_FUNC_ktime_get_boot_ns);
        self.sequence.load(asm, failed);
        asm.branch(Width::W32, Cond::Set, R1, 1, look);
    }
}

const MAX_RSS: usize = offset_of!(UsageHdr, max_rss);

/// Emits code that jumps to `leader` if the current thread is the first.
fn branch_if_leader(asm: &mut Assembler, leader: Label) {
    asm.load(Size::Word, R1, R10, DATAGRAM + PROCESS_PID);
    asm.load(Size::Word, R2, R10, DATAGRAM + PROCESS_TGID);
    asm.branch(Width::W32, Cond::Eq, R1, R2, leader);
}

/// Emits code that adds `R1` to a number in the record.
fn add(asm: &mut Assembler, at: i16) {
    asm.load(Size::Double, R2, R7, at);
    asm.alu(Width::W64, Alu::Add, R2, R1);
    asm.store(Size::Double, R7, at, R2);
}

fn page_shift() -> i32 {
    i32::try_from(crate::sys::page_size().trailing_zeros()).unwrap_or(12)
}
