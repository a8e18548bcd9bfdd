//! From the kernel's time stamps to the time of day.

use std::io;
use std::time::{Duration, SystemTime};

use crate::platform;

/// Converts `timestamp_ns` of events to the time of day.
///
/// It compares the two clocks once, when it is made. The time of day may be set, and the time stamps stand
/// still while the machine is suspended, so a program that runs for long makes a new one now and
/// then: for each batch, say, which costs two readings of a clock.
///
/// The kernel stamps events with the clock of the initial time namespace. In another one the
/// difference is read from `/proc/self/timens_offsets`, once in a process; [`try_new`](Self::try_new)
/// says where that cannot be done.
///
/// Only Linux has the clock of the time stamps. Elsewhere they are taken to count from 1970.
///
/// ```no_run
/// use proc_connector::{ProcConnector, Received, WallClock};
///
/// let mut events = ProcConnector::new()?;
/// let batch = events.recv_batch()?;
/// let clock = WallClock::new();
/// for received in batch {
///     let Received::Event(event) = received else { continue };
///     println!("{:?}", clock.time(event.timestamp_ns()));
/// }
/// # Ok::<(), proc_connector::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// When the time stamps were 0, had the machine never been suspended.
    epoch: SystemTime,
}

impl WallClock {
    /// Compares the clocks. The offset of this process's time namespace counts as zero if it cannot
    /// be read.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: epoch(Self::now_ns()) }
    }

    /// Compares the clocks, or reports why they cannot be compared.
    ///
    /// # Errors
    ///
    /// The process is in another time namespace than the initial one, and the offset of its clock
    /// cannot be read: [`Unsupported`](std::io::ErrorKind::Unsupported), or the error of reading it.
    pub fn try_new() -> io::Result<Self> {
        platform::check_clock()?;
        Ok(Self::new())
    }

    /// The current time of the clock that stamps events, in nanoseconds.
    pub fn now_ns() -> u64 {
        platform::clock_ns()
    }

    /// The time of day of a `timestamp_ns`.
    pub fn time(&self, timestamp_ns: u64) -> SystemTime {
        let since = Duration::from_nanos(timestamp_ns);
        self.epoch.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

fn epoch(now_ns: u64) -> SystemTime {
    let since = Duration::from_nanos(now_ns);
    SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH)
}
