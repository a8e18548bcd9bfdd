//! Converts the kernel's time stamps to the time of day.

use std::io;
use std::time::{Duration, SystemTime};

use crate::platform;

/// Converts the `timestamp_ns` of events to the time of day.
///
/// The clocks are compared once, at construction. They drift apart when the time of day is set and
/// while the machine is suspended. A long-running program should therefore create a new value
/// regularly, for example for each batch. Creating one reads two clocks.
///
/// The kernel uses the clock of the initial time namespace. In another time namespace, the offset
/// is read from `/proc/self/timens_offsets`, once per process; [`try_new`](Self::try_new) reports a
/// failure.
///
/// Other systems than Linux lack this clock. There, time stamps are assumed to count from 1970.
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
    /// The time of day at time stamp 0, as if the machine had never been suspended.
    epoch: SystemTime,
}

impl WallClock {
    /// Compares the clocks. If the offset of this process's time namespace cannot be read, it is
    /// assumed to be zero.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: epoch(Self::now_ns()) }
    }

    /// Compares the clocks, or reports why they cannot be compared.
    ///
    /// # Errors
    ///
    /// The process is not in the initial time namespace, and the offset of its clock cannot be
    /// read: [`Unsupported`](std::io::ErrorKind::Unsupported), or the error of reading it.
    pub fn try_new() -> io::Result<Self> {
        platform::check_clock()?;
        Ok(Self::new())
    }

    /// The current time by the clock of time stamps, in nanoseconds.
    pub fn now_ns() -> u64 {
        platform::clock_ns()
    }

    /// The time of day of a time stamp in nanoseconds.
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
