//! From the kernel's time stamps to the time of day.

use std::time::{Duration, SystemTime};

/// Converts `timestamp_ns` of events to the time of day.
///
/// It compares the two clocks once, when it is made. The time of day may be set, and the time stamps stand
/// still while the machine is suspended, so a program that runs for long makes a new one now and
/// then: for each batch, say, which costs two readings of a clock.
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
    /// Compares the clocks.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: epoch() }
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

#[cfg(target_os = "linux")]
fn epoch() -> SystemTime {
    let monotonic = crate::sys::monotonic();
    SystemTime::now().checked_sub(monotonic).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(not(target_os = "linux"))]
fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH
}
