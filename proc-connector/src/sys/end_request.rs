//! Requests to end, which are signals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use libc::{SIGHUP, SIGINT, SIGTERM, c_int};
use signal_hook::low_level::emulate_default_handler;

use super::{EventFd, own_monotonic, signals};

/// After this time a second request ends the process immediately: an orderly end writes out what is
/// queued, and may wait for the reader of that. Some programs send one request as two signals.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Has Ctrl-C, SIGTERM and SIGHUP end the receives of a connector, except those that this process was
/// started to ignore.
///
/// # Errors
///
/// What the system says to the handlers.
pub(crate) fn end_on_signals(event: &Arc<EventFd>) -> io::Result<()> {
    raise_on_signals(event, &Arc::default())
}

/// A request to end, once it was made: SIGINT, SIGTERM or SIGHUP, except those that this process was
/// started to ignore.
#[derive(Debug)]
pub struct EndRequest {
    event: Arc<EventFd>,
    signal: Arc<AtomicI32>,
}

impl EndRequest {
    /// Waits for signals from now on. The descriptor becomes readable with the first.
    ///
    /// # Errors
    ///
    /// What the system says to a new descriptor, or to the handlers.
    pub fn new() -> io::Result<Self> {
        let request = Self { event: Arc::new(EventFd::new()?), signal: Arc::default() };
        raise_on_signals(&request.event, &request.signal)?;
        Ok(request)
    }

    /// Whether it was made.
    pub fn is_made(&self) -> bool {
        self.event.is_raised()
    }

    /// Does what the signal would have done without a handler, which is to end the process. Nothing
    /// where the request was not made.
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

fn raise_on_signals(event: &Arc<EventFd>, first: &Arc<AtomicI32>) -> io::Result<()> {
    // The time of the first request in nanoseconds; zero before one.
    let asked = Arc::new(AtomicU64::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signals::is_ignored(signal) {
            continue;
        }
        let (event, first, asked) = (Arc::clone(event), Arc::clone(first), Arc::clone(&asked));
        let handler = move || ask(signal, &event, &first, &asked);
        // SAFETY: it reads a clock, stores numbers and writes to a descriptor; the default action's
        // stand-in is made for handlers.
        unsafe { signals::handle(signal, handler) }?;
    }
    Ok(())
}

/// In the handler of a signal.
fn ask(signal: c_int, event: &EventFd, first: &AtomicI32, asked: &AtomicU64) {
    let now = monotonic_ns();
    match asked.compare_exchange(0, now, Relaxed, Relaxed) {
        Ok(_) => {
            first.store(signal, Relaxed);
            // If that fails, the next request ends the process.
            let _ = event.raise();
        }
        Err(before) if Duration::from_nanos(now.saturating_sub(before)) > PATIENCE => {
            let _ = emulate_default_handler(signal);
        }
        Err(_) => {}
    }
}

/// The time in nanoseconds, which is never zero.
pub(super) fn monotonic_ns() -> u64 {
    u64::try_from(own_monotonic().as_nanos()).unwrap_or(u64::MAX).max(1)
}
