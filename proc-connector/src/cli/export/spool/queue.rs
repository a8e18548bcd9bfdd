//! A spool that one thread fills and another empties.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::{Batch, Discards, Handed, Unreported};
use super::error::Error;
use super::store::Spool;

/// A spool shared by the thread that appends and the thread that sends. Clones share the spool.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// A field of `Inner` has changed.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    spool: Spool,
    /// No more batches follow.
    ends: bool,
    /// The sender has made an attempt since then.
    has_seen_end: bool,
    /// The sender is to leave the rest to the next run.
    is_abandoned: bool,
}

/// What the sender does next.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Handed),
    /// No more batches follow, or the rest is left to the next run.
    End,
}

impl Queue {
    pub(crate) fn new(spool: Spool) -> Self {
        let inner =
            Mutex::new(Inner { spool, ends: false, has_seen_end: false, is_abandoned: false });
        Self(Arc::new(Shared { inner, changed: Condvar::new() }))
    }

    /// As [`Spool::append_reporting`].
    ///
    /// # Errors
    ///
    /// As [`Spool::append_reporting`].
    pub(crate) fn append(&self, batch: &Batch, report: Unreported) -> Result<(), Error> {
        self.lock().spool.append_reporting(batch, report)?;
        self.0.changed.notify_one();
        Ok(())
    }

    pub(crate) fn unreported(&self) -> Unreported {
        self.lock().spool.unreported()
    }

    pub(crate) fn discards(&self) -> Discards {
        self.lock().spool.discards()
    }

    /// The number of records that wait for a receiver.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().spool.waiting()
    }

    /// Waits for a batch.
    ///
    /// # Errors
    ///
    /// As [`Spool::next`].
    pub(crate) fn next(&self) -> Result<Next, Error> {
        let mut inner = self.lock();
        loop {
            if inner.is_abandoned {
                return Ok(Next::End);
            }
            if let Some(handed) = inner.spool.next()? {
                return Ok(Next::Send(handed));
            }
            if inner.ends {
                return Ok(Next::End);
            }
            inner = self.0.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Spool::accepted`].
    ///
    /// # Errors
    ///
    /// As [`Spool::accepted`].
    pub(crate) fn accepted(&self, refused: u64) -> Result<(), Error> {
        self.lock().spool.accepted(refused)
    }

    /// Waits before another attempt. The first wait after [`Queue::end`] ends at once, and so does each
    /// after [`Queue::abandon`]. Returns whether the sender is to leave the rest to the next run.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let deadline = Instant::now().checked_add(time);
        let mut inner = self.lock();
        while inner.ends == inner.has_seen_end && !inner.is_abandoned {
            let left = deadline.map_or(time, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let waited = self.0.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.has_seen_end = inner.ends;
        inner.is_abandoned
    }

    /// Makes the sender end when the spool is empty. It does not wait for the next attempt.
    pub(crate) fn end(&self) {
        self.lock().ends = true;
        self.0.changed.notify_all();
    }

    /// Makes the sender end after the current request.
    pub(crate) fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.0.changed.notify_all();
    }

    /// A panic of the other thread leaves the spool as after an error.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
