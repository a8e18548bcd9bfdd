//! The union `proc_event.event_data`, read by the kind of event.

use core::mem::size_of;

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::views::{Comm, Coredump, Exec, Exit, Fork, Gid, Parent, Ptrace, Sid, Uid};

/// The fields of an event, by kind. New kernels may add kinds.
///
/// ```
/// use proc_connector_core::Payload;
///
/// fn describe(payload: &Payload<'_>) -> String {
///     match payload {
///         Payload::Fork(e) if e.child_pid() == e.child_tgid() => {
///             format!("{} started process {}", e.parent_tgid(), e.child_tgid())
///         }
///         Payload::Fork(e) => format!("{} started thread {}", e.child_tgid(), e.child_pid()),
///         Payload::Exec(e) => format!("{} executed a program", e.process_tgid()),
///         Payload::Uid(e) => format!("{} has user {}/{}", e.process_pid(), e.ruid(), e.euid()),
///         Payload::Gid(e) => format!("{} has group {}/{}", e.process_pid(), e.rgid(), e.egid()),
///         Payload::Sid(e) => format!("{} leads a session", e.process_tgid()),
///         Payload::Ptrace(e) if e.tracer_tgid() == 0 => {
///             format!("{} is no longer traced", e.process_pid())
///         }
///         Payload::Ptrace(e) => format!("{} is traced by {}", e.process_pid(), e.tracer_tgid()),
///         Payload::Comm(e) => format!("{} is named {:?}", e.process_pid(), e.name()),
///         Payload::Coredump(e) => format!("{} dumps core", e.process_tgid()),
///         Payload::Exit(e) => format!("{} ended: {}", e.process_pid(), e.status()),
///         Payload::Unknown(data) => format!("a new kind of {} bytes", data.len()),
///         _ => String::from("a kind that this program does not know"),
///     }
/// }
///
/// # use proc_connector_core::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Uid { process_pid: 8, process_tgid: 7, ruid: 1000, euid: 0 };
/// # let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: 5, data };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # record.encode_native(&mut datagram).expect("a buffer of the right size");
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("an event")
/// # };
/// assert_eq!(describe(&event.payload()), "8 has user 1000/0");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a, O: ByteOrder = NativeEndian> {
    /// A process or thread was created.
    #[doc(alias = "PROC_EVENT_FORK")]
    Fork(&'a Fork<O>),
    /// A process executed a new program.
    #[doc(alias = "PROC_EVENT_EXEC")]
    Exec(&'a Exec<O>),
    /// A user id changed.
    #[doc(alias = "PROC_EVENT_UID")]
    Uid(&'a Uid<O>),
    /// A group id changed.
    #[doc(alias = "PROC_EVENT_GID")]
    Gid(&'a Gid<O>),
    /// A process became the leader of a new session.
    #[doc(alias = "PROC_EVENT_SID")]
    Sid(&'a Sid<O>),
    /// A tracer attached or detached.
    #[doc(alias = "PROC_EVENT_PTRACE")]
    Ptrace(&'a Ptrace<O>),
    /// The name of a thread changed, other than by exec.
    #[doc(alias = "PROC_EVENT_COMM")]
    Comm(&'a Comm<O>),
    /// A process received a signal that dumps core, even if its limits prevent the dump.
    #[doc(alias = "PROC_EVENT_COREDUMP")]
    Coredump(Coredump<'a, O>),
    /// A thread ended. A process ends with its last thread.
    #[doc(alias = "PROC_EVENT_EXIT")]
    Exit(Exit<'a, O>),
    /// A kind that this crate does not know, with all bytes of the union.
    Unknown(&'a [u8]),
}

impl<'a, O: ByteOrder> Payload<'a, O> {
    /// Reads the member of the union for the kind `what`. The error is the length that the member
    /// needs, in bytes.
    #[inline]
    pub(crate) fn parse(what: u32, data: &'a [u8]) -> Result<Self, usize> {
        Ok(match what {
            sys::PROC_EVENT_FORK => Self::Fork(view(data)?),
            sys::PROC_EVENT_EXEC => Self::Exec(view(data)?),
            sys::PROC_EVENT_UID => Self::Uid(view(data)?),
            sys::PROC_EVENT_GID => Self::Gid(view(data)?),
            sys::PROC_EVENT_SID => Self::Sid(view(data)?),
            sys::PROC_EVENT_PTRACE => Self::Ptrace(view(data)?),
            sys::PROC_EVENT_COMM => Self::Comm(view(data)?),
            sys::PROC_EVENT_COREDUMP => {
                let (task, parent) = with_parent(data)?;
                Self::Coredump(Coredump { task, parent })
            }
            sys::PROC_EVENT_EXIT => {
                let (task, parent) = with_parent(data)?;
                Self::Exit(Exit { task, parent })
            }
            _ => Self::Unknown(data),
        })
    }
}

#[inline]
fn view<T: FromBytes + KnownLayout + Immutable + Unaligned>(data: &[u8]) -> Result<&T, usize> {
    T::ref_from_prefix(data).map_or(Err(size_of::<T>()), |(view, _)| Ok(view))
}

/// Reads a member to which Linux 4.18 appended the parent.
#[inline]
#[allow(clippy::type_complexity)]
fn with_parent<T, O>(data: &[u8]) -> Result<(&T, Option<&Parent<O>>), usize>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
    O: ByteOrder,
{
    let (task, rest) = T::ref_from_prefix(data).map_err(|_| size_of::<T>())?;
    Ok((task, Parent::ref_from_prefix(rest).map(|(parent, _)| parent).ok()))
}
