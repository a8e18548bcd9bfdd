//! Sets of event kinds.

use core::fmt;
use core::str::FromStr;

use proc_connector_sys as sys;

bitflags::bitflags! {
    /// A set of event kinds, with the kernel's bits. Unnamed bits are kept.
    ///
    /// In human-readable formats of serde the mask is text, such as `"exec,exit"` in JSON. In other
    /// formats it is the kernel's bits.
    ///
    /// ```
    /// use proc_connector_core::EventMask;
    ///
    /// let mask: EventMask = "exec,exit".parse()?;
    /// assert_eq!(mask, EventMask::EXEC | EventMask::EXIT);
    /// assert_eq!(mask.to_string(), "exec,exit");
    /// # Ok::<(), proc_connector_core::UnknownEventName>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct EventMask: u32 {
        /// A process or thread was created.
        #[doc(alias = "PROC_EVENT_FORK")]
        const FORK = sys::PROC_EVENT_FORK;
        /// A process executed a new program.
        #[doc(alias = "PROC_EVENT_EXEC")]
        const EXEC = sys::PROC_EVENT_EXEC;
        /// A user id changed.
        #[doc(alias = "PROC_EVENT_UID")]
        const UID = sys::PROC_EVENT_UID;
        /// A group id changed.
        #[doc(alias = "PROC_EVENT_GID")]
        const GID = sys::PROC_EVENT_GID;
        /// A process became the leader of a new session.
        #[doc(alias = "PROC_EVENT_SID")]
        const SID = sys::PROC_EVENT_SID;
        /// A tracer attached or detached.
        #[doc(alias = "PROC_EVENT_PTRACE")]
        const PTRACE = sys::PROC_EVENT_PTRACE;
        /// The name of a thread changed, other than by exec.
        #[doc(alias = "PROC_EVENT_COMM")]
        const COMM = sys::PROC_EVENT_COMM;
        /// Failed exits, in requests only. No event has this kind.
        #[doc(alias = "PROC_EVENT_NONZERO_EXIT")]
        const NONZERO_EXIT = sys::PROC_EVENT_NONZERO_EXIT;
        /// A process received a signal that dumps core.
        #[doc(alias = "PROC_EVENT_COREDUMP")]
        const COREDUMP = sys::PROC_EVENT_COREDUMP;
        /// A thread ended.
        #[doc(alias = "PROC_EVENT_EXIT")]
        const EXIT = sys::PROC_EVENT_EXIT;

        const _ = !0;
    }
}

impl EventMask {
    /// Every kind of event: all but [`NONZERO_EXIT`](Self::NONZERO_EXIT), which only requests have.
    pub const EVENTS: Self = Self::from_bits_retain(
        sys::PROC_EVENT_FORK
            | sys::PROC_EVENT_EXEC
            | sys::PROC_EVENT_UID
            | sys::PROC_EVENT_GID
            | sys::PROC_EVENT_SID
            | sys::PROC_EVENT_PTRACE
            | sys::PROC_EVENT_COMM
            | sys::PROC_EVENT_COREDUMP
            | sys::PROC_EVENT_EXIT,
    );

    /// The kernel's `PROC_EVENT_ALL`. With any other mask the kernel sends no acknowledgements.
    #[doc(alias = "PROC_EVENT_ALL")]
    pub const ALL: Self = Self::EVENTS.union(Self::NONZERO_EXIT);
}

/// The names of the kinds in lower case, separated by commas; unnamed bits in hexadecimal.
impl fmt::Display for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut names = self.iter_names();
        for (name, _) in &mut names {
            f.write_str(separator)?;
            separator = ",";
            for letter in name.chars() {
                fmt::Write::write_char(f, letter.to_ascii_lowercase())?;
            }
        }
        match names.remaining().bits() {
            // An empty mask is written as 0x0, so that every mask can be read back.
            0 if !self.is_empty() => Ok(()),
            unnamed => write!(f, "{separator}{unnamed:#x}"),
        }
    }
}

/// Reads the form that [`Display`](fmt::Display) writes, in any letter case, and `all` for
/// [`EventMask::EVENTS`].
impl FromStr for EventMask {
    type Err = UnknownEventName;

    fn from_str(names: &str) -> Result<Self, Self::Err> {
        names.split(',').map(str::trim).try_fold(Self::empty(), |mask, name| {
            Ok(mask | Self::from_kind_name(name).ok_or(UnknownEventName)?)
        })
    }
}

impl EventMask {
    fn from_kind_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("all") {
            return Some(Self::EVENTS);
        }
        if let Some(digits) = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X")) {
            // `from_str_radix` accepts a sign.
            let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
            return u32::from_str_radix(digits, 16).ok().map(Self::from_bits_retain);
        }
        let mut known = Self::all().iter_names();
        known.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, mask)| mask)
    }
}

/// A list of event kinds contains an unknown name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event kind: use a comma-separated list of \
     fork, exec, uid, gid, sid, ptrace, comm, coredump, exit, all"
)]
#[non_exhaustive]
pub struct UnknownEventName;
