//! Interrupt moderation: when a reader sleeps and when it requests a wake-up, for all transports.
//!
//! Invariant: the reader requests a wake-up only after a nap during which nothing arrived. So the
//! kernel wakes it for the first event after a quiet time and for no other. (With a coalescing time
//! of zero the reader never naps, and requests a wake-up whenever the queue is empty.)
//!
//! On a busy machine a reader that keeps up would otherwise be woken for almost every event, and
//! each wake-up costs the process that caused the event as much as the reader. Network drivers
//! moderate their interrupts in the same way.
//!
//! The reader repeats [`Moderator::step`]:
//!
//! 1. After a batch, it naps for the coalescing time, unless that is zero or the batch left events
//!    unread. It does not request a wake-up.
//! 2. It takes whatever has arrived as the next batch.
//! 3. If nothing has arrived since the last nap, it requests a wake-up and waits for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::wait::Deadline;
use crate::error::{Error, Result};
use crate::stats::Counters;
use crate::sys::{EventFd, poll_readable, sleep_unless_readable};

/// The queue of a transport, from which the reader takes batches.
pub(super) trait EventQueue {
    /// Starts the next batch with the events that have arrived. Returns false if none has.
    fn fetch(&mut self) -> Result<bool>;

    /// Whether the last batch may have left events in the queue.
    fn may_have_more(&self) -> bool;

    /// Requests a wake-up at the next event. Returns false if the queue is not empty.
    fn arm(&mut self) -> bool;

    /// Waits without a deadline for the wake-up, if the queue has a cheaper way than polling
    /// [`wakeup_fd`](Self::wakeup_fd). Returns false if it has none.
    fn wait_directly(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// The descriptor that becomes readable with the wake-up.
    fn wakeup_fd(&self) -> BorrowedFd<'_>;

    /// How many events the queue holds.
    fn capacity(&self) -> usize;

    /// Whether over a quarter of the queue's capacity is in use.
    fn is_over_quarter_full(&self) -> bool;
}

/// What a reader must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read the batch.
    Filled,
    /// Sleep for at most this time, whatever arrives, then step again.
    Nap(Duration),
    /// Wait for the requested wake-up, then step again.
    Wait,
}

/// Decides how a reader waits.
#[derive(Debug)]
pub(crate) struct Moderator {
    coalesce: Duration,
    /// Whether events have arrived since the last nap.
    busy: AtomicBool,
}

impl Moderator {
    pub(super) fn new(coalesce: Duration) -> Self {
        Self { coalesce, busy: AtomicBool::new(false) }
    }

    /// Takes a new batch, or returns how the caller must wait before the next step.
    pub(super) fn step(&mut self, queue: &mut impl EventQueue) -> Result<Step> {
        let naps = std::mem::take(self.busy.get_mut()) && !self.coalesce.is_zero();
        if naps && !queue.may_have_more() {
            return Ok(Step::Nap(self.coalesce));
        }
        loop {
            if queue.fetch()? {
                *self.busy.get_mut() = true;
                return Ok(Step::Filled);
            }
            if naps {
                // The last batch had left nothing after all.
                return Ok(Step::Nap(self.coalesce));
            }
            if queue.arm() {
                return Ok(Step::Wait);
            }
        }
    }

    /// Waits for a new batch. Returns false if the deadline passes first.
    pub(super) fn fill(
        &mut self,
        queue: &mut impl EventQueue,
        deadline: Deadline,
        shutdown: Option<&EventFd>,
        counters: &Counters,
    ) -> Result<bool> {
        loop {
            match self.step(queue)? {
                Step::Filled => return Ok(true),
                Step::Nap(_) if matches!(deadline, Deadline::Now) => {}
                Step::Nap(time) => {
                    if nap(time, queue, deadline, shutdown)? {
                        return Err(Error::Shutdown);
                    }
                }
                Step::Wait => {
                    if !block(queue, deadline, shutdown, counters)? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Records that a shared receive took an event.
    pub(super) fn record_shared_receive(&self) {
        self.busy.store(true, Relaxed);
    }

    /// Naps, for a shared receive that found the queue empty, if events have arrived since the last
    /// nap. Returns whether it did. `capacity` returns the queue's capacity.
    pub(super) fn nap_shared(
        &self,
        capacity: impl FnOnce() -> usize,
        remaining: Option<Duration>,
    ) -> io::Result<bool> {
        let naps = self.busy.swap(false, Relaxed) && !self.coalesce.is_zero();
        if naps {
            let nap = self.coalesce.min(slice(capacity())).min(remaining.unwrap_or(Duration::MAX));
            poll_readable([], Some(nap)).map(|[]| ())?;
        }
        Ok(naps)
    }
}

/// Sleeps in slices for `time`, until the deadline, or until over a quarter of the queue is in use.
/// Returns true if the connector was shut down.
fn nap(
    time: Duration,
    queue: &impl EventQueue,
    deadline: Deadline,
    shutdown: Option<&EventFd>,
) -> Result<bool> {
    let mut left = time.min(deadline.remaining().unwrap_or(Duration::MAX));
    let slice = slice(queue.capacity());
    while !left.is_zero() {
        if sleep_unless_readable(shutdown.map(EventFd::as_fd), left.min(slice))? {
            return Ok(true);
        }
        left = left.saturating_sub(slice);
        if left.is_zero() || queue.is_over_quarter_full() {
            break;
        }
    }
    Ok(false)
}

/// How long a reader may sleep without checking the queue. No machine fills half of the queue in
/// this time, at one event a microsecond. At least 50 µs.
pub(super) fn slice(capacity: usize) -> Duration {
    let events = u64::try_from(capacity).unwrap_or(u64::MAX);
    Duration::from_micros(events / 2).max(Duration::from_micros(50))
}

/// Waits for a wake-up or a signal. Returns false if the deadline passes first.
fn block(
    queue: &mut impl EventQueue,
    deadline: Deadline,
    shutdown: Option<&EventFd>,
    counters: &Counters,
) -> Result<bool> {
    if shutdown.is_none() && matches!(deadline, Deadline::Never) {
        match queue.wait_directly() {
            Ok(true) => {
                counters.woken();
                return Ok(true);
            }
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
    let remaining = deadline.remaining();
    if remaining.is_some_and(|left| left.is_zero()) {
        return Ok(false);
    }
    let wakeup = queue.wakeup_fd();
    match poll_readable([Some(wakeup), shutdown.map(EventFd::as_fd)], remaining) {
        Ok([_, true]) => Err(Error::Shutdown),
        Ok([readable, _]) => {
            if readable {
                counters.woken();
            }
            Ok(readable)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::sys::EventFd;

    /// The result of a fetch from a scripted queue.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Fetch {
        Nothing,
        /// The whole queue.
        All,
        /// A batch that may have left more.
        Part,
    }

    use Fetch::{All, Nothing, Part};

    struct ScriptedQueue {
        fetches: VecDeque<Fetch>,
        last: Fetch,
        never_readable: EventFd,
    }

    impl EventQueue for ScriptedQueue {
        fn fetch(&mut self) -> Result<bool> {
            self.last = self.fetches.pop_front().unwrap_or(Nothing);
            Ok(self.last != Nothing)
        }

        fn may_have_more(&self) -> bool {
            self.last == Part
        }

        fn arm(&mut self) -> bool {
            true
        }

        fn wakeup_fd(&self) -> BorrowedFd<'_> {
            self.never_readable.as_fd()
        }

        fn capacity(&self) -> usize {
            1
        }

        fn is_over_quarter_full(&self) -> bool {
            false
        }
    }

    fn steps(coalesce: Duration, fetches: &[Fetch], count: usize) -> Vec<Step> {
        let never_readable = EventFd::new().expect("a descriptor");
        let fetches = fetches.iter().copied().collect();
        let mut queue = ScriptedQueue { fetches, last: Nothing, never_readable };
        let mut moderator = Moderator::new(coalesce);
        (0..count).map(|_| moderator.step(&mut queue).expect("a step")).collect()
    }

    #[test]
    fn a_reader_requests_a_wake_up_only_after_a_nap_without_events() {
        let time = Duration::from_millis(1);
        let (filled, nap, wait) = (Step::Filled, Step::Nap(time), Step::Wait);
        for (fetches, expected) in [
            (&[][..], &[wait, wait][..]),
            (&[All], &[filled, nap, wait]),
            (&[All, All], &[filled, nap, filled, nap, wait]),
            // The batch left more: no nap before that is taken.
            (&[Part, Part, All], &[filled, filled, filled, nap, wait]),
            // It seemed to leave more, as after a receive of a single datagram, but did not.
            (&[Part], &[filled, nap, wait]),
            (&[Part, Nothing, All], &[filled, nap, filled, nap, wait]),
            (&[Nothing, Part, Nothing, Nothing], &[wait, filled, nap, wait]),
        ] {
            assert_eq!(steps(time, fetches, expected.len()), expected);
        }
    }

    #[test]
    fn without_coalescing_there_are_no_naps() {
        for fetches in [[All, Nothing, All], [Part, Nothing, Part]] {
            let expected = [Step::Filled, Step::Wait, Step::Filled, Step::Wait];
            assert_eq!(steps(Duration::ZERO, &fetches, 4), expected);
        }
    }
}
