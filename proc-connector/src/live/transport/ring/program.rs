//! The BPF program that writes events to the ring.
//!
//! It is a socket filter of the connector's socket. The kernel runs it for each datagram, in the
//! task that causes the event, and queues the datagram at the socket unless the result is 0.
//!
//! 1. **Check.** The program refuses and counts datagrams that the kernel did not send. It reads the
//!    sender's process id from the socket buffer. Where it may not read kernel memory, it refuses events
//!    that only the process named in them can cause if another process runs the program.
//! 2. **Filter.** The translated filter decides whether to continue, and then the conditions on the
//!    acting task.
//! 3. **Record.** The program reserves a record, fills it in and submits it. A record with more than
//!    the identity has no constant length, which the verifier requires: the program fills it in in the
//!    buffer of its CPU, and copies it to the ring. If the ring is full it counts a loss instead.
//! 4. **Wake.** If the reader has armed the ring, the program disarms it and returns a nonzero
//!    result: the kernel queues the datagram at the socket as well and wakes the reader.
//!
//! Waking through the socket is immediate, while a wake-up through the ring takes an interrupt to
//! the same processor first (`bpf_ringbuf_notify`).
//!
//! The result in step 4 keeps the whole datagram although a single byte would wake the reader. The
//! kernel copies the datagram for the other listeners after the first listener's filter has cut it
//! (`do_one_broadcast` in `af_netlink.c`), so their copies would be cut too.
//!
//! Step 3 must precede step 4, so that no wake-up is missed: `arming.rs` explains why.

use std::os::fd::BorrowedFd;

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::{Filter, cn_msg, netlink};
use proc_connector_sys as uapi;
use uapi::sock_filter;

use super::asm::{Alu, Assembler, AssemblyError, Cond, Label, Reg, Size, Width, imm, len_imm};
use super::choice::Choice;
use super::context::ContextPlan;
use super::helpers::{SenderCheck, TaskValue, read_sender_process};
use super::layout::{
    DATAGRAM, DATAGRAM_LEN, LOST, MESSAGE_LEN, RECORD_LEN, SCRATCH_1, VARIABLES_LEN, Word, offset,
};
use super::translate::translate;
use crate::sys::Instruction;
use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};

/// The inputs of the program.
#[derive(Debug)]
pub(super) struct ProgramSpec<'a> {
    pub(super) ring: BorrowedFd<'a>,
    pub(super) words: BorrowedFd<'a>,
    pub(super) filter: &'a Filter,
    /// How the program recognises forged datagrams.
    pub(super) check: SenderCheck,
    /// Which properties of the acting task records contain.
    pub(super) context: &'a ContextPlan,
    /// The conditions on the acting task.
    pub(super) choice: &'a Choice,
    /// The buffers of the CPUs, in which the program fills in records that it cannot reserve.
    pub(super) buffers: BorrowedFd<'a>,
}

/// Offset of `cn_msg.ack` in a datagram.
const ACK: i16 = 28;
/// Offset of `proc_event.what`, which is 0 in an acknowledgement.
const WHAT: i16 = 36;
/// Offset of `process_tgid`, the second field of most kinds of events.
const TGID: i16 = 56;

/// Events that only the process named in them can cause. Each is a single bit.
const OWN_ACTIONS: u32 = uapi::PROC_EVENT_EXEC
    | uapi::PROC_EVENT_UID
    | uapi::PROC_EVENT_GID
    | uapi::PROC_EVENT_SID
    | uapi::PROC_EVENT_COMM
    | uapi::PROC_EVENT_COREDUMP
    | uapi::PROC_EVENT_EXIT;

/// The program's jump targets.
struct Labels {
    /// The filter keeps the event.
    wanted: Label,
    /// Return the result in `R8`.
    end: Label,
    /// The ring has no space for a record.
    full: Label,
    /// The datagram cannot be the kernel's.
    refused: Label,
    /// The filter drops the event.
    unwanted: Label,
}

impl ProgramSpec<'_> {
    /// Assembles the program.
    pub(super) fn assemble(&self) -> Result<Vec<Instruction>, AssemblyError> {
        let mut asm = Assembler::default();
        let labels = Labels {
            wanted: asm.label(),
            end: asm.label(),
            full: asm.label(),
            refused: asm.label(),
            unwanted: asm.label(),
        };
        self.load_and_check(&mut asm, &labels);
        if self.choice.is_empty() {
            self.apply_filter(&mut asm, labels.wanted, labels.unwanted)?;
            asm.bind(labels.wanted);
            self.context.load_task(&mut asm, labels.full);
            self.write_record(&mut asm, &labels);
        } else {
            self.write_chosen_record(&mut asm, &labels)?;
        }
        wake_reader(&mut asm, &labels);

        asm.bind(labels.end);
        asm.mov(R0, R8);
        asm.exit();

        asm.bind(labels.full);
        let event = asm.label();
        asm.load(Size::Word, R2, R10, DATAGRAM + WHAT);
        asm.mov(R1, 1);
        asm.branch(Width::W32, Cond::Ne, R2, 0, event);
        asm.atomic_add(R9, Word::LostAcks.offset(), R1);
        asm.jump(labels.end);
        asm.bind(event);
        asm.atomic_add(R9, Word::Lost.offset(), R1);
        // The reader may have emptied the ring and armed it since, so a loss wakes it as well.
        wake_reader(&mut asm, &labels);
        asm.jump(labels.end);

        asm.bind(labels.refused);
        asm.mov(R1, 1);
        asm.atomic_add(R9, Word::Refused.offset(), R1);
        asm.bind(labels.unwanted);
        asm.mov(R0, 0);
        asm.exit();
        asm.finish()
    }

    /// Copies the datagram to the stack and refuses it if the kernel cannot have sent it.
    ///
    /// Afterwards `R9` points to the shared words, and `R8` holds the program's result.
    fn load_and_check(&self, asm: &mut Assembler, labels: &Labels) {
        asm.mov(R6, R1);
        asm.load_map_value(R9, self.words);
        // `__sk_buff.len`, the first field (`bpf.h`).
        asm.load(Size::Word, R1, R6, 0);
        asm.branch(Width::W32, Cond::Ne, R1, len_imm(DATAGRAM_LEN), labels.refused);
        asm.mov(R1, R6);
        asm.mov(R2, 0);
        asm.mov(R3, R10);
        asm.alu(Width::W64, Alu::Add, R3, i32::from(DATAGRAM));
        asm.mov(R4, len_imm(DATAGRAM_LEN));
        asm.call(uapi::BPF_FUNC_skb_load_bytes);
        asm.branch(Width::W64, Cond::Ne, R0, 0, labels.refused);
        if let SenderCheck::Sender(offset) = self.check {
            asm.mov(R3, R6);
            read_sender_process(asm, offset);
            asm.branch(Width::W64, Cond::Ne, R0, 0, labels.refused);
            asm.load(Size::Word, R1, R10, SCRATCH_1);
            asm.branch(Width::W32, Cond::Ne, R1, 0, labels.refused);
        }
        for (at, value) in constant_fields() {
            asm.load(Size::Word, R1, R10, DATAGRAM + at);
            asm.branch(Width::W32, Cond::Ne, R1, value, labels.refused);
        }

        let event = asm.label();
        let checked = asm.label();
        asm.mov(R8, 0);
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Ne, R1, 0, event);
        asm.load(Size::Word, R8, R9, Word::AwaitingAck.offset());
        asm.jump(checked);
        asm.bind(event);
        asm.load(Size::Word, R1, R10, DATAGRAM + ACK);
        asm.branch(Width::W32, Cond::Ne, R1, 0, labels.refused);
        if let SenderCheck::OwnActions(pid_tgid) = self.check {
            refuse_foreign_action(pid_tgid, asm, labels);
        }
        asm.bind(checked);
    }

    /// Jumps to `wanted` or `unwanted`. Falls through if the filter keeps all events.
    fn apply_filter(
        &self,
        asm: &mut Assembler,
        wanted: Label,
        unwanted: Label,
    ) -> Result<(), AssemblyError> {
        let filter = self.filter.clone().without_tasks();
        if filter.passes_everything() {
            return Ok(());
        }
        let mut buffer = vec![sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
        let program = filter.compile(&mut buffer).ok_or(AssemblyError::UnsupportedFilter)?;
        translate(asm, program, DATAGRAM, wanted, unwanted)
    }

    /// Writes a record if the filter and the conditions on the acting task keep the event.
    fn write_chosen_record(
        &self,
        asm: &mut Assembler,
        labels: &Labels,
    ) -> Result<(), AssemblyError> {
        let (dropped, over_share, possible, ack) =
            (asm.label(), asm.label(), asm.label(), asm.label());
        // What rejects most events comes first.
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Eq, R1, 0, possible);
        self.choice.reject(asm, labels.unwanted);
        if !self.choice.follows() {
            self.apply_filter(asm, labels.wanted, dropped)?;
            asm.bind(labels.wanted);
        }
        asm.bind(possible);
        self.context.load_task(asm, labels.full);
        self.find_buffer(asm, labels.full);
        self.choice.initialize(asm);
        let identified = asm.label();
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Eq, R1, 0, identified);
        if !self.choice.follows() {
            self.choice.evaluate(asm, dropped, over_share);
        }
        asm.bind(identified);
        self.fill_base(asm);
        asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
        asm.branch(Width::W32, Cond::Eq, R1, 0, ack);
        if self.choice.follows() {
            self.choice.follow(asm, labels.unwanted);
            // Events that the filter drops change the followed processes as well.
            self.apply_filter(asm, labels.wanted, dropped)?;
            asm.bind(labels.wanted);
            self.choice.evaluate(asm, dropped, over_share);
        }
        asm.bind(ack);
        if self.context.is_extended() {
            self.context.fill_extension(asm);
        } else {
            asm.mov(R3, len_imm(RECORD_LEN));
        }
        asm.store(Size::Double, R10, SCRATCH_1, R3);
        self.choice.retire(asm);
        asm.load(Size::Double, R3, R10, SCRATCH_1);
        self.output(asm, labels.full);
        let written = asm.label();
        asm.jump(written);

        // If nothing jumps there, the assembler leaves the code out.
        for (reason, then) in [(dropped, labels.unwanted), (over_share, labels.full)] {
            asm.bind(reason);
            if self.choice.follows() {
                self.context.fill_dropped_exit(asm);
                self.choice.retire(asm);
            }
            asm.jump(then);
        }
        asm.bind(written);
        Ok(())
    }

    /// Writes a record. `R6` holds the address of the task.
    fn write_record(&self, asm: &mut Assembler, labels: &Labels) {
        if self.context.is_extended() {
            self.find_buffer(asm, labels.full);
            self.fill_base(asm);
            self.context.fill_extension(asm);
            self.output(asm, labels.full);
        } else {
            self.reserve(asm, labels.full);
            self.fill_base(asm);
            submit(asm);
        }
    }

    /// Points `R7` to the record in the buffer of this CPU. Only one task at a time runs the program
    /// on a CPU, because the kernel sends events under a lock of the CPU (`send_msg` in
    /// `drivers/connector/cn_proc.c`).
    fn find_buffer(&self, asm: &mut Assembler, missing: Label) {
        asm.call(uapi::BPF_FUNC_get_smp_processor_id);
        asm.store(Size::Word, R10, SCRATCH_1, R0);
        asm.load_map(R1, self.buffers);
        asm.mov(R2, R10);
        asm.alu(Width::W64, Alu::Add, R2, i32::from(SCRATCH_1));
        asm.call(uapi::BPF_FUNC_map_lookup_elem);
        asm.branch(Width::W64, Cond::Eq, R0, 0, missing);
        asm.mov(R7, R0);
        asm.alu(Width::W64, Alu::Add, R7, len_imm(VARIABLES_LEN));
    }

    /// Copies the record in `R7`, whose length is in `R3`, to the ring.
    fn output(&self, asm: &mut Assembler, full: Label) {
        asm.load_map(R1, self.ring);
        asm.mov(R2, R7);
        asm.mov(R4, imm(uapi::BPF_RB_NO_WAKEUP));
        asm.call(uapi::BPF_FUNC_ringbuf_output);
        asm.branch(Width::W64, Cond::Ne, R0, 0, full);
    }

    /// Fills in the message and the identity of the record in `R7`.
    fn fill_base(&self, asm: &mut Assembler) {
        fill_message(asm);
        self.context.fill_identity(asm);
    }

    /// Reserves a record. `R7` points to it.
    fn reserve(&self, asm: &mut Assembler, full: Label) {
        asm.load_map(R1, self.ring);
        asm.mov(R2, len_imm(RECORD_LEN));
        asm.mov(R3, 0);
        asm.call(uapi::BPF_FUNC_ringbuf_reserve);
        asm.branch(Width::W64, Cond::Eq, R0, 0, full);
        asm.mov(R7, R0);
    }
}

/// The program of the socket: it calls the program in `slot`.
///
/// The kernel counts the length of a socket's program against `net.core.optmem_max`, which is 20 KiB
/// before Linux 6.7, for the present program and its replacement together. The length of this one does
/// not depend on the filter.
pub(super) fn call(slot: BorrowedFd<'_>) -> Vec<Instruction> {
    let mut asm = Assembler::default();
    // The first argument is already in `R1`. The call does not return.
    asm.load_map(R2, slot);
    asm.mov(R3, 0);
    asm.call(uapi::BPF_FUNC_tail_call);
    asm.mov(R0, 0);
    asm.exit();
    // A program without jumps can always be assembled.
    asm.finish().unwrap_or_default()
}

/// Sets the result to keep the datagram in the socket's queue if the ring is armed, and disarms it.
fn wake_reader(asm: &mut Assembler, labels: &Labels) {
    asm.load(Size::Word, R1, R9, Word::Armed.offset());
    asm.branch(Width::W32, Cond::Eq, R1, 0, labels.end);
    asm.store(Size::Word, R9, Word::Armed.offset(), 0);
    asm.mov(R8, -1);
}

/// Refuses one of [`OWN_ACTIONS`] if the process that runs the program is not the process named in
/// the event, because it is forged.
fn refuse_foreign_action(pid_tgid: TaskValue, asm: &mut Assembler, labels: &Labels) {
    let done = asm.label();
    let own_action = asm.label();
    asm.load(Size::Word, R1, R10, DATAGRAM + WHAT);
    asm.branch(Width::W32, Cond::Set, R1, imm(OWN_ACTIONS), own_action);
    asm.jump(done);
    asm.bind(own_action);
    pid_tgid.load(asm);
    asm.alu(Width::W64, Alu::Rsh, R0, 32);
    asm.load(Size::Word, R1, R10, DATAGRAM + TGID);
    asm.branch(Width::W32, Cond::Ne, R0, R1, labels.refused);
    asm.bind(done);
}

/// Copies the connector message and the count of losses to the record in `R7`.
fn fill_message(asm: &mut Assembler) {
    let message = DATAGRAM + offset(DATAGRAM_LEN - MESSAGE_LEN);
    for at in (0..MESSAGE_LEN).step_by(8) {
        let size = if MESSAGE_LEN - at < 8 { Size::Word } else { Size::Double };
        asm.load(size, R1, R10, message + offset(at));
        asm.store(size, R7, offset(at), R1);
    }
    asm.load(Size::Word, R1, R9, Word::Lost.offset());
    asm.store(Size::Word, R7, offset(LOST), R1);
}

/// Submits the record in `R7`.
fn submit(asm: &mut Assembler) {
    asm.mov(R1, R7);
    asm.mov(R2, imm(uapi::BPF_RB_NO_WAKEUP));
    asm.call(uapi::BPF_FUNC_ringbuf_submit);
}

/// The offsets and values of the 32-bit words that are the same in every datagram of the kernel.
fn constant_fields() -> [(i16, i32); 6] {
    let payload = DATAGRAM_LEN - netlink::HEADER_LEN - cn_msg::HEADER_LEN;
    [
        // `nlmsg_len`.
        (0, len_imm(DATAGRAM_LEN)),
        // `nlmsg_type`, and no `nlmsg_flags`.
        (4, first_half(imm(uapi::NLMSG_DONE))),
        // `nlmsg_pid`.
        (12, 0),
        // `cb_id.idx` and `cb_id.val`.
        (16, imm(uapi::CN_IDX_PROC)),
        (20, imm(uapi::CN_VAL_PROC)),
        // `cn_msg.len`, and no `cn_msg.flags`.
        (32, first_half(len_imm(payload))),
    ]
}

/// A word whose first two bytes in memory are `first`, and whose other two are zero.
const fn first_half(first: i32) -> i32 {
    if cfg!(target_endian = "little") { first } else { first << 16 }
}
