//! A filter as a classic BPF program, for `SO_ATTACH_FILTER`.
//!
//! The program reads a datagram, netlink header included, and returns the number of bytes to keep:
//! all or none. Acknowledgements always pass, because each listener waits for its own. A load beyond
//! the end of a datagram would drop the datagram, but the kernel sends none that short.

use core::mem::offset_of;

use proc_connector_sys as sys;
use sys::sock_filter;

use super::{Filter, TgidSet, Tgids, as_loaded};
use crate::mask::EventMask;
use crate::{cn_msg, netlink, proc_event};

/// Length of the longest program that a filter compiles to, in instructions.
pub const MAX_PROGRAM_LEN: usize = 64 + search_len(Filter::MAX_TGIDS);

const EVENT: usize = netlink::HEADER_LEN + cn_msg::HEADER_LEN;
const WHAT: usize = EVENT + offset_of!(sys::proc_event, what);
const DATA: usize = EVENT + proc_event::HEADER_LEN;
const PID: usize = DATA + offset_of!(sys::exec_proc_event, process_pid);
const TGID: usize = DATA + offset_of!(sys::exec_proc_event, process_tgid);
const EXIT_CODE: usize = DATA + offset_of!(sys::exit_proc_event, exit_code);
const PARENT_TGID: usize = DATA + offset_of!(sys::fork_proc_event, parent_tgid);
const CHILD_PID: usize = DATA + offset_of!(sys::fork_proc_event, child_pid);
const CHILD_TGID: usize = DATA + offset_of!(sys::fork_proc_event, child_tgid);

/// Return values of a program: the bytes to keep of a datagram.
const KEEP: u32 = u32::MAX;
const DROP: u32 = 0;

impl Filter {
    /// Writes the classic BPF program to `buffer` and returns the used part, or `None` if the program
    /// is longer than the buffer. A buffer of [`MAX_PROGRAM_LEN`] instructions holds every program.
    ///
    /// The program reads datagrams in the host's byte order.
    pub fn compile<'a>(&self, buffer: &'a mut [sock_filter]) -> Option<&'a [sock_filter]> {
        let mut labels = [0; LABELS];
        // The first pass finds the positions of the labels, the second uses them.
        for _ in 0..2 {
            let mut assembler = Assembler { buffer: &mut *buffer, len: 0, labels };
            self.assemble(&mut assembler);
            labels = assembler.labels;
            let len = assembler.len;
            if len > buffer.len() {
                return None;
            }
            labels[Label::End as usize] = len;
        }
        buffer.get(..labels[Label::End as usize])
    }

    fn assemble(&self, asm: &mut Assembler<'_>) {
        asm.load(WHAT);
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_NONE, Label::Keep, Label::Next);
        asm.branch(sys::BPF_JSET, self.mask.bits(), Label::Next, Label::Drop);
        self.assemble_kinds(asm);
        asm.mark(Label::Keep);
        asm.ret(KEEP);
        asm.mark(Label::Drop);
        asm.ret(DROP);
        asm.mark(Label::Process);
        match &self.tgids {
            Tgids::All => asm.ret(KEEP),
            Tgids::Only(set) => asm.search(set, KEEP, DROP),
            Tgids::Except(set) => asm.search(set, DROP, KEEP),
        }
    }

    /// Branches by kind, with `what` in the accumulator.
    fn assemble_kinds(&self, asm: &mut Assembler<'_>) {
        let tasks =
            EventMask::UID | EventMask::GID | EventMask::SID | EventMask::PTRACE | EventMask::COMM;
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_FORK, Label::Fork, Label::Next);
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_EXIT, Label::Exit, Label::Next);
        for kind in tasks.iter() {
            asm.branch(sys::BPF_JEQ, kind.bits(), Label::Task, Label::Next);
        }
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_EXEC, Label::Whole, Label::Next);
        // Only the mask applies to unknown kinds.
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_COREDUMP, Label::Whole, Label::Keep);

        asm.mark(Label::Exit);
        if self.failures_only {
            asm.load(EXIT_CODE);
            asm.branch(sys::BPF_JEQ, 0, Label::Drop, Label::Next);
        }
        asm.mark(Label::Task);
        if self.processes_only {
            asm.load(PID);
            asm.accumulator_to_x();
            asm.load(TGID);
            asm.branch_if_x(Label::Next, Label::Drop);
        }
        asm.mark(Label::Whole);
        asm.load(TGID);
        asm.jump(Label::Process);

        asm.mark(Label::Fork);
        asm.load(CHILD_PID);
        asm.accumulator_to_x();
        asm.load(CHILD_TGID);
        // The accumulator already holds the process of the thread.
        let thread = if self.processes_only { Label::Drop } else { Label::Process };
        asm.branch_if_x(Label::Next, Label::Thread);
        asm.load(PARENT_TGID);
        asm.jump(Label::Process);
        asm.mark(Label::Thread);
        asm.jump(thread);
    }
}

/// A position in the program.
#[derive(Clone, Copy)]
enum Label {
    /// The instruction that follows.
    Next,
    /// Keep the whole datagram.
    Keep,
    /// Drop the datagram.
    Drop,
    /// A fork.
    Fork,
    /// A fork of a thread.
    Thread,
    /// An exit.
    Exit,
    /// An event of a thread.
    Task,
    /// An event of a whole process.
    Whole,
    /// The accumulator holds the process id.
    Process,
    /// The end of the program.
    End,
}

const LABELS: usize = Label::End as usize + 1;

struct Assembler<'a> {
    buffer: &'a mut [sock_filter],
    /// Number of instructions, including those that exceed the buffer.
    len: usize,
    labels: [usize; LABELS],
}

impl Assembler<'_> {
    fn mark(&mut self, label: Label) {
        self.labels[label as usize] = self.len;
    }

    /// Loads a word of the datagram into the accumulator.
    fn load(&mut self, offset: usize) {
        self.push(sys::BPF_LD | sys::BPF_W | sys::BPF_ABS, 0, 0, operand(offset));
    }

    fn accumulator_to_x(&mut self) {
        self.push(sys::BPF_MISC | sys::BPF_TAX, 0, 0, 0);
    }

    /// Compares the accumulator with a word in the host's byte order.
    fn branch(&mut self, op: u32, with: u32, yes: Label, no: Label) {
        let (yes, no) = (self.near(yes), self.near(no));
        self.push(sys::BPF_JMP | op | sys::BPF_K, yes, no, as_loaded(with));
    }

    /// Compares the accumulator with X.
    fn branch_if_x(&mut self, yes: Label, no: Label) {
        let (yes, no) = (self.near(yes), self.near(no));
        self.push(sys::BPF_JMP | sys::BPF_JEQ | sys::BPF_X, yes, no, 0);
    }

    fn jump(&mut self, to: Label) {
        let distance = self.labels[to as usize].wrapping_sub(self.len + 1);
        self.push(sys::BPF_JMP | sys::BPF_JA, 0, 0, operand(distance));
    }

    /// Ends the program.
    fn ret(&mut self, bytes: u32) {
        self.push(sys::BPF_RET | sys::BPF_K, 0, 0, bytes);
    }

    /// Ends the program with `found` if the set contains the accumulator, else with `missing`.
    ///
    /// The kernel converts a comparison with a negative number to two instructions
    /// (`bpf_convert_filter` in `net/core/filter.c`). On a little-endian host, half of all ids would
    /// be negative in their byte-swapped form. The lowest byte of that form is zero for every valid id
    /// (`PID_MAX_LIMIT`), so it is shifted out if it is zero for all ids of the set.
    fn search(&mut self, set: &TgidSet, found: u32, missing: u32) {
        let ids = set.as_slice();
        let unused = if ids.iter().all(|id| id.trailing_zeros() >= 8) { 8 } else { 0 };
        if unused > 0 {
            self.push(sys::BPF_JMP | sys::BPF_JSET | sys::BPF_K, 0, 1, 0xff);
            self.ret(missing);
            self.push(sys::BPF_ALU | sys::BPF_RSH | sys::BPF_K, 0, 0, unused);
        }
        self.search_slice(ids, unused, found, missing);
    }

    /// A binary search whose leaves compare a few ids one by one. A conditional jump reaches 255
    /// instructions, so each leaf has its own results, and an unconditional jump skips a branch.
    fn search_slice(&mut self, ids: &[u32], unused: u32, found: u32, missing: u32) {
        if ids.len() > usize::from(LEAF_LEN) {
            let (low, high) = ids.split_at(ids.len() / 2);
            self.push(sys::BPF_JMP | sys::BPF_JGE | sys::BPF_K, 0, 1, high[0] >> unused);
            self.push(sys::BPF_JMP | sys::BPF_JA, 0, 0, operand(search_len(low.len())));
            self.search_slice(low, unused, found, missing);
            self.search_slice(high, unused, found, missing);
            return;
        }
        // A match skips the remaining ids and the result for a miss.
        for (left, &id) in (1..=LEAF_LEN).rev().skip(usize::from(LEAF_LEN) - ids.len()).zip(ids) {
            self.push(sys::BPF_JMP | sys::BPF_JEQ | sys::BPF_K, left, 0, id >> unused);
        }
        self.ret(missing);
        self.ret(found);
    }

    /// The distance to a label within reach of a conditional jump.
    fn near(&self, label: Label) -> u8 {
        match label {
            Label::Next => 0,
            // Distances are wrong in the first pass only, which does not use them.
            label => {
                let distance = self.labels[label as usize].wrapping_sub(self.len + 1);
                u8::try_from(distance).unwrap_or(u8::MAX)
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "an instruction code has 16 bits")]
    fn push(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        if let Some(slot) = self.buffer.get_mut(self.len) {
            *slot = sock_filter { code: code as u16, jt, jf, k };
        }
        self.len += 1;
    }
}

/// Ids that a leaf of the search compares one by one.
///
/// Each leaf has two result instructions, and space is limited: before Linux 6.7 a socket has 20,480
/// bytes (`net.core.optmem_max`) for its program and the program that replaces it.
const LEAF_LEN: u8 = 128;

/// The number of instructions of a search among `ids` ids.
const fn search_len(ids: usize) -> usize {
    if ids <= LEAF_LEN as usize {
        ids + 2
    } else {
        2 + search_len(ids / 2) + search_len(ids - ids / 2)
    }
}

/// An operand of an instruction: an offset or a distance.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only distances of the first pass wrap, which are unused"
)]
const fn operand(value: usize) -> u32 {
    value as u32
}
