//! The union `proc_event.event_data`: one view per kind.

use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::EVENT_DATA_LEN;
use crate::status::ExitStatus;

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
    /// Reads the member of the union for the kind `what`. The error is the number of bytes it needs.
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

/// Declares a wire struct of 32-bit fields with an accessor for each.
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        $vis:vis $name:ident, $kernel:literal {
            $($(#[$field_meta:meta])* $field:ident,)*
        }
    ) => {
        $(#[$meta])*
        #[doc = concat!("\n\n`", $kernel, "` of `cn_proc.h`.")]
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        $vis struct $name<O: ByteOrder = NativeEndian> {
            $($field: U32<O>,)*
        }

        impl<O: ByteOrder> $name<O> {
            $(
                $(#[$field_meta])*
                #[inline]
                $vis fn $field(&self) -> u32 {
                    self.$field.get()
                }
            )*
        }
    };
}

wire_struct! {
    /// A process or thread was created.
    ///
    /// For a new thread (`child_pid` ≠ `child_tgid`) the parent is the parent of its process, not the
    /// thread that created it.
    pub Fork, "struct fork_proc_event" {
        /// Thread id of the parent.
        parent_pid,
        /// Process id of the parent.
        parent_tgid,
        /// Thread id of the child.
        child_pid,
        /// Process id of the child.
        child_tgid,
    }
}

wire_struct! {
    /// A process executed a new program.
    ///
    /// If a thread other than the leader calls exec, the exit of the leader comes first and the
    /// process continues under the same id.
    pub Exec, "struct exec_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
    }
}

wire_struct! {
    /// A thread changed its user ids. They are those of the initial user namespace.
    pub Uid, "struct id_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
        /// New real user id.
        ruid,
        /// New effective user id.
        euid,
    }
}

wire_struct! {
    /// A thread changed its group ids. They are those of the initial user namespace.
    pub Gid, "struct id_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
        /// New real group id.
        rgid,
        /// New effective group id.
        egid,
    }
}

wire_struct! {
    /// A process became the leader of a new session.
    pub Sid, "struct sid_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id, which is also the id of the session.
        process_tgid,
    }
}

wire_struct! {
    /// A tracer attached to a thread or detached from it.
    ///
    /// The kernel does not report `PTRACE_TRACEME`.
    pub Ptrace, "struct ptrace_proc_event" {
        /// Thread id of the traced thread.
        process_pid,
        /// Process id of the traced thread.
        process_tgid,
        /// Thread id of the tracer; 0 after it detached.
        tracer_pid,
        /// Process id of the tracer; 0 after it detached.
        tracer_tgid,
    }
}

wire_struct! {
    /// The part of a core dump that every kernel sends.
    Task, "struct coredump_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
    }
}

wire_struct! {
    /// The parent that exits and core dumps carry since Linux 4.18.
    Parent, "struct exit_proc_event" {
        /// Thread id of the parent.
        parent_pid,
        /// Process id of the parent.
        parent_tgid,
    }
}

wire_struct! {
    /// The part of an exit that every kernel sends.
    ExitTask, "struct exit_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
        /// Wait status.
        exit_code,
        /// Signal sent to the parent; `u32::MAX` for a thread.
        exit_signal,
    }
}

/// The name of a thread changed: by the thread itself, or through `/proc/PID/comm`.
///
/// `struct comm_proc_event` of `cn_proc.h`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Comm<O: ByteOrder = NativeEndian> {
    process_pid: U32<O>,
    process_tgid: U32<O>,
    name: [u8; 16],
}

impl<O: ByteOrder> Comm<O> {
    /// Thread id.
    #[inline]
    pub fn process_pid(&self) -> u32 {
        self.process_pid.get()
    }

    /// Process id.
    #[inline]
    pub fn process_tgid(&self) -> u32 {
        self.process_tgid.get()
    }

    /// The new name as sent: 16 bytes in any encoding, normally terminated by a NUL.
    #[inline]
    pub const fn comm(&self) -> &[u8; 16] {
        &self.name
    }

    /// The new name up to its NUL, or all 16 bytes if it has no NUL.
    #[inline]
    pub fn name(&self) -> &[u8] {
        self.name.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// A process received a signal that dumps core, even if its limits prevent the dump. Its exit follows.
///
/// `struct coredump_proc_event` of `cn_proc.h`.
#[derive(Clone, Copy, Debug)]
pub struct Coredump<'a, O: ByteOrder = NativeEndian> {
    task: &'a Task<O>,
    parent: Option<&'a Parent<O>>,
}

impl<O: ByteOrder> Coredump<'_, O> {
    /// Thread id.
    #[inline]
    pub fn process_pid(&self) -> u32 {
        self.task.process_pid()
    }

    /// Process id.
    #[inline]
    pub fn process_tgid(&self) -> u32 {
        self.task.process_tgid()
    }

    /// Thread id of the parent; `None` from kernels before 4.18.
    #[inline]
    pub fn parent_pid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_pid)
    }

    /// Process id of the parent; `None` from kernels before 4.18.
    #[inline]
    pub fn parent_tgid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_tgid)
    }
}

/// A thread ended. The exit of the last thread ends its process.
///
/// `struct exit_proc_event` of `cn_proc.h`.
#[derive(Clone, Copy, Debug)]
pub struct Exit<'a, O: ByteOrder = NativeEndian> {
    task: &'a ExitTask<O>,
    parent: Option<&'a Parent<O>>,
}

impl<O: ByteOrder> Exit<'_, O> {
    /// Thread id.
    #[inline]
    pub fn process_pid(&self) -> u32 {
        self.task.process_pid()
    }

    /// Process id.
    #[inline]
    pub fn process_tgid(&self) -> u32 {
        self.task.process_tgid()
    }

    /// The wait status; [`status`](Self::status) decodes it.
    #[inline]
    pub fn exit_code(&self) -> u32 {
        self.task.exit_code()
    }

    /// The signal sent to the parent: 17 (`SIGCHLD`) for an ordinary child, `u32::MAX` for a thread.
    /// The signal that killed the process is in [`status`](Self::status).
    #[inline]
    pub fn exit_signal(&self) -> u32 {
        self.task.exit_signal()
    }

    /// The decoded wait status.
    #[inline]
    pub fn status(&self) -> ExitStatus {
        ExitStatus::from_raw(self.exit_code())
    }

    /// Thread id of the parent; `None` for threads and from kernels before 4.18.
    #[inline]
    pub fn parent_pid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_pid)
    }

    /// Process id of the parent; `None` for threads and from kernels before 4.18.
    #[inline]
    pub fn parent_tgid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_tgid)
    }
}

/// The id of a parent. The kernel zero-fills what it does not send, and no task has the id 0.
#[inline]
fn known<O: ByteOrder>(parent: Option<&Parent<O>>, id: fn(&Parent<O>) -> u32) -> Option<u32> {
    parent.map(id).filter(|&id| id != 0)
}

// Sizes and offsets must equal those of the kernel's structs, all of which start the union.
const _: () = {
    assert!(size_of::<sys::proc_event_data>() == EVENT_DATA_LEN);
    assert!(size_of::<Fork>() == size_of::<sys::fork_proc_event>());
    assert!(size_of::<Exec>() == size_of::<sys::exec_proc_event>());
    assert!(size_of::<Uid>() == size_of::<sys::id_proc_event>());
    assert!(size_of::<Gid>() == size_of::<sys::id_proc_event>());
    assert!(size_of::<Sid>() == size_of::<sys::sid_proc_event>());
    assert!(size_of::<Ptrace>() == size_of::<sys::ptrace_proc_event>());
    assert!(size_of::<Comm>() == size_of::<sys::comm_proc_event>());
    assert!(size_of::<Task>() == offset_of!(sys::coredump_proc_event, parent_pid));
    assert!(size_of::<ExitTask>() == offset_of!(sys::exit_proc_event, parent_pid));
    assert!(size_of::<Task>() + size_of::<Parent>() == size_of::<sys::coredump_proc_event>());
    assert!(size_of::<ExitTask>() + size_of::<Parent>() == size_of::<sys::exit_proc_event>());

    assert!(offset_of!(Fork, child_pid) == offset_of!(sys::fork_proc_event, child_pid));
    assert!(offset_of!(Uid, ruid) == offset_of!(sys::id_proc_event, r));
    assert!(offset_of!(Gid, egid) == offset_of!(sys::id_proc_event, e));
    assert!(offset_of!(Ptrace, tracer_pid) == offset_of!(sys::ptrace_proc_event, tracer_pid));
    assert!(offset_of!(Comm, name) == offset_of!(sys::comm_proc_event, comm));
    assert!(offset_of!(ExitTask, exit_code) == offset_of!(sys::exit_proc_event, exit_code));
    assert!(offset_of!(ExitTask, exit_signal) == offset_of!(sys::exit_proc_event, exit_signal));
};
