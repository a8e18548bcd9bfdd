//! A filter as a classic BPF program, for `SO_ATTACH_FILTER`.
//!
//! The program sees a datagram from its netlink header on and gives the number of bytes to keep:
//! all of them or none. Acknowledgements always pass, or no listener would ever learn that it is
//! one. A load beyond the datagram's end ends the program with none, which suits: what is shorter
//! than the kernel's datagrams is not the kernel's.

use core::mem::offset_of;

use proc_connector_sys as sys;
use sys::sock_filter;

use super::{Filter, TgidSet, Tgids, as_loaded};
use crate::mask::EventMask;
use crate::{cn_msg, netlink, proc_event};

/// The longest program that a filter compiles to, in instructions.
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

/// What a program gives for a datagram: the bytes to keep.
const KEEP: u32 = u32::MAX;
const DROP: u32 = 0;

impl Filter {
    /// Writes the program to `buffer`, which [`MAX_PROGRAM_LEN`] instructions always fit, and
    /// gives the part of it that was used; `None` if the program is longer than the buffer.
    ///
    /// It is made for datagrams in the host's byte order.
    pub fn compile<'a>(&self, buffer: &'a mut [sock_filter]) -> Option<&'a [sock_filter]> {
        let mut labels = [0; LABELS];
        // The first pass learns where the labels are, the second uses it.
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
        asm.give(KEEP);
        asm.mark(Label::Drop);
        asm.give(DROP);
        asm.mark(Label::Process);
        match &self.tgids {
            Tgids::All => asm.give(KEEP),
            Tgids::Only(set) => asm.search(set, KEEP, DROP),
            Tgids::Except(set) => asm.search(set, DROP, KEEP),
        }
    }

    /// Goes on by kind, with `what` in the accumulator.
    fn assemble_kinds(&self, asm: &mut Assembler<'_>) {
        let tasks =
            EventMask::UID | EventMask::GID | EventMask::SID | EventMask::PTRACE | EventMask::COMM;
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_FORK, Label::Fork, Label::Next);
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_EXIT, Label::Exit, Label::Next);
        for kind in tasks.iter() {
            asm.branch(sys::BPF_JEQ, kind.bits(), Label::Task, Label::Next);
        }
        asm.branch(sys::BPF_JEQ, sys::PROC_EVENT_EXEC, Label::Whole, Label::Next);
        // Any other kind is unknown, and none of what follows applies to it.
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
        // A thread's process is in the accumulator already.
        let thread = if self.processes_only { Label::Drop } else { Label::Process };
        asm.branch_if_x(Label::Next, Label::Thread);
        asm.load(PARENT_TGID);
        asm.jump(Label::Process);
        asm.mark(Label::Thread);
        asm.jump(thread);
    }
}

/// A place in the program.
#[derive(Clone, Copy)]
enum Label {
    /// The instruction that follows.
    Next,
    /// The whole datagram passes.
    Keep,
    /// Nothing passes.
    Drop,
    /// A fork.
    Fork,
    /// A fork that made a thread.
    Thread,
    /// An exit.
    Exit,
    /// Something a thread did.
    Task,
    /// Something that concerns a whole process.
    Whole,
    /// The process id is in the accumulator.
    Process,
    /// Behind the last instruction.
    End,
}

const LABELS: usize = Label::End as usize + 1;

struct Assembler<'a> {
    buffer: &'a mut [sock_filter],
    /// Instructions so far; those beyond the buffer are counted only.
    len: usize,
    labels: [usize; LABELS],
}

impl Assembler<'_> {
    fn mark(&mut self, label: Label) {
        self.labels[label as usize] = self.len;
    }

    /// Loads a word of the datagram into the accumulator.
    fn load(&mut self, offset: usize) {
        self.push(sys::BPF_LD | sys::BPF_W | sys::BPF_ABS, 0, 0, number(offset));
    }

    fn accumulator_to_x(&mut self) {
        self.push(sys::BPF_MISC | sys::BPF_TAX, 0, 0, 0);
    }

    /// Compares the accumulator with a number of the host.
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
        self.push(sys::BPF_JMP | sys::BPF_JA, 0, 0, number(distance));
    }

    /// Ends the program.
    fn give(&mut self, bytes: u32) {
        self.push(sys::BPF_RET | sys::BPF_K, 0, 0, bytes);
    }

    /// Ends the program with `found` if the accumulator is in the set, and with `missing` if not.
    ///
    /// The kernel makes two instructions of a comparison with what it takes for a negative number
    /// (`bpf_convert_filter` in `net/core/filter.c`). Here that would be every other id of a
    /// little-endian host, whose first byte is loaded last. That byte is zero in the ids of all
    /// processes (`PID_MAX_LIMIT`), so it is shifted out where it is zero in all of the set.
    fn search(&mut self, set: &TgidSet, found: u32, missing: u32) {
        let ids = set.as_slice();
        let unused = if ids.iter().all(|id| id.trailing_zeros() >= 8) { 8 } else { 0 };
        if unused > 0 {
            self.push(sys::BPF_JMP | sys::BPF_JSET | sys::BPF_K, 0, 1, 0xff);
            self.give(missing);
            self.push(sys::BPF_ALU | sys::BPF_RSH | sys::BPF_K, 0, 0, unused);
        }
        self.search_slice(ids, unused, found, missing);
    }

    /// A tree of comparisons down to a few ids, which are tried one by one. Conditional jumps
    /// reach 255 instructions, so each end of the tree has its own results, and a jump over a
    /// whole branch is an unconditional one.
    fn search_slice(&mut self, ids: &[u32], unused: u32, found: u32, missing: u32) {
        if ids.len() > usize::from(TRIED) {
            let (low, high) = ids.split_at(ids.len() / 2);
            self.push(sys::BPF_JMP | sys::BPF_JGE | sys::BPF_K, 0, 1, high[0] >> unused);
            self.push(sys::BPF_JMP | sys::BPF_JA, 0, 0, number(search_len(low.len())));
            self.search_slice(low, unused, found, missing);
            self.search_slice(high, unused, found, missing);
            return;
        }
        // A hit jumps over the ids that are left and the miss.
        for (left, &id) in (1..=TRIED).rev().skip(usize::from(TRIED) - ids.len()).zip(ids) {
            self.push(sys::BPF_JMP | sys::BPF_JEQ | sys::BPF_K, left, 0, id >> unused);
        }
        self.give(missing);
        self.give(found);
    }

    /// The distance to a label that is known to be close.
    fn near(&self, label: Label) -> u8 {
        match label {
            Label::Next => 0,
            // Wrong in the first pass only, whose distances nobody uses.
            label => {
                let distance = self.labels[label as usize].wrapping_sub(self.len + 1);
                u8::try_from(distance).unwrap_or(u8::MAX)
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the kernel's codes have 16 bits")]
    fn push(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        if let Some(slot) = self.buffer.get_mut(self.len) {
            *slot = sock_filter { code: code as u16, jt, jf, k };
        }
        self.len += 1;
    }
}

/// Ids tried one by one at the ends of a search.
///
/// Each end takes room for its own results, and room is scarce: before Linux 6.7 a socket has 20,480
/// bytes (`net.core.optmem_max`) for its program and the one that replaces it.
const TRIED: u8 = 128;

/// Instructions of a search among a number of ids.
const fn search_len(ids: usize) -> usize {
    if ids <= TRIED as usize {
        ids + 2
    } else {
        2 + search_len(ids / 2) + search_len(ids - ids / 2)
    }
}

/// An operand: offsets and distances are small.
#[expect(clippy::cast_possible_truncation, reason = "distances of the first pass wrap, unused")]
const fn number(value: usize) -> u32 {
    value as u32
}
