//! The clocks of this process's time namespace. Time stamps of events refer to the initial time
//! namespace; [`time_namespace`](crate::live::host::time_namespace) converts between the two.

use std::time::Duration;

/// `CLOCK_MONOTONIC` now.
pub(crate) fn own_monotonic() -> Duration {
    now(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_BOOTTIME` now, which includes time in suspend.
pub(crate) fn own_boottime() -> Duration {
    now(libc::CLOCK_BOOTTIME)
}

fn now(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to a live timespec. The call cannot fail for these clocks.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}
