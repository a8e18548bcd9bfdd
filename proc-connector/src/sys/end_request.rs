//! Signals that request this process to end: SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use libc::{SIGHUP, SIGINT, SIGTERM, c_int};
use signal_hook::low_level::emulate_default_handler;

use super::clock::own_monotonic;
use super::event_fd::EventFd;
use super::signals;

/// A request that follows the first by more than this time ends the process immediately: an orderly
/// end writes queued output, and may block on its reader. Earlier requests are ignored, because
/// some programs send one request as two signals.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Raises `event` at SIGINT, SIGTERM and SIGHUP, except for signals that this process inherited as
/// ignored.
///
/// # Errors
///
/// An error of `sigaction`.
pub(crate) fn end_on_signals(event: &Arc<EventFd>) -> io::Result<()> {
    raise_on_signals(event, &Arc::default())
}

/// Reports whether SIGINT, SIGTERM or SIGHUP has arrived, except for signals that this process
/// inherited as ignored.
#[derive(Debug)]
pub struct EndRequest {
    event: Arc<EventFd>,
    signal: Arc<AtomicI32>,
}

impl EndRequest {
    /// Installs the handlers. The first signal makes the descriptor readable.
    ///
    /// # Errors
    ///
    /// An error of `eventfd` or `sigaction`.
    pub fn new() -> io::Result<Self> {
        Self::raising(Arc::new(EventFd::new()?))
    }

    /// Installs handlers that raise `event`.
    ///
    /// # Errors
    ///
    /// An error of `sigaction`.
    pub(crate) fn raising(event: Arc<EventFd>) -> io::Result<Self> {
        let request = Self { event, signal: Arc::default() };
        raise_on_signals(&request.event, &request.signal)?;
        Ok(request)
    }

    /// Whether a signal has arrived.
    pub fn is_made(&self) -> bool {
        self.event.is_raised()
    }

    /// Takes the default action of the signal that arrived, which ends the process. Returns if none
    /// has arrived.
    pub fn end_by_signal(&self) {
        let signal = self.signal.load(Relaxed);
        if signal != 0 {
            let _ = emulate_default_handler(signal);
        }
    }
}

impl AsFd for EndRequest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

fn raise_on_signals(event: &Arc<EventFd>, first_signal: &Arc<AtomicI32>) -> io::Result<()> {
    // The time of the first request in nanoseconds; zero before it.
    let first_ns = Arc::new(AtomicU64::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signals::is_ignored(signal) {
            continue;
        }
        let event = Arc::clone(event);
        let (first_signal, first_ns) = (Arc::clone(first_signal), Arc::clone(&first_ns));
        let handler = move || on_end_signal(signal, &event, &first_signal, &first_ns);
        // SAFETY: the handler reads a clock, stores numbers and calls `write`;
        // `emulate_default_handler` is async-signal-safe.
        unsafe { signals::handle(signal, handler) }?;
    }
    Ok(())
}

/// The signal handler.
fn on_end_signal(signal: c_int, event: &EventFd, first_signal: &AtomicI32, first_ns: &AtomicU64) {
    let now = monotonic_ns();
    match first_ns.compare_exchange(0, now, Relaxed, Relaxed) {
        Ok(_) => {
            first_signal.store(signal, Relaxed);
            // If the write fails, a later request still ends the process.
            let _ = event.raise();
        }
        Err(first) if Duration::from_nanos(now.saturating_sub(first)) > PATIENCE => {
            let _ = emulate_default_handler(signal);
        }
        Err(_) => {}
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, never zero.
pub(super) fn monotonic_ns() -> u64 {
    u64::try_from(own_monotonic().as_nanos()).unwrap_or(u64::MAX).max(1)
}
