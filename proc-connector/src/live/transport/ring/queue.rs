//! The reader's side of the ring transport.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, fence};
use std::thread;

use proc_connector_core::Filter;

use super::arming::{self, ArmingSteps};
#[cfg(test)]
use super::choice::Followed;
use super::choice::{Choice, ChoicePlan, Limits};
use super::context::{ContextPlan, MAX_RECORD_LEN, Wants};
use super::helpers::SenderCheck;
use super::layout::{RECORD_LEN, VARIABLES_LEN, WORDS, Word};
use super::load::load;
use super::memory::{KernelMemory, Trust};
use super::program::{ProgramSpec, call};
use super::reason::RingError;
use super::records::{self, Cursor, Records};
use crate::error::{Error, Result};
use crate::live::host::kernel;
use crate::live::transport::moderation::EventQueue;
use crate::live::transport::readiness::{Notice, Unread};
use crate::stats::ShareLoss;
use crate::sys::{
    CpuBuffers, ProgramSlot, RecordState, RingBuffer, SharedWords, Wakeup, page_size,
};
use crate::transport_kind::NoRing;

/// A ring with its program's shared words and the reader's position.
#[derive(Debug)]
pub(crate) struct RingQueue {
    pub(super) ring: RingBuffer,
    pub(super) words: SharedWords<WORDS>,
    pub(super) cursor: Cursor,
    /// How the program recognises forged datagrams.
    pub(super) check: SenderCheck,
    /// Which properties of the acting task records contain.
    pub(super) context: Box<ContextPlan>,
    /// How the program can evaluate conditions on the acting task, and those of the present filter.
    pub(super) choice_plan: Box<ChoicePlan>,
    pub(super) choice: Box<Choice>,
    pub(super) limits: Limits,
    /// The buffers of the CPUs, in which the program fills in records that it cannot reserve.
    pub(super) buffers: CpuBuffers,
    /// The program, which the program of the socket calls.
    pub(super) slot: ProgramSlot,
    /// The socket that the program is attached to. The program wakes the reader by queuing a
    /// datagram there.
    pub(super) wakeup: Wakeup,
    /// Raised while the ring holds unread records but the socket's queue is empty.
    pub(super) notice: Arc<Notice>,
}

/// What a ring receives and records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingOptions<'a> {
    pub(crate) filter: &'a Filter,
    /// What records contain besides the identity.
    pub(crate) wants: Option<&'a Wants>,
    pub(crate) limits: Limits,
}

/// The bytes that an event other than an exit or an exec occupies in a ring, with the kernel's
/// header.
pub(super) fn bytes_per_event(context: &ContextPlan) -> usize {
    (8 + context.record_len()).next_multiple_of(8)
}

/// The result of [`RingQueue::pop`].
pub(crate) enum Popped {
    /// A datagram of this length in bytes.
    Datagram(usize),
    /// How many events were lost before the next datagram.
    Lost(u32),
    Nothing,
}

impl RingQueue {
    /// Creates a ring for the events of `socket`. Its size is at least `bytes` of
    /// the length of a record with the kernel's header.
    pub(crate) fn open(
        socket: BorrowedFd<'_>,
        options: &RingOptions<'_>,
        bytes: impl Fn(usize) -> usize,
        notice: &Arc<Notice>,
    ) -> std::result::Result<Self, RingError> {
        let open = |trust| {
            let memory = KernelMemory::detect(trust);
            let context = ContextPlan::new(&memory, options.wants);
            let bytes = bytes(bytes_per_event(&context));
            let mut ring = Self::new(socket, bytes, &memory, context, Arc::clone(notice))?;
            ring.limits = options.limits;
            ring.attach(options.filter)?;
            Ok(ring)
        };
        match open(Trust::All) {
            Err(RingError { reason: NoRing::Refused, .. }) => open(Trust::Nothing),
            result => result,
        }
    }

    /// Creates an empty ring of at least `bytes` for the events of `socket`. No event reaches it
    /// before [`attach`](Self::attach).
    pub(super) fn new(
        socket: BorrowedFd<'_>,
        bytes: usize,
        memory: &KernelMemory,
        context: ContextPlan,
        notice: Arc<Notice>,
    ) -> std::result::Result<Self, RingError> {
        if kernel::is_wider_than_this_program() {
            return Err(RingError::new(NoRing::WordSize));
        }
        // At least four execs fit, however long their arguments may be.
        let longest = if context.is_extended() { MAX_RECORD_LEN } else { 0 };
        let size = bytes.max(page_size()).max(4 * longest).checked_next_power_of_two();
        let size = size.ok_or(RingError::new(NoRing::TooLarge))?;
        let ring = RingBuffer::new(size, c"proc_events")
            .map_err(|error| RingError::from_map_error(&error))?;
        let words =
            SharedWords::new(c"proc_words").map_err(|error| RingError::from_map_error(&error))?;
        let record_len = if context.is_extended() { MAX_RECORD_LEN } else { RECORD_LEN };
        let buffers = CpuBuffers::new(VARIABLES_LEN + record_len, c"proc_record")
            .map_err(|error| RingError::from_map_error(&error))?;
        let check = SenderCheck::detect(memory);
        let wakeup = Wakeup::new(socket).map_err(|error| RingError::from_map_error(&error))?;
        let slot =
            ProgramSlot::new(c"proc_program").map_err(|error| RingError::from_map_error(&error))?;
        Ok(Self {
            ring,
            words,
            cursor: Cursor::default(),
            check,
            context: Box::new(context),
            choice_plan: Box::new(ChoicePlan::detect(memory)),
            choice: Box::default(),
            limits: Limits::default(),
            buffers,
            slot,
            wakeup,
            notice,
        })
    }

    /// Loads the program for `filter`, in place of the present one. From now on exactly the events
    /// that pass the filter are written to the ring. [`seed`](Self::seed) must follow.
    pub(crate) fn attach(&mut self, filter: &Filter) -> std::result::Result<(), RingError> {
        let choice = self.choice_plan.prepare(filter, self.limits, &self.choice)?;
        let spec = ProgramSpec {
            ring: self.ring.as_fd(),
            words: self.words.as_fd(),
            filter,
            check: self.check,
            context: &self.context,
            choice: &choice,
            buffers: self.buffers.as_fd(),
        };
        let code = spec.assemble().map_err(RingError::from_assembly_error)?;
        let program = load(&code, &mut []).or_else(|error| {
            // Loads the program again for the verifier's log.
            let mut log = vec![0; 1 << 16];
            load(&code, &mut log).map_err(|_| RingError::from_load_error(&error, &log))
        })?;
        self.set_seeding(choice.follows());
        let attach = || {
            self.slot.set(&program)?;
            load(&call(self.slot.as_fd()), &mut [])?.attach(self.wakeup.as_fd())
        };
        attach().map_err(|error| RingError::from_map_error(&error))?;
        *self.choice = choice;
        Ok(())
    }

    /// Finds the processes to follow that exist already, if the filter selects descendants. Call it
    /// after [`attach`](Self::attach), when events arrive.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchProcess`] if a root has ended, and errors of reading `/proc`.
    pub(crate) fn seed(&self) -> Result<()> {
        let seeded = self.choice.seed();
        self.set_seeding(false);
        self.word(Word::Unfollowed).fetch_add(seeded?, Relaxed);
        Ok(())
    }

    /// The followed processes.
    #[cfg(test)]
    pub(super) fn followed(&self) -> Option<&Followed> {
        self.choice.followed()
    }

    /// Sets whether the program searches the ancestors of processes that are not followed.
    pub(super) fn set_seeding(&self, seeding: bool) {
        self.word(Word::Seeding).store(seeding.into(), SeqCst);
    }

    /// The cgroups that have exceeded their share.
    pub(crate) fn share_losses(&self) -> Vec<ShareLoss> {
        self.choice.share_losses()
    }

    /// Sets whether the program queues acknowledgements at the socket as well as in the ring.
    pub(crate) fn set_awaiting_ack(&self, awaiting: bool) {
        self.word(Word::AwaitingAck).store(if awaiting { u32::MAX } else { 0 }, SeqCst);
    }

    /// Prepares the first receive: skips acknowledgements at the front, which would wake it for a
    /// batch without events, and arms the ring, so that the descriptor can be polled before it.
    pub(crate) fn start(&mut self) {
        let producer_pos = self.ring.producer_pos();
        while let RecordState::Record(record, next) =
            self.ring.record_at(self.cursor.position, producer_pos)
        {
            if !records::is_ack(record) {
                break;
            }
            self.cursor.position = next;
        }
        self.ring.release(self.cursor.position);
        self.arm();
    }

    /// What records contain.
    pub(crate) fn context(&self) -> &ContextPlan {
        &self.context
    }

    /// Which forgeries the program refuses.
    pub(crate) fn sender_check(&self) -> SenderCheck {
        self.check
    }

    /// The size of the ring in bytes.
    pub(crate) fn size(&self) -> usize {
        self.ring.size()
    }

    /// How many datagrams the program has refused because the kernel cannot have sent them, modulo
    /// 2^32.
    pub(crate) fn refused(&self) -> u64 {
        self.word(Word::Refused).load(Relaxed).into()
    }

    /// How many acknowledgements to other listeners did not fit the ring, modulo 2^32.
    pub(crate) fn lost_acks(&self) -> u64 {
        self.word(Word::LostAcks).load(Relaxed).into()
    }

    /// The rest of the batch.
    pub(crate) fn records(&mut self) -> Records<'_> {
        Records { ring: &self.ring, words: self.words.words(), cursor: &mut self.cursor }
    }

    /// Copies the next datagram to `buf`, which must be long enough, and releases its record.
    pub(crate) fn pop(&mut self, buf: &mut [u8]) -> Result<Popped> {
        if !self.advance_to_record()? {
            let lost = self.records().losses_at_end();
            return Ok(lost.map_or(Popped::Nothing, Popped::Lost));
        }
        let RecordState::Record(record, next) =
            self.ring.record_at(self.cursor.position, self.cursor.producer_pos)
        else {
            return Ok(Popped::Nothing);
        };
        if let Some(lost) = self.cursor.losses_before(record) {
            return Ok(Popped::Lost(lost));
        }
        let len = records::copy_datagram(record, buf);
        self.cursor.position = next;
        self.ring.release(next);
        Ok(Popped::Datagram(len))
    }

    /// Releases the records read so far and skips discarded ones. Returns whether the cursor is at
    /// a committed record.
    fn advance_to_record(&mut self) -> Result<bool> {
        self.cursor.producer_pos = self.ring.producer_pos();
        let found = loop {
            match self.ring.record_at(self.cursor.position, self.cursor.producer_pos) {
                RecordState::Record(..) => break Ok(true),
                RecordState::Discarded(next) => self.cursor.position = next,
                RecordState::Empty => break Ok(false),
                RecordState::Corrupt => break Err(corrupt()),
                RecordState::Busy => {
                    // The producer commits within moments unless it was preempted: let it run.
                    thread::yield_now();
                    break Ok(false);
                }
            }
        };
        self.ring.release(self.cursor.position);
        found
    }

    /// Arms the program even if the ring holds unread records, so that the next event makes the
    /// socket readable: an edge-triggered `epoll` then sees an edge for each event that arrives
    /// after a receive.
    pub(crate) fn announce_next(&self) {
        self.word(Word::Armed).store(1, Relaxed);
        fence(SeqCst);
    }

    /// Whether events were lost since the last reported loss.
    fn has_unreported_losses(&self) -> bool {
        self.word(Word::Lost).load(Relaxed) != self.cursor.reported
    }

    pub(super) fn word(&self, word: Word) -> &AtomicU32 {
        &self.words.words()[word as usize]
    }
}

/// The error of every receive from now on. A panic would end the process, and an empty result would
/// make it wait forever.
#[cold]
fn corrupt() -> Error {
    io::Error::new(io::ErrorKind::InvalidData, "the contents of the ring buffer are invalid").into()
}

impl EventQueue for RingQueue {
    fn fetch(&mut self) -> Result<bool> {
        let found = self.advance_to_record()?;
        self.cursor.start_batch(self.ring.size());
        Ok(found || self.has_unreported_losses())
    }

    fn may_have_more(&self) -> bool {
        self.cursor.position != self.cursor.producer_pos
    }

    fn arm(&mut self) -> bool {
        arming::arm(self)
    }

    fn wakeup_fd(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }

    /// How many events other than exits and execs the ring holds.
    fn capacity(&self) -> usize {
        self.ring.size() / bytes_per_event(&self.context)
    }

    fn is_over_quarter_full(&self) -> bool {
        self.ring.producer_pos().wrapping_sub(self.ring.consumer_pos()) > self.ring.size() / 4
    }
}

impl ArmingSteps for RingQueue {
    fn drain_socket(&mut self) {
        self.wakeup.drain();
    }

    fn set_armed(&mut self, armed: bool) {
        self.word(Word::Armed).store(armed.into(), Relaxed);
    }

    fn full_barrier(&self) {
        fence(SeqCst);
    }

    fn has_unread(&self) -> bool {
        match self.ring.record_at(self.cursor.position, self.ring.producer_pos()) {
            RecordState::Record(..) | RecordState::Discarded(_) | RecordState::Corrupt => true,
            // The producer reads the armed word after it commits the record.
            RecordState::Busy => false,
            RecordState::Empty => self.has_unreported_losses(),
        }
    }

    fn set_notice(&mut self, unread: bool) {
        self.notice.set(Unread::Ring, unread);
    }
}
