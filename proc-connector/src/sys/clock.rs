//! The clocks of this process's time namespace. What the kernel stamps is in the initial one: see
//! [`time_namespace`](crate::live::host::time_namespace).

use std::time::Duration;

/// `CLOCK_MONOTONIC` now.
pub(crate) fn own_monotonic() -> Duration {
    now(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_BOOTTIME` now, which goes on while the machine is suspended.
#[cfg(feature = "process")]
pub(crate) fn own_boottime() -> Duration {
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
