//! Datagrams that were received before somebody asked for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A queue of datagrams, shared, and free to look at while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Stash {
    datagrams: Mutex<VecDeque<Box<[u8]>>>,
    /// Whether there may be any. Changed under the lock only.
    filled: AtomicBool,
}

impl Stash {
    pub(crate) fn new(datagrams: VecDeque<Box<[u8]>>) -> Self {
        let filled = AtomicBool::new(!datagrams.is_empty());
        Self { datagrams: Mutex::new(datagrams), filled }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.filled.load(Ordering::Acquire)
    }

    /// Takes the first datagram if `fits` says so, and otherwise fails with its length.
    pub(crate) fn pop(&self, fits: impl Fn(usize) -> bool) -> Option<Result<Box<[u8]>, usize>> {
        if self.is_empty() {
            return None;
        }
        self.with(|datagrams| {
            let len = datagrams.front()?.len();
            if fits(len) { datagrams.pop_front().map(Ok) } else { Some(Err(len)) }
        })
    }

    /// Puts back a datagram, or what is left of one, as the first.
    pub(crate) fn push_front(&self, datagram: &[u8]) {
        self.with(|datagrams| datagrams.push_front(datagram.into()));
    }

    /// Gives `take` all datagrams, and drops as many of the first as it says it has taken.
    pub(crate) fn drain(&mut self, take: impl FnOnce(&mut dyn Iterator<Item = &[u8]>) -> usize) {
        self.with(|datagrams| {
            let taken = take(&mut datagrams.iter().map(|datagram| &**datagram));
            datagrams.drain(..taken);
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<Box<[u8]>>) -> T) -> T {
        let mut datagrams = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut datagrams);
        self.filled.store(!datagrams.is_empty(), Ordering::Release);
        result
    }
}
