//! Sets of event kinds.

use core::fmt;
use core::str::FromStr;

use proc_connector_sys as sys;

bitflags::bitflags! {
    /// A set of event kinds, with the kernel's bits. Bits without a name are kept.
    ///
    /// For serde it is its text in formats for people, as `"exec,exit"` in JSON, and the kernel's
    /// bits in others.
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
        /// A process or thread was made.
        #[doc(alias = "PROC_EVENT_FORK")]
        const FORK = sys::PROC_EVENT_FORK;
        /// A process runs a new program.
        #[doc(alias = "PROC_EVENT_EXEC")]
        const EXEC = sys::PROC_EVENT_EXEC;
        /// A user id changed.
        #[doc(alias = "PROC_EVENT_UID")]
        const UID = sys::PROC_EVENT_UID;
        /// A group id changed.
        #[doc(alias = "PROC_EVENT_GID")]
        const GID = sys::PROC_EVENT_GID;
        /// A new session.
        #[doc(alias = "PROC_EVENT_SID")]
        const SID = sys::PROC_EVENT_SID;
        /// A tracer attached or detached.
        #[doc(alias = "PROC_EVENT_PTRACE")]
        const PTRACE = sys::PROC_EVENT_PTRACE;
        /// A name changed.
        #[doc(alias = "PROC_EVENT_COMM")]
        const COMM = sys::PROC_EVENT_COMM;
        /// Only in requests: exits with a failure. No event ever has this kind.
        #[doc(alias = "PROC_EVENT_NONZERO_EXIT")]
        const NONZERO_EXIT = sys::PROC_EVENT_NONZERO_EXIT;
        /// A core dump.
        #[doc(alias = "PROC_EVENT_COREDUMP")]
        const COREDUMP = sys::PROC_EVENT_COREDUMP;
        /// A thread ended.
        #[doc(alias = "PROC_EVENT_EXIT")]
        const EXIT = sys::PROC_EVENT_EXIT;

        const _ = !0;
    }
}

impl EventMask {
    /// Every kind that events have, which leaves out the request-only [`NONZERO_EXIT`](Self::NONZERO_EXIT).
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

    /// The kernel's `PROC_EVENT_ALL`, the one mask under which it still sends acknowledgements.
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
            // No kinds at all is written too, so that every mask can be read back.
            0 if !self.is_empty() => Ok(()),
            unnamed => write!(f, "{separator}{unnamed:#x}"),
        }
    }
}

/// Reads what [`Display`](fmt::Display) writes, letter case aside, and `all` for [`EventMask::EVENTS`].
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
            // `from_str_radix` would take a sign.
            let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
            return u32::from_str_radix(digits, 16).ok().map(Self::from_bits_retain);
        }
        let mut known = Self::all().iter_names();
        known.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, mask)| mask)
    }
}

/// A list of event kinds contains a name that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an event kind: use names separated by commas out of \
     fork, exec, uid, gid, sid, ptrace, comm, coredump, exit, all"
)]
#[non_exhaustive]
pub struct UnknownEventName;
