//! Datagrams that a shared receive put back, whole or in part.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::live::transport::{Notice, Unread};

/// A shared queue of datagrams. While it is empty, a check costs one atomic load.
#[derive(Debug)]
pub(crate) struct Stash {
    datagrams: Mutex<VecDeque<Box<[u8]>>>,
    /// Whether the queue holds datagrams. Changes only under the lock.
    filled: AtomicBool,
    notice: Arc<Notice>,
}

impl Stash {
    pub(crate) fn new(notice: Arc<Notice>) -> Self {
        Self { datagrams: Mutex::default(), filled: AtomicBool::new(false), notice }
    }

    /// Takes the first datagram if `fits` returns true for its length. Otherwise leaves it and
    /// returns the length as an error.
    pub(crate) fn pop(&self, fits: impl Fn(usize) -> bool) -> Option<Result<Box<[u8]>, usize>> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        self.change(|datagrams| {
            let len = datagrams.front()?.len();
            if fits(len) { datagrams.pop_front().map(Ok) } else { Some(Err(len)) }
        })
    }

    /// Puts a datagram, or the rest of a datagram, at the front.
    pub(crate) fn push_front(&self, datagram: &[u8]) {
        self.change(|datagrams| datagrams.push_front(datagram.into()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut VecDeque<Box<[u8]>>) -> T) -> T {
        let mut datagrams = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut datagrams);
        let filled = !datagrams.is_empty();
        self.filled.store(filled, Ordering::Release);
        self.notice.set(Unread::Stash, filled);
        result
    }
}
