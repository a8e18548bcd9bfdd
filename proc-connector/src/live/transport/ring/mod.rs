//! Events through a ring buffer, which a program of ours fills in the task that makes them.

mod arming;
mod asm;
mod btf;
mod context;
#[cfg(any(test, fuzzing))]
mod fake;
mod helpers;
mod layout;
mod program;
mod reason;
mod records;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use self::context::ContextPlan;
#[cfg(any(test, fuzzing))]
pub use self::fake::{FakeRing, Seen};
pub(crate) use self::reason::RingError;
pub(crate) use self::records::Records;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, fence};
use std::thread;

use proc_connector_core::{Filter, Notification, Notifications};

use self::helpers::TaskValue;
use self::layout::{RECORD_LEN, WORDS, Word};
use self::program::Spec;
use self::records::Cursor;
use super::moderation::EventQueue;
use super::readiness::{Notice, Unread};
use crate::error::{Error, Result};
use crate::live::host::kernel;
use crate::sys::{Program, RecordState, RingBuffer, SharedWords, Wakeup, page_size};
use crate::transport_kind::NoRing;

/// A ring, the words shared with its program, and how far it was read.
#[derive(Debug)]
pub(crate) struct RingQueue {
    ring: RingBuffer,
    words: SharedWords<WORDS>,
    cursor: Cursor,
    /// How the program can know who runs it, if it can.
    actor: Option<TaskValue>,
    /// What records say of the acting task, if anything.
    context: Option<ContextPlan>,
    /// The socket whose events come here, and which has something queued when the program wakes
    /// the reader.
    wakeup: Wakeup,
    /// Raised while the ring holds something and the socket does not announce it.
    notice: Arc<Notice>,
}

/// Bytes that an event takes in a ring, the kernel's header included and arguments not.
pub(crate) fn event_room(context: Option<&ContextPlan>) -> usize {
    let record = context.map_or(RECORD_LEN, |_| ContextPlan::record_len());
    (8 + record).next_multiple_of(8)
}

/// What tools call the program.
const NAME: &CStr = c"proc_connector";

/// This crate's, in the words that let a program call the helpers that are for GPL-compatible ones
/// only (`license_is_gpl_compatible` in `include/linux/license.h`).
const LICENCE: &CStr = c"Dual MIT/GPL";

/// What one look at a ring brought.
pub(crate) enum Popped {
    /// A datagram, with its length.
    Datagram(usize),
    /// Events that found no room before the next datagram.
    Lost(u32),
    Nothing,
}

impl RingQueue {
    /// A ring of at least so many bytes for the events of a socket, empty and not in use.
    pub(crate) fn new(
        socket: BorrowedFd<'_>,
        bytes: usize,
        context: Option<ContextPlan>,
        notice: Arc<Notice>,
    ) -> std::result::Result<Self, RingError> {
        if kernel::is_wider_than_this_program() {
            return Err(RingError::new(NoRing::WordSize));
        }
        // However long the arguments may be, some execs find room.
        let longest = context.map_or(0, |notes| notes.record_len_with_args());
        let size = bytes.max(page_size()).max(4 * longest).checked_next_power_of_two();
        let size = size.ok_or(RingError::new(NoRing::TooLarge))?;
        let ring = RingBuffer::new(size, c"proc_events")
            .map_err(|error| RingError::from_map_error(&error))?;
        let words =
            SharedWords::new(c"proc_board").map_err(|error| RingError::from_map_error(&error))?;
        let actor = helpers::pid_tgid();
        let wakeup = Wakeup::new(socket).map_err(|error| RingError::from_map_error(&error))?;
        Ok(Self { ring, words, cursor: Cursor::default(), actor, context, wakeup, notice })
    }

    /// From now on events of the socket that pass the filter go here and no others.
    pub(crate) fn attach(&self, filter: &Filter) -> std::result::Result<(), RingError> {
        let spec = Spec {
            ring: self.ring.as_fd(),
            words: self.words.as_fd(),
            filter,
            actor: self.actor,
            context: self.context.as_ref(),
        };
        let code = spec.assemble().map_err(RingError::from_assembly_error)?;
        let load = |log: &mut [u8]| Program::load(&code, NAME, LICENCE, log);
        let program = load(&mut []).or_else(|error| {
            // Once more for the verifier's reasons.
            let mut log = vec![0; 1 << 16];
            load(&mut log).map_err(|_| RingError::from_load_error(&error, &log))
        })?;
        program.attach(self.wakeup.as_fd()).map_err(|error| RingError::from_map_error(&error))
    }

    /// Whether acknowledgements are queued at the socket too.
    pub(crate) fn set_asking(&self, asking: bool) {
        self.word(Word::Asking).store(if asking { u32::MAX } else { 0 }, SeqCst);
    }

    /// Passes over acknowledgements before the first event, such as that of the own request: a
    /// reader that finds something takes it for the start of more. Then asks for a wake-up, so that
    /// the descriptor is right from the start.
    pub(crate) fn start(&mut self) {
        let written = self.ring.producer_pos();
        while let RecordState::Record(record, next) =
            self.ring.record_at(self.cursor.position, written)
        {
            let (datagram, _) = records::split(record);
            let is_ack = |message| matches!(message, Ok(Notification::Ack(_)));
            if !Notifications::new(datagram).all(is_ack) {
                break;
            }
            self.cursor.position = next;
        }
        self.ring.release(self.cursor.position);
        self.arm();
    }

    /// Bytes of the ring.
    pub(crate) fn size(&self) -> usize {
        self.ring.size()
    }

    /// Events that it holds, if they have no arguments.
    pub(crate) fn capacity(&self) -> usize {
        self.size() / event_room(self.context.as_ref())
    }

    /// Datagrams that no kernel sends, so far.
    pub(crate) fn refused(&self) -> u64 {
        self.word(Word::Refused).load(Relaxed).into()
    }

    /// Acknowledgements to other listeners that found no room, so far.
    pub(crate) fn lost_acks(&self) -> u64 {
        self.word(Word::LostAcks).load(Relaxed).into()
    }

    /// What is left of the batch.
    pub(crate) fn records(&mut self) -> Records<'_> {
        let lost = &self.words.words()[Word::Lost as usize];
        Records { ring: &self.ring, lost, cursor: &mut self.cursor }
    }

    /// Takes one datagram off, into a buffer that is large enough.
    pub(crate) fn pop(&mut self, buf: &mut [u8]) -> Result<Popped> {
        if !self.look()? {
            let lost = self.records().lost_behind();
            return Ok(lost.map_or(Popped::Nothing, Popped::Lost));
        }
        let RecordState::Record(record, next) =
            self.ring.record_at(self.cursor.position, self.cursor.written)
        else {
            return Ok(Popped::Nothing);
        };
        if let Some(lost) = self.cursor.lost_before(record) {
            return Ok(Popped::Lost(lost));
        }
        let (datagram, _) = records::split(record);
        buf[..datagram.len()].copy_from_slice(datagram);
        let len = datagram.len();
        self.cursor.position = next;
        self.ring.release(next);
        Ok(Popped::Datagram(len))
    }

    /// Gives back what was read and looks for a record behind it.
    fn look(&mut self) -> Result<bool> {
        self.cursor.written = self.ring.producer_pos();
        let found = loop {
            match self.ring.record_at(self.cursor.position, self.cursor.written) {
                RecordState::Record(..) => break Ok(true),
                RecordState::Discarded(next) => self.cursor.position = next,
                RecordState::Empty => break Ok(false),
                RecordState::Corrupt => break Err(corrupt()),
                RecordState::Busy => {
                    // A moment, unless its writer was suspended: let it run.
                    thread::yield_now();
                    break Ok(false);
                }
            }
        };
        self.ring.release(self.cursor.position);
        found
    }

    /// Asks the program to make the socket readable with the next event, whatever is unread: a
    /// caller that polls for changes, as an edge-triggered `epoll` does, sees one with each event
    /// that arrives after a receive.
    pub(crate) fn announce_next(&self) {
        self.word(Word::Armed).store(1, Relaxed);
        fence(SeqCst);
    }

    /// Whether events were lost that no record says of.
    fn has_lost(&self) -> bool {
        self.word(Word::Lost).load(Relaxed) != self.cursor.reported
    }

    fn word(&self, word: Word) -> &AtomicU32 {
        &self.words.words()[word as usize]
    }
}

/// Nothing more can be read, this time or later: the error says it each time, where a panic would
/// take the process down and an empty ring would have it wait for ever.
#[cold]
fn corrupt() -> Error {
    io::Error::new(io::ErrorKind::InvalidData, "the ring contains a malformed record").into()
}

impl EventQueue for RingQueue {
    fn take(&mut self) -> Result<bool> {
        let found = self.look()?;
        self.cursor.start_batch(self.ring.size());
        Ok(found || self.has_lost())
    }

    fn has_more(&self) -> bool {
        self.cursor.position != self.cursor.written
    }

    fn arm(&mut self) -> bool {
        arming::arm(self)
    }

    fn wakes(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }

    fn capacity(&self) -> usize {
        self.ring.size() / event_room(self.context.as_ref())
    }

    fn is_filling(&self) -> bool {
        self.ring.producer_pos().wrapping_sub(self.ring.consumer_pos()) > self.ring.size() / 4
    }
}

impl arming::Sides for RingQueue {
    fn drain(&mut self) {
        self.wakeup.drain();
    }

    fn set_armed(&mut self, armed: bool) {
        self.word(Word::Armed).store(armed.into(), Relaxed);
    }

    fn barrier(&self) {
        fence(SeqCst);
    }

    fn has_unread(&self) -> bool {
        match self.ring.record_at(self.cursor.position, self.ring.producer_pos()) {
            RecordState::Record(..) | RecordState::Discarded(_) | RecordState::Corrupt => true,
            // Its writer looks at the words when it is done.
            RecordState::Busy => false,
            RecordState::Empty => self.has_lost(),
        }
    }

    fn announce(&mut self, unread: bool) {
        self.notice.set(Unread::Ring, unread);
    }
}
