//! Wait statuses, as in the `exit_code` of an exit event.

use core::fmt;

/// A wait status, as in the `exit_code` of an exit event.
///
/// Serde represents it as that number, so a recorded `exit_code` can be read as an `ExitStatus`.
///
/// ```
/// use proc_connector_core::ExitStatus;
///
/// assert_eq!(ExitStatus::from_raw(3 << 8).code(), Some(3));
/// let crash = ExitStatus::from_raw(11 | 0x80);
/// assert_eq!((crash.code(), crash.signal(), crash.core_dumped()), (None, Some(11), true));
/// assert_eq!(crash.to_string(), "killed by SIGSEGV (core dumped)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct ExitStatus(u32);

impl ExitStatus {
    /// Decodes an `exit_code` of the kernel.
    #[inline]
    pub const fn from_raw(exit_code: u32) -> Self {
        Self(exit_code)
    }

    /// The `exit_code` of the kernel.
    #[inline]
    pub const fn into_raw(self) -> u32 {
        self.0
    }

    /// The exit code of the process, or `None` if a signal killed it.
    #[inline]
    pub const fn code(self) -> Option<u8> {
        if self.signal_bits() == 0 { Some(((self.0 >> 8) & 0xff) as u8) } else { None }
    }

    /// The signal that killed the process, or `None` if it exited.
    #[inline]
    pub const fn signal(self) -> Option<u8> {
        match self.signal_bits() {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Whether the process dumped core.
    #[inline]
    pub const fn core_dumped(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Whether the process exited with code 0.
    #[inline]
    pub const fn success(self) -> bool {
        matches!(self.code(), Some(0))
    }

    const fn signal_bits(self) -> u8 {
        (self.0 & 0x7f) as u8
    }
}

/// `exit 3`, `killed by SIGSEGV` or `killed by SIGSEGV (core dumped)`.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.signal_bits()) {
            (Some(code), _) => write!(f, "exit {code}")?,
            (None, signal) => match signal_name(signal) {
                Some(name) => write!(f, "killed by {name}")?,
                None => write!(f, "killed by signal {signal}")?,
            },
        }
        f.write_str(if self.core_dumped() { " (core dumped)" } else { "" })
    }
}

/// The name of a signal, by its number on all architectures except Alpha, MIPS, PA-RISC and SPARC.
/// Real-time signals have no name.
///
/// ```
/// assert_eq!(proc_connector_core::signal_name(9), Some("SIGKILL"));
/// assert_eq!(proc_connector_core::signal_name(64), None);
/// ```
pub const fn signal_name(signal: u8) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    match signal {
        1..=31 => Some(NAMES[signal as usize - 1]),
        _ => None,
    }
}
