//! Resource usage of a thread or of a whole process.

use super::layout::UsageHdr;

/// The resources that a thread, or all threads of a process together, used from start to end.
///
/// The kernel's counters are those of `getrusage(2)` and `/proc/PID/io`. As in the latter, the bytes
/// that a process read and wrote include those of the children that it has waited for
/// (`wait_task_zombie` in `kernel/exit.c`). The bytes of a thread are its own.
///
/// ```
/// use proc_connector_core::Usage;
///
/// // The kernel samples 3 ticks of user time and 1 of system time, but accounts 20 ms of CPU time.
/// let usage = Usage {
///     cpu_ns: 20_000_000,
///     utime_ns: 12_000_000,
///     stime_ns: 4_000_000,
///     ..Usage::default()
/// };
/// assert_eq!((usage.user_ns(), usage.system_ns()), (15_000_000, 5_000_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "tests and tables build it; fields are the kernel's")]
pub struct Usage {
    /// CPU time in nanoseconds (`sum_exec_runtime`). The kernel updates it at ticks, switches and
    /// wake-ups, so the time between the last update and the exit is missing: less than a tick, and 5
    /// to 30 µs on average.
    pub cpu_ns: u64,
    /// User time in nanoseconds, as the kernel samples it.
    pub utime_ns: u64,
    /// System time in nanoseconds, as the kernel samples it.
    pub stime_ns: u64,
    /// Voluntary context switches.
    pub nvcsw: u64,
    /// Involuntary context switches.
    pub nivcsw: u64,
    /// Page faults that needed no I/O.
    pub min_flt: u64,
    /// Page faults that needed I/O.
    pub maj_flt: u64,
    /// Bytes read from storage; 0 on a kernel that does not count them.
    pub read_bytes: u64,
    /// Bytes written to storage; 0 on a kernel that does not count them.
    pub write_bytes: u64,
    /// Peak resident memory of the process in bytes. `None` for a thread whose process continues.
    pub max_rss: Option<u64>,
}

impl Usage {
    pub(super) fn new(header: &UsageHdr) -> Self {
        Self {
            cpu_ns: header.cpu_ns.get(),
            utime_ns: header.utime.get(),
            stime_ns: header.stime.get(),
            nvcsw: header.nvcsw.get(),
            nivcsw: header.nivcsw.get(),
            min_flt: header.min_flt.get(),
            maj_flt: header.maj_flt.get(),
            read_bytes: header.read_bytes.get(),
            write_bytes: header.write_bytes.get(),
            max_rss: Some(header.max_rss.get()).filter(|&bytes| bytes != 0),
        }
    }

    /// CPU time in user mode, in nanoseconds: the CPU time in the proportion of the samples, as
    /// `getrusage(2)` reports it (`cputime_adjust` in `kernel/sched/cputime.c`).
    #[must_use]
    pub fn user_ns(&self) -> u64 {
        self.cpu_ns - self.system_ns()
    }

    /// CPU time in the kernel, in nanoseconds, in the proportion of the samples.
    #[must_use]
    pub fn system_ns(&self) -> u64 {
        if self.stime_ns == 0 {
            return 0;
        }
        if self.utime_ns == 0 {
            return self.cpu_ns;
        }
        let sampled = u128::from(self.utime_ns) + u128::from(self.stime_ns);
        let system = u128::from(self.cpu_ns) * u128::from(self.stime_ns) / sampled;
        u64::try_from(system).unwrap_or(self.cpu_ns)
    }
}

/// The sum of two usages, saturating. The peak memory is the larger of the two.
impl core::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            utime_ns: self.utime_ns.saturating_add(other.utime_ns),
            stime_ns: self.stime_ns.saturating_add(other.stime_ns),
            nvcsw: self.nvcsw.saturating_add(other.nvcsw),
            nivcsw: self.nivcsw.saturating_add(other.nivcsw),
            min_flt: self.min_flt.saturating_add(other.min_flt),
            maj_flt: self.maj_flt.saturating_add(other.maj_flt),
            read_bytes: self.read_bytes.saturating_add(other.read_bytes),
            write_bytes: self.write_bytes.saturating_add(other.write_bytes),
            max_rss: self.max_rss.max(other.max_rss),
        }
    }
}
