//! At an exit: whether the process is over, its status, and what the thread and the process used.
//!
//! A process is over when none of its threads will use anything any more. The kernel removes each
//! thread but the first from `signal->nr_threads` before it sends the event of its exit, and adds its
//! usage to the sums in `signal_struct` at the same time (`__exit_signal` in `kernel/exit.c`). The
//! first thread stays until the parent has waited for the process. So the process is over
//!
//! - at the exit of the first thread, if it is the only one left;
//! - at the exit of another thread, if at most the first is left, and has become a zombie;
//! - if all threads that are left are zombies, which a tracer has not waited for. The kernel removes
//!   such a thread only then.
//!
//! This can hold for two threads that exit at the same time. The sums are then complete in both
//! events.

use std::mem::offset_of;

use proc_connector_core::context::layout::{ExitHdr, Recorded, UsageHdr};

use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width, imm};
use super::super::layout::{DATAGRAM, SCRATCH_2, SCRATCH_3, offset};
use super::super::memory::{KernelMemory, TaskMember, probe};
use super::parts::{DETAIL, EXIT_STATE, PROCESS_USAGE, USAGE, add_recorded};
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
    threads: Option<Threads>,
    usage: Option<ProcessUsage>,
}

/// How the program visits the threads that the kernel has not removed.
#[derive(Clone, Debug)]
struct Threads {
    /// `signal->thread_head.next`, which refers to the `thread_node` of the first thread.
    first: TaskMember,
    /// Offsets from `thread_node`.
    pid: i16,
    tgid: i16,
    exit_state: i16,
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
    /// Of a thread, from its `thread_node`.
    of_thread: i16,
}

/// `exit_state` of a thread that has exited and that no other task has waited for
/// (`include/linux/sched.h`).
const EXIT_ZOMBIE: i32 = 0x20;

/// The most threads that the program visits. Only a tracer keeps several.
const MAX_THREADS: i32 = 8;

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
            threads: Threads::detect(memory),
            usage: if with_usage { ProcessUsage::detect(memory) } else { None },
        })
    }

    pub(super) fn has_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// Emits code that stores the state and the status. Jumps to `over` if the process is over, and
    /// falls through otherwise.
    pub(super) fn fill_state(&self, asm: &mut Assembler, over: Label) {
        let (done, ending, several, is_leader, is_over) =
            (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
        self.live.load(asm, done);
        asm.store(Size::Word, R7, EXIT_STATE, imm(ExitHdr::CONTINUES));
        asm.branch(Width::W32, Cond::Ne, R1, 0, done);
        self.fill_status(asm);
        self.nr_threads.load(asm, ending);
        asm.branch(Width::W32, Cond::Gt, R1, 1, several);
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
        asm.store(Size::Word, R7, EXIT_STATE, imm(ExitHdr::OVER));
        asm.jump(over);
        asm.bind(several);
        if let Some(threads) = &self.threads {
            threads.find_running(asm, is_over, ending);
        }
        asm.bind(ending);
        asm.store(Size::Word, R7, EXIT_STATE, imm(ExitHdr::ENDING));
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
        let (read, complete, done) = (asm.label(), asm.label(), asm.label());
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
        // The sums include the first thread once it is removed.
        asm.load(Size::Double, R1, R10, SCRATCH_3);
        asm.branch(Width::W32, Cond::Eq, R1, 0, complete);
        if let Some(threads) = &self.threads {
            let one = asm.label();
            asm.branch(Width::W32, Cond::Eq, R1, 1, one);
            threads.add_usage(asm, &usage.counters, complete, done);
            asm.bind(one);
        }
        let leader = asm.label();
        branch_if_leader(asm, leader);
        for counter in &usage.counters {
            counter.leader.load_or_zero(asm);
            add(asm, PROCESS_USAGE.at(counter.at));
        }
        asm.jump(complete);
        asm.bind(leader);
        for counter in &usage.counters {
            asm.load(Size::Double, R1, R7, USAGE.at(counter.at));
            add(asm, PROCESS_USAGE.at(counter.at));
        }
        asm.bind(complete);
        add_recorded(asm, Recorded::PROCESS_USAGE);
        asm.bind(done);
    }
}

impl Threads {
    fn detect(memory: &KernelMemory) -> Option<Self> {
        let offset = |path| Self::offset(memory, path);
        Some(Self {
            first: memory.member("signal->thread_head.next")?,
            pid: offset("pid")?,
            tgid: offset("tgid")?,
            exit_state: offset("exit_state")?,
        })
    }

    /// The offset from `thread_node` of a member of `task_struct`.
    fn offset(memory: &KernelMemory, path: &str) -> Option<i16> {
        let types = memory.types()?;
        let node = types.offset("task_struct", "thread_node")?;
        i16::try_from(types.offset("task_struct", path)? - node).ok()
    }

    /// Emits code that jumps to `none` if all of the threads, whose number is in `R1`, are zombies or
    /// the current thread. Otherwise jumps to `found`, or falls through.
    ///
    /// A thread in the state `EXIT_DEAD` is about to be removed, and will report the end itself.
    fn find_running(&self, asm: &mut Assembler, none: Label, found: Label) {
        self.visit(asm, none, found, |asm| {
            let (next, other) = (asm.label(), asm.label());
            asm.load(Size::Double, R1, R10, SCRATCH_2);
            probe(asm, R1, self.pid, Size::Word, found);
            asm.load(Size::Word, R2, R10, DATAGRAM + PROCESS_PID);
            asm.branch(Width::W32, Cond::Ne, R1, R2, other);
            asm.jump(next);
            asm.bind(other);
            asm.load(Size::Double, R1, R10, SCRATCH_2);
            probe(asm, R1, self.exit_state, Size::Word, found);
            asm.branch(Width::W32, Cond::Ne, R1, EXIT_ZOMBIE, found);
            asm.bind(next);
        });
    }

    /// Emits code that adds the usage of the threads, whose number is in `R1`, to that of the process,
    /// and jumps to `complete`. Jumps to `failed` if a thread cannot be read.
    fn add_usage(&self, asm: &mut Assembler, counters: &[Counter], complete: Label, failed: Label) {
        self.visit(asm, complete, failed, |asm| {
            for counter in counters {
                asm.load(Size::Double, R1, R10, SCRATCH_2);
                probe(asm, R1, counter.of_thread, Size::Double, failed);
                add(asm, PROCESS_USAGE.at(counter.at));
            }
        });
    }

    /// Emits code that runs `visit` for each of the threads, whose number is in `R1`, with the address
    /// of its `thread_node` in `SCRATCH_2`, and then jumps to `end`. Jumps to `failed` if there are too
    /// many or if the list changes.
    fn visit(
        &self,
        asm: &mut Assembler,
        end: Label,
        failed: Label,
        visit: impl Fn(&mut Assembler),
    ) {
        asm.branch(Width::W32, Cond::Gt, R1, MAX_THREADS, failed);
        asm.store(Size::Double, R10, SCRATCH_3, R1);
        self.first.load(asm, failed);
        for visited in 1..=MAX_THREADS {
            asm.store(Size::Double, R10, SCRATCH_2, R1);
            // The end of the list is not in a task.
            probe(asm, R1, self.tgid, Size::Word, failed);
            asm.load(Size::Word, R2, R10, DATAGRAM + PROCESS_TGID);
            asm.branch(Width::W32, Cond::Ne, R1, R2, failed);
            visit(asm);
            asm.load(Size::Double, R1, R10, SCRATCH_3);
            asm.branch(Width::W32, Cond::Eq, R1, visited, end);
            asm.load(Size::Double, R1, R10, SCRATCH_2);
            probe(asm, R1, 0, Size::Double, failed);
        }
        asm.jump(failed);
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
                of_thread: Threads::offset(memory, own)?,
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
