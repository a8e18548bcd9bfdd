//! The owned event of 0.1.5.

use std::fmt;

use proc_connector_core::{ByteOrder, Event, ExitStatus, Payload};

/// A process event, owned.
///
/// `pid` is the thread id and `tgid` the process id, as in the kernel. `timestamp_ns` counts
/// nanoseconds of `CLOCK_MONOTONIC`. The CPU, the sequence number and the parents of exits are only
/// in [`Event`] and [`OwnedEvent`](crate::OwnedEvent).
///
/// With the feature `serde`, an event is a map: the key `event` is the variant in lower case, and
/// the other keys are the names of the fields. `comm` is text, the name up to its NUL, with U+FFFD
/// for bytes that are not UTF-8. If the text does not represent all bytes, `raw_comm` has the 16
/// bytes. An [`Event`] is serialized with the same keys and additional ones.
///
/// Deserialization ignores unknown keys, so it accepts a serialized `Event` and the lines of
/// `proc-connector watch --json`. It requires a format that names the fields.
///
/// ```
/// use proc_connector::ProcEvent;
///
/// let event = ProcEvent::Exit { pid: 7, tgid: 7, exit_code: 768, exit_signal: 17, timestamp_ns: 5 };
/// assert_eq!(event.to_string(), "EXIT pid=7 tgid=7 code=768 signal=17 ts=5");
/// assert_eq!(event.exit_status().and_then(|status| status.code()), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "event", rename_all = "lowercase"))]
#[allow(clippy::exhaustive_enums)]
pub enum ProcEvent {
    /// A process runs a new program.
    #[doc(alias = "PROC_EVENT_EXEC")]
    Exec {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A process was created, or a thread if `child_pid` and `child_tgid` differ.
    ///
    /// The parent of a new thread is the parent of its process, not the thread that created it.
    #[doc(alias = "PROC_EVENT_FORK")]
    Fork {
        /// Thread id of the parent.
        parent_pid: u32,
        /// Process id of the parent.
        parent_tgid: u32,
        /// Thread id of the child.
        child_pid: u32,
        /// Process id of the child.
        child_tgid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A thread ended. A process ends with its last thread.
    #[doc(alias = "PROC_EVENT_EXIT")]
    Exit {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// Wait status: see [`ProcEvent::exit_status`].
        exit_code: u32,
        /// Signal that the parent receives, not the cause of death. `u32::MAX` for threads other
        /// than the first of a process, whose end is not reported to a parent.
        exit_signal: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A thread's user ids changed.
    #[doc(alias = "PROC_EVENT_UID")]
    Uid {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// New real user id.
        ruid: u32,
        /// New effective user id.
        euid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A thread's group ids changed.
    #[doc(alias = "PROC_EVENT_GID")]
    Gid {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// New real group id.
        rgid: u32,
        /// New effective group id.
        egid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A process became the leader of a new session.
    #[doc(alias = "PROC_EVENT_SID")]
    Sid {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A tracer attached, or detached if the ids of the tracer are 0.
    #[doc(alias = "PROC_EVENT_PTRACE")]
    Ptrace {
        /// Thread id of the traced thread.
        pid: u32,
        /// Process id of the traced thread.
        tgid: u32,
        /// Thread id of the tracer.
        tracer_pid: u32,
        /// Process id of the tracer.
        tracer_tgid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A thread's name changed, other than by an exec.
    #[doc(alias = "PROC_EVENT_COMM")]
    Comm {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// The new name in any encoding, normally terminated by a NUL.
        #[cfg_attr(feature = "serde", serde(flatten, with = "crate::serde_forms::comm"))]
        comm: [u8; 16],
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// A process is about to dump core. Its limits may still prevent the dump.
    #[doc(alias = "PROC_EVENT_COREDUMP")]
    Coredump {
        /// Thread id.
        pid: u32,
        /// Process id.
        tgid: u32,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        timestamp_ns: u64,
    },
    /// An event of a kind that this version does not know.
    Unknown {
        /// The kernel's `what`.
        what: u32,
        /// The bytes of the `event_data` union.
        raw_data: Vec<u8>,
    },
}

impl ProcEvent {
    /// How the thread ended, for an exit. `None` for other events.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        match *self {
            Self::Exit { exit_code, .. } => Some(ExitStatus::from_raw(exit_code)),
            _ => None,
        }
    }
}

/// Copies an event out of its buffer. Only unknown kinds allocate.
impl<O: ByteOrder> From<Event<'_, O>> for ProcEvent {
    #[inline]
    fn from(event: Event<'_, O>) -> Self {
        let timestamp_ns = event.timestamp_ns();
        match event.payload() {
            Payload::Fork(fork) => Self::Fork {
                parent_pid: fork.parent_pid(),
                parent_tgid: fork.parent_tgid(),
                child_pid: fork.child_pid(),
                child_tgid: fork.child_tgid(),
                timestamp_ns,
            },
            Payload::Exec(exec) => {
                Self::Exec { pid: exec.process_pid(), tgid: exec.process_tgid(), timestamp_ns }
            }
            Payload::Exit(exit) => Self::Exit {
                pid: exit.process_pid(),
                tgid: exit.process_tgid(),
                exit_code: exit.exit_code(),
                exit_signal: exit.exit_signal(),
                timestamp_ns,
            },
            Payload::Uid(uid) => Self::Uid {
                pid: uid.process_pid(),
                tgid: uid.process_tgid(),
                ruid: uid.ruid(),
                euid: uid.euid(),
                timestamp_ns,
            },
            Payload::Gid(gid) => Self::Gid {
                pid: gid.process_pid(),
                tgid: gid.process_tgid(),
                rgid: gid.rgid(),
                egid: gid.egid(),
                timestamp_ns,
            },
            Payload::Sid(sid) => {
                Self::Sid { pid: sid.process_pid(), tgid: sid.process_tgid(), timestamp_ns }
            }
            Payload::Ptrace(ptrace) => Self::Ptrace {
                pid: ptrace.process_pid(),
                tgid: ptrace.process_tgid(),
                tracer_pid: ptrace.tracer_pid(),
                tracer_tgid: ptrace.tracer_tgid(),
                timestamp_ns,
            },
            Payload::Comm(comm) => Self::Comm {
                pid: comm.process_pid(),
                tgid: comm.process_tgid(),
                comm: *comm.comm(),
                timestamp_ns,
            },
            Payload::Coredump(dump) => {
                Self::Coredump { pid: dump.process_pid(), tgid: dump.process_tgid(), timestamp_ns }
            }
            // Unknown kinds, and kinds that only the parser knows.
            _ => Self::Unknown { what: event.what(), raw_data: event.data().to_vec() },
        }
    }
}

impl fmt::Display for ProcEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec { pid, tgid, timestamp_ns } => {
                write!(f, "EXEC pid={pid} tgid={tgid} ts={timestamp_ns}")
            }
            Self::Fork { parent_pid, parent_tgid, child_pid, child_tgid, timestamp_ns } => write!(
                f,
                "FORK parent=({parent_pid},{parent_tgid}) child=({child_pid},{child_tgid}) \
                 ts={timestamp_ns}"
            ),
            Self::Exit { pid, tgid, exit_code, exit_signal, timestamp_ns } => write!(
                f,
                "EXIT pid={pid} tgid={tgid} code={exit_code} signal={exit_signal} ts={timestamp_ns}"
            ),
            Self::Uid { pid, tgid, ruid, euid, timestamp_ns } => {
                write!(f, "UID pid={pid} tgid={tgid} ruid={ruid} euid={euid} ts={timestamp_ns}")
            }
            Self::Gid { pid, tgid, rgid, egid, timestamp_ns } => {
                write!(f, "GID pid={pid} tgid={tgid} rgid={rgid} egid={egid} ts={timestamp_ns}")
            }
            Self::Sid { pid, tgid, timestamp_ns } => {
                write!(f, "SID pid={pid} tgid={tgid} ts={timestamp_ns}")
            }
            Self::Ptrace { pid, tgid, tracer_pid, tracer_tgid, timestamp_ns } => write!(
                f,
                "PTRACE pid={pid} tgid={tgid} tracer=({tracer_pid},{tracer_tgid}) \
                 ts={timestamp_ns}"
            ),
            Self::Comm { pid, tgid, comm, timestamp_ns } => {
                let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
                let name = std::str::from_utf8(name).unwrap_or("<invalid>");
                write!(f, "COMM pid={pid} tgid={tgid} name=\"{name}\" ts={timestamp_ns}")
            }
            Self::Coredump { pid, tgid, timestamp_ns } => {
                write!(f, "COREDUMP pid={pid} tgid={tgid} ts={timestamp_ns}")
            }
            Self::Unknown { what, raw_data } => {
                write!(f, "UNKNOWN what=0x{what:08x} len={}", raw_data.len())
            }
        }
    }
}
