//! The program that puts events into the ring, in the task that makes them.
//!
//! It is a socket filter: it runs where the kernel would queue the datagram, and by giving 0 it
//! leaves the queue empty. In short:
//!
//! 1. What is not exactly an event or an acknowledgement in shape, or says of itself to be the
//!    deed of another process than the one that runs the program, is refused and counted.
//! 2. The filter decides.
//! 3. A record is reserved, filled and submitted; without room the event is counted as lost.
//! 4. If the reader waits, it is woken: the program leaves the datagram in the socket's queue too,
//!    and the kernel wakes who waits for that at once. A wake-up through the ring would take an
//!    interrupt to the same processor first (`bpf_ringbuf_notify`).
//!
//! A byte of the datagram would do to wake the reader, but must not be all that the program keeps:
//! the kernel gives the first listener the very message that it copies for the others later
//! (`do_one_broadcast` in `af_netlink.c`), and what a filter cuts off is missing in those too.
//!
//! The order of 3 and 4 matters. A reader that is about to wait arms the shared words and then looks at
//! the writers' position once more; the program moves that position and then reads the shared words.
//! Each has a full barrier between its two steps (the program's is the exchange in
//! `bpf_ringbuf_commit`), so one of them sees the other, and no wake-up is missed.

use std::os::fd::BorrowedFd;

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::{Filter, cn_msg, netlink};
use proc_connector_sys as uapi;
use uapi::sock_filter;

use super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Unwritable, Width};
use super::context::ContextPlan;
use super::helpers::TaskValue;
use super::layout::{DATAGRAM_LEN, LOST, RECORD_LEN, STACK, Word, flag, len_imm, offset};
use super::translate::translate;
use crate::sys::Instruction;
use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};

/// What the program is made for.
#[derive(Debug)]
pub(super) struct Spec<'a> {
    pub(super) ring: BorrowedFd<'a>,
    pub(super) words: BorrowedFd<'a>,
    pub(super) filter: &'a Filter,
    /// How the program can know who runs it, if it can.
    pub(super) actor: Option<TaskValue>,
    /// What records say of the acting task, if anything.
    pub(super) context: Option<&'a ContextPlan>,
}

/// Fields of a datagram that decide.
const ACK: i16 = 28;
const WHAT: i16 = 36;
/// The process of most events, behind its thread.
const TGID: i16 = 56;

/// Events that only the process that they are about can make.
const DEEDS: u32 = uapi::PROC_EVENT_EXEC
    | uapi::PROC_EVENT_UID
    | uapi::PROC_EVENT_GID
    | uapi::PROC_EVENT_SID
    | uapi::PROC_EVENT_COMM
    | uapi::PROC_EVENT_COREDUMP
    | uapi::PROC_EVENT_EXIT;

/// Where the parts of the program start that others jump to.
struct Labels {
    /// The event is wanted.
    wanted: Label,
    /// Nothing is left to do.
    end: Label,
    /// There is no room in the ring.
    full: Label,
    /// The datagram is none of the kernel's.
    refused: Label,
    /// The event is not wanted.
    unwanted: Label,
}

impl Spec<'_> {
    /// The program's instructions.
    pub(super) fn assemble(&self) -> Result<Vec<Instruction>, Unwritable> {
        let mut asm = Assembler::default();
        let labels = Labels {
            wanted: asm.label(),
            end: asm.label(),
            full: asm.label(),
            refused: asm.label(),
            unwanted: asm.label(),
        };
        self.look(&mut asm, &labels);
        self.choose(&mut asm, &labels)?;
        asm.bind(labels.wanted);
        self.write(&mut asm, &labels);
        wake(&mut asm, &labels);

        asm.bind(labels.end);
        asm.mov(R0, R8);
        asm.exit();

        asm.bind(labels.full);
        let event = asm.label();
        asm.load(Size::Word, R2, R10, STACK + WHAT);
        asm.mov(R1, 1);
        asm.branch(Width::W32, Cond::Ne, R2, 0, event);
        asm.atomic_add(R9, Word::LostAcks.offset(), R1);
        asm.jump(labels.end);
        asm.bind(event);
        asm.atomic_add(R9, Word::Lost.offset(), R1);
        // The reader may have emptied the ring meanwhile: the loss is news as an event is.
        wake(&mut asm, &labels);
        asm.jump(labels.end);

        asm.bind(labels.refused);
        asm.mov(R1, 1);
        asm.atomic_add(R9, Word::Refused.offset(), R1);
        asm.bind(labels.unwanted);
        asm.mov(R0, 0);
        asm.exit();
        asm.finish()
    }

    /// Copies the datagram to the stack and refuses what no kernel sends. From here on `R9` has
    /// the shared words, and `R8` what the program gives in the end.
    fn look(&self, asm: &mut Assembler, labels: &Labels) {
        asm.mov(R6, R1);
        asm.load_map_value(R9, self.words);
        // `__sk_buff.len`, the first field (`bpf.h`).
        asm.load(Size::Word, R1, R6, 0);
        asm.branch(Width::W32, Cond::Ne, R1, len_imm(DATAGRAM_LEN), labels.refused);
        asm.mov(R1, R6);
        asm.mov(R2, 0);
        asm.mov(R3, R10);
        asm.alu(Width::W64, Alu::Add, R3, i32::from(STACK));
        asm.mov(R4, len_imm(DATAGRAM_LEN));
        asm.call(uapi::BPF_FUNC_skb_load_bytes);
        asm.branch(Width::W64, Cond::Ne, R0, 0, labels.refused);
        for (at, value) in constants() {
            asm.load(Size::Word, R1, R10, STACK + at);
            asm.branch(Width::W32, Cond::Ne, R1, value, labels.refused);
        }

        let event = asm.label();
        let known = asm.label();
        asm.mov(R8, 0);
        asm.load(Size::Word, R1, R10, STACK + WHAT);
        asm.branch(Width::W32, Cond::Ne, R1, 0, event);
        asm.load(Size::Word, R8, R9, Word::Asking.offset());
        asm.jump(known);
        asm.bind(event);
        asm.load(Size::Word, R1, R10, STACK + ACK);
        asm.branch(Width::W32, Cond::Ne, R1, 0, labels.refused);
        if let Some(actor) = self.actor {
            hold_against(actor, asm, labels);
        }
        asm.bind(known);
    }

    /// Goes on if the filter wants the event.
    fn choose(&self, asm: &mut Assembler, labels: &Labels) -> Result<(), Unwritable> {
        if self.filter.passes_everything() {
            return Ok(());
        }
        let mut buffer = vec![sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
        let program = self.filter.compile(&mut buffer).ok_or(Unwritable::Filter)?;
        translate(asm, program, STACK, labels.wanted, labels.unwanted)
    }

    /// Writes the record: to the room of its size, which has to be known beforehand.
    fn write(&self, asm: &mut Assembler, labels: &Labels) {
        let Some(notes) = self.context else {
            self.reserve(asm, RECORD_LEN, labels.full);
            fill(asm);
            submit(asm);
            return;
        };
        let (exec, written) = (asm.label(), asm.label());
        if notes.args().is_some() {
            asm.load(Size::Word, R1, R10, STACK + WHAT);
            asm.branch(Width::W32, Cond::Eq, R1, flag(uapi::PROC_EVENT_EXEC), exec);
        }
        self.reserve(asm, ContextPlan::record_len(), labels.full);
        fill(asm);
        notes.note_task(asm, R7);
        submit(asm);
        if let Some(offsets) = notes.args() {
            asm.jump(written);
            asm.bind(exec);
            self.reserve(asm, notes.record_len_with_args(), labels.full);
            fill(asm);
            notes.note_task(asm, R7);
            notes.note_args(asm, offsets, R7);
            submit(asm);
        }
        asm.bind(written);
    }

    /// Gets room for a record, in `R7`.
    fn reserve(&self, asm: &mut Assembler, len: usize, full: Label) {
        asm.load_map(R1, self.ring);
        asm.mov(R2, len_imm(len));
        asm.mov(R3, 0);
        asm.call(uapi::BPF_FUNC_ringbuf_reserve);
        asm.branch(Width::W64, Cond::Eq, R0, 0, full);
        asm.mov(R7, R0);
    }
}

/// Wakes the reader if it waits.
fn wake(asm: &mut Assembler, labels: &Labels) {
    asm.load(Size::Word, R1, R9, Word::Armed.offset());
    asm.branch(Width::W32, Cond::Eq, R1, 0, labels.end);
    asm.store(Size::Word, R9, Word::Armed.offset(), 0);
    asm.mov(R8, -1);
}

/// Refuses the deeds of other processes than the running one, which are forged.
fn hold_against(actor: TaskValue, asm: &mut Assembler, labels: &Labels) {
    let done = asm.label();
    let deed = asm.label();
    asm.load(Size::Word, R1, R10, STACK + WHAT);
    asm.branch(Width::W32, Cond::Set, R1, flag(DEEDS), deed);
    asm.jump(done);
    asm.bind(deed);
    actor.load(asm);
    asm.alu(Width::W64, Alu::Rsh, R0, 32);
    asm.load(Size::Word, R1, R10, STACK + TGID);
    asm.branch(Width::W32, Cond::Ne, R0, R1, labels.refused);
    asm.bind(done);
}

/// Fills in the datagram, and the losses so far.
fn fill(asm: &mut Assembler) {
    for at in (0..DATAGRAM_LEN).step_by(8) {
        let size = if DATAGRAM_LEN - at < 8 { Size::Word } else { Size::Double };
        asm.load(size, R1, R10, STACK + offset(at));
        asm.store(size, R7, offset(at), R1);
    }
    asm.load(Size::Word, R1, R9, Word::Lost.offset());
    asm.store(Size::Word, R7, offset(LOST), R1);
}

/// Gives the record in `R7` to the reader.
fn submit(asm: &mut Assembler) {
    asm.mov(R1, R7);
    asm.mov(R2, flag(uapi::BPF_RB_NO_WAKEUP));
    asm.call(uapi::BPF_FUNC_ringbuf_submit);
}

/// Fields that are the same in all datagrams of the kernel, by their offsets: the length of the
/// netlink message, its type without flags, its port, the connector's two numbers, and the length
/// of the connector's payload without flags.
fn constants() -> [(i16, i32); 6] {
    let payload = DATAGRAM_LEN - netlink::HEADER_LEN - cn_msg::HEADER_LEN;
    [
        (0, len_imm(DATAGRAM_LEN)),
        (4, halves(flag(uapi::NLMSG_DONE))),
        (12, 0),
        (16, flag(uapi::CN_IDX_PROC)),
        (20, flag(uapi::CN_VAL_PROC)),
        (32, halves(len_imm(payload))),
    ]
}

/// A word of which `first` is the first half in memory, and the second is zero.
const fn halves(first: i32) -> i32 {
    if cfg!(target_endian = "little") { first } else { first << 16 }
}
