//! The clock of the kernel's time stamps, and the one that goes on while the machine is suspended.

use std::time::Duration;

/// `CLOCK_MONOTONIC` now.
pub(crate) fn monotonic() -> Duration {
    now(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_BOOTTIME` now.
#[cfg(feature = "process")]
pub(crate) fn boottime() -> Duration {
    now(libc::CLOCK_BOOTTIME)
}

fn now(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec. The call cannot fail for these clocks.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}
