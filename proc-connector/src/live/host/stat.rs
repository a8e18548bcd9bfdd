//! The files `stat` and `status` of a process in `/proc`.

/// The unit of the times in `/proc/PID/stat`, in nanoseconds: the kernel's `USER_HZ` is 100 on
/// every architecture that Rust supports.
pub(crate) const TICK_NS: u64 = 10_000_000;

/// The fields of `/proc/PID/stat` in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat<'a> {
    pub(crate) comm: &'a [u8],
    pub(crate) state: u8,
    pub(crate) ppid: u32,
    pub(crate) session: u32,
    pub(crate) flags: u32,
    /// User and system time.
    pub(crate) cpu_ticks: u64,
    pub(crate) num_threads: u32,
    pub(crate) start_ticks: u64,
}

impl<'a> Stat<'a> {
    /// Whether the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Parses `PID (COMM) STATE PPID ...`. The name may contain spaces and parentheses.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let start = line.iter().position(|&byte| byte == b'(')? + 1;
        let end = line.iter().rposition(|&byte| byte == b')')?;
        let comm = line.get(start..end)?;
        let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
        // `proc(5)` counts the fields from 1; this iterator starts with the third.
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.bytes().next()?;
        let ppid = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let flags = fields.nth(2)?.parse().ok()?;
        let utime: u64 = fields.nth(4)?.parse().ok()?;
        let stime: u64 = fields.next()?.parse().ok()?;
        let cpu_ticks = utime.saturating_add(stime);
        let num_threads = fields.nth(4)?.parse().ok()?;
        let start_ticks = fields.nth(1)?.parse().ok()?;
        Some(Self { comm, state, ppid, session, flags, cpu_ticks, num_threads, start_ticks })
    }
}

/// The tick of `/proc` in the initial time namespace in which a process was created at this time of
/// `CLOCK_BOOTTIME`, in nanoseconds.
pub(crate) fn ticks(start_boottime_ns: u64, boottime_offset_ns: i64) -> u64 {
    let own_ns = start_boottime_ns.wrapping_add_signed(boottime_offset_ns);
    initial_ticks(own_ns / TICK_NS, boottime_offset_ns)
}

/// Converts a time of `/proc` to the initial time namespace. The result is the tick in which the
/// process was created, or the one before if the offset is not a multiple of a tick.
///
/// The kernel adds the offset without a sign. The sum wraps around for a process that is older than
/// the namespace's clock.
pub(crate) fn initial_ticks(ticks: u64, boottime_offset_ns: i64) -> u64 {
    let ns = ticks.wrapping_mul(TICK_NS).wrapping_add_signed(boottime_offset_ns.wrapping_neg());
    let is_before_the_start = ns > u64::MAX / 2;
    if is_before_the_start { 0 } else { ns / TICK_NS }
}

/// The real and the effective id in a line of `/proc/PID/status`.
pub(crate) fn ids(status: &[u8], name: &[u8]) -> Option<(u32, u32)> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    let mut ids = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_parentheses_and_spaces() {
        let line = b"42 (a) Z 1 (b) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 10500 99 100\n";
        let stat = Stat::parse(line).expect("a line of stat");
        let expected = Stat {
            comm: b"a) Z 1 (b",
            state: b'S',
            ppid: 7,
            session: 9,
            flags: 4_194_560,
            cpu_ticks: 5 + 6,
            num_threads: 3,
            start_ticks: 10_500,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_truncated_line_is_rejected() {
        let line = b"42 (a) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 10500";
        assert!(Stat::parse(line).is_some());
        for len in 0..line.len() - "10500".len() {
            assert_eq!(Stat::parse(&line[..len]), None, "{len}");
        }
        assert_eq!(Stat::parse(b") S ("), None);
    }

    #[test]
    fn ids_are_the_first_two_of_the_line() {
        let status = b"Name:\tUid: 9\nUid:\t1000\t0\t0\t0\nGid:\t5\t6\t7\t8\n";
        assert_eq!(ids(status, b"Uid:"), Some((1000, 0)));
        assert_eq!(ids(status, b"Gid:"), Some((5, 6)));
        assert_eq!(ids(b"Uid:\tx\n", b"Uid:"), None);
    }

    #[test]
    fn start_times_are_converted_to_the_initial_time_namespace() {
        let second = 1_000_000_000;
        assert_eq!(initial_ticks(10_500, 0), 10_500);
        assert_eq!(initial_ticks(10_500, 5 * second), 10_000);
        assert_eq!(initial_ticks(10_500, -5 * second), 11_000);
        // The result is never later than the real start.
        assert_eq!(initial_ticks(10_500, 5 * second + 1), 9_999);
        assert_eq!(initial_ticks(10_500, -5 * second - 1), 11_000);
        assert_eq!(initial_ticks(7, 5 * second), 0);
        // Created 3 s after the machine's start, and 2 s before the start of the namespace's clock.
        let wrapped = 0_u64.wrapping_add_signed(3 * second - 5 * second) / TICK_NS;
        assert!((299..=300).contains(&initial_ticks(wrapped, -5 * second)));
    }
}
