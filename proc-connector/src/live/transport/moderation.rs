//! When a reader sleeps, and when it asks to be woken: one policy for all transports.
//!
//! A reader that keeps up with a busy machine would be woken for almost every event, and every
//! wake-up costs the process that made the event as much as the reader. So after a batch it
//! sleeps for a moment without asking to be woken, as network drivers do, and only a nap that
//! brought nothing ends in a wait for the kernel, which then wakes it at the first event.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::{Wait, lock};
use crate::error::{Error, Result};
use crate::stats::Counters;
use crate::sys::{EventFd, poll_readable, sleep_unless_readable};

/// Where events wait for the reader.
pub(super) trait EventQueue {
    /// Takes what is there for the next batch; false if that is nothing.
    fn take(&mut self) -> Result<bool>;

    /// Whether the last batch left something behind, for all that is known.
    fn has_more(&self) -> bool;

    /// Asks for a wake-up with the next event; false if there is something already.
    fn arm(&mut self) -> bool;

    /// Waits for the wake-up, for ever, if there is a sooner way than to poll; false if not.
    fn wait(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// What becomes readable with the wake-up.
    fn wakes(&self) -> BorrowedFd<'_>;

    /// How many events it holds.
    fn capacity(&self) -> usize;

    /// Whether over a quarter of that is taken.
    fn is_filling(&self) -> bool;
}

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It reads the batch.
    Filled,
    /// It sleeps for at most that long, without being woken, and steps again.
    Nap(Duration),
    /// It waits for the wake-up that it has asked for, and steps again.
    Wait,
}

/// How a reader waits.
#[derive(Debug)]
pub(crate) struct Moderator {
    coalesce: Duration,
    /// Something came since the last nap.
    busy: AtomicBool,
}

impl Moderator {
    pub(super) fn new(coalesce: Duration) -> Self {
        Self { coalesce, busy: AtomicBool::new(false) }
    }

    /// Takes a new batch, or says what to do before there can be one.
    pub(super) fn step(&mut self, queue: &mut impl EventQueue) -> Result<Step> {
        let naps = std::mem::take(self.busy.get_mut()) && !self.coalesce.is_zero();
        if naps && !queue.has_more() {
            return Ok(Step::Nap(self.coalesce));
        }
        loop {
            if queue.take()? {
                *self.busy.get_mut() = true;
                return Ok(Step::Filled);
            }
            if naps {
                // What seemed to be left behind was not there.
                return Ok(Step::Nap(self.coalesce));
            }
            if queue.arm() {
                return Ok(Step::Wait);
            }
        }
    }

    /// Takes a new batch, and says whether there is anything in it.
    pub(super) fn fill(
        &mut self,
        queue: &mut impl EventQueue,
        wait: Wait,
        shutdown: Option<&EventFd>,
        counters: &Counters,
    ) -> Result<bool> {
        loop {
            match self.step(queue)? {
                Step::Filled => return Ok(true),
                Step::Nap(_) if matches!(wait, Wait::No) => {}
                Step::Nap(time) => {
                    if nap(time, queue, wait, shutdown)? {
                        return Err(Error::Shutdown);
                    }
                }
                Step::Wait => {
                    if !block(queue, wait, shutdown, counters)? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// ContextPlan that a receive that shares the reader got something.
    pub(super) fn note_shared(&self) {
        self.busy.store(true, Relaxed);
    }

    /// Naps, for a receive that shares the reader and found nothing, if something came since the
    /// last nap. False if not.
    pub(super) fn nap_shared(
        &self,
        queue: &Mutex<impl EventQueue>,
        remaining: Option<Duration>,
    ) -> io::Result<bool> {
        let naps = self.busy.swap(false, Relaxed) && !self.coalesce.is_zero();
        if naps {
            let slice = slice(lock(queue).capacity());
            let nap = self.coalesce.min(slice).min(remaining.unwrap_or(Duration::MAX));
            poll_readable([], Some(nap)).map(|[]| ())?;
        }
        Ok(naps)
    }
}

/// Sleeps for a time, in slices, and no further once a quarter of the queue is taken. True if the
/// connector was shut down.
fn nap(
    time: Duration,
    queue: &impl EventQueue,
    wait: Wait,
    shutdown: Option<&EventFd>,
) -> Result<bool> {
    let mut left = time.min(wait.remaining().unwrap_or(Duration::MAX));
    let slice = slice(queue.capacity());
    while !left.is_zero() {
        if sleep_unless_readable(shutdown.map(EventFd::as_fd), left.min(slice))? {
            return Ok(true);
        }
        left = left.saturating_sub(slice);
        if left.is_zero() || queue.is_filling() {
            break;
        }
    }
    Ok(false)
}

/// A time too short for the fastest machine to fill half of a queue.
pub(super) fn slice(capacity: usize) -> Duration {
    let events = u64::try_from(capacity).unwrap_or(u64::MAX);
    Duration::from_micros(events / 2).max(Duration::from_micros(50))
}

/// Waits for a wake-up. False if the time is over.
fn block(
    queue: &mut impl EventQueue,
    wait: Wait,
    shutdown: Option<&EventFd>,
    counters: &Counters,
) -> Result<bool> {
    if shutdown.is_none() && matches!(wait, Wait::Forever) {
        match queue.wait() {
            Ok(true) => {
                counters.woken();
                return Ok(true);
            }
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
    let remaining = wait.remaining();
    if remaining.is_some_and(|left| left.is_zero()) {
        return Ok(false);
    }
    let wakes = queue.wakes();
    match poll_readable([Some(wakes), shutdown.map(EventFd::as_fd)], remaining) {
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

    /// What each look at a queue finds: nothing, all there is, or a part of it as it seems.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Look {
        Nothing,
        All,
        Part,
    }

    use Look::{All, Nothing, Part};

    struct Script {
        looks: VecDeque<Look>,
        last: Look,
        never: EventFd,
    }

    impl EventQueue for Script {
        fn take(&mut self) -> Result<bool> {
            self.last = self.looks.pop_front().unwrap_or(Nothing);
            Ok(self.last != Nothing)
        }

        fn has_more(&self) -> bool {
            self.last == Part
        }

        fn arm(&mut self) -> bool {
            true
        }

        fn wakes(&self) -> BorrowedFd<'_> {
            self.never.as_fd()
        }

        fn capacity(&self) -> usize {
            1
        }

        fn is_filling(&self) -> bool {
            false
        }
    }

    fn steps(coalesce: Duration, looks: &[Look], count: usize) -> Vec<Step> {
        let never = EventFd::new().expect("a descriptor");
        let looks = looks.iter().copied().collect();
        let mut queue = Script { looks, last: Nothing, never };
        let mut pace = Moderator::new(coalesce);
        (0..count).map(|_| pace.step(&mut queue).expect("a step")).collect()
    }

    #[test]
    fn a_reader_asks_to_be_woken_only_after_a_nap_that_brought_nothing() {
        let time = Duration::from_millis(1);
        let (filled, nap, wait) = (Step::Filled, Step::Nap(time), Step::Wait);
        for (looks, expected) in [
            (&[][..], &[wait, wait][..]),
            (&[All], &[filled, nap, wait]),
            (&[All, All], &[filled, nap, filled, nap, wait]),
            // There was more: no nap before it is taken.
            (&[Part, Part, All], &[filled, filled, filled, nap, wait]),
            // There was not, as after a receive of one.
            (&[Part], &[filled, nap, wait]),
            (&[Part, Nothing, All], &[filled, nap, filled, nap, wait]),
            (&[Nothing, Part, Nothing, Nothing], &[wait, filled, nap, wait]),
        ] {
            assert_eq!(steps(time, looks, expected.len()), expected);
        }
    }

    #[test]
    fn without_coalescing_there_are_no_naps() {
        for looks in [[All, Nothing, All], [Part, Nothing, Part]] {
            let expected = [Step::Filled, Step::Wait, Step::Filled, Step::Wait];
            assert_eq!(steps(Duration::ZERO, &looks, 4), expected);
        }
    }
}
