//! The union `proc_event.event_data`: who it happened to, kind by kind.

use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::EVENT_DATA_LEN;
use crate::status::ExitStatus;

/// What happened to whom, by kind. New kernels may bring new kinds.
///
/// ```
/// use proc_connector_core::{Event, Payload};
///
/// fn describe(event: &Event<'_>) -> String {
///     match event.payload() {
///         Payload::Fork(fork) => format!("{} created {}", fork.parent_tgid(), fork.child_tgid()),
///         Payload::Comm(comm) => format!("{} is named {:?}", comm.process_pid(), comm.name()),
///         Payload::Exit(exit) => format!("{} ended: {}", exit.process_tgid(), exit.status()),
///         Payload::Unknown(data) => format!("kind {:#x}, {} bytes", event.what(), data.len()),
///         other => format!("{other:?}"),
///     }
/// }
///
/// # use proc_connector_core::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Exit {
/// #     process_pid: 7,
/// #     process_tgid: 7,
/// #     exit_code: 3 << 8,
/// #     exit_signal: 17,
/// #     parent_pid: 1,
/// #     parent_tgid: 1,
/// # };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("the datagram has an event")
/// # };
/// assert_eq!(describe(&event), "7 ended: exit 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a, O: ByteOrder = NativeEndian> {
    /// A process or thread was made.
    #[doc(alias = "PROC_EVENT_FORK")]
    Fork(&'a Fork<O>),
    /// A process runs a new program.
    #[doc(alias = "PROC_EVENT_EXEC")]
    Exec(&'a Exec<O>),
    /// A user id changed.
    #[doc(alias = "PROC_EVENT_UID")]
    Uid(&'a Uid<O>),
    /// A group id changed.
    #[doc(alias = "PROC_EVENT_GID")]
    Gid(&'a Gid<O>),
    /// A process leads a new session.
    #[doc(alias = "PROC_EVENT_SID")]
    Sid(&'a Sid<O>),
    /// A tracer attached or detached.
    #[doc(alias = "PROC_EVENT_PTRACE")]
    Ptrace(&'a Ptrace<O>),
    /// A thread's name changed, other than by an exec.
    #[doc(alias = "PROC_EVENT_COMM")]
    Comm(&'a Comm<O>),
    /// A process is about to dump core, or would if its limits allowed it.
    #[doc(alias = "PROC_EVENT_COREDUMP")]
    Coredump(Coredump<'a, O>),
    /// A thread ended; a process ends with its last thread.
    #[doc(alias = "PROC_EVENT_EXIT")]
    Exit(Exit<'a, O>),
    /// A kind this crate does not know, with all bytes of the union.
    Unknown(&'a [u8]),
}

impl<'a, O: ByteOrder> Payload<'a, O> {
    /// Reads the union's member for the kind `what`; the error is the number of bytes it needs.
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

/// A member that has ended with its parent only since Linux 4.18.
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
        $name:ident is $kernel:literal {
            $($(#[$field_meta:meta])* $field:ident,)*
        }
    ) => {
        $(#[$meta])*
        #[doc = concat!("\n\n`", $kernel, "` of `cn_proc.h`.")]
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name<O: ByteOrder = NativeEndian> {
            $($field: U32<O>,)*
        }

        impl<O: ByteOrder> $name<O> {
            $(
                $(#[$field_meta])*
                #[inline]
                pub fn $field(&self) -> u32 {
                    self.$field.get()
                }
            )*
        }
    };
}

wire_struct! {
    /// A process or thread was made.
    ///
    /// For a new thread (`child_pid` ≠ `child_tgid`) the parent is not who made it but the parent
    /// of its process.
    Fork is "struct fork_proc_event" {
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
    /// A process runs a new program.
    ///
    /// When a thread other than the leader does it, the leader's exit comes first and the process
    /// goes on under the same id.
    Exec is "struct exec_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
    }
}

wire_struct! {
    /// A thread changed its user ids, given in the initial user namespace.
    Uid is "struct id_proc_event" {
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
    /// A thread changed its group ids, given in the initial user namespace.
    Gid is "struct id_proc_event" {
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
    Sid is "struct sid_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id, which is the session's id too.
        process_tgid,
    }
}

wire_struct! {
    /// A tracer attached to a thread or let go of it.
    ///
    /// `PTRACE_TRACEME` is not reported.
    Ptrace is "struct ptrace_proc_event" {
        /// Thread id of the traced.
        process_pid,
        /// Process id of the traced.
        process_tgid,
        /// Thread id of the tracer, 0 when it detached.
        tracer_pid,
        /// Process id of the tracer, 0 when it detached.
        tracer_tgid,
    }
}

wire_struct! {
    /// Whom an event is about.
    Task is "struct coredump_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
    }
}

wire_struct! {
    /// The parent that exits and core dumps carry since Linux 4.18.
    Parent is "struct exit_proc_event" {
        /// Thread id of the parent.
        parent_pid,
        /// Process id of the parent.
        parent_tgid,
    }
}

wire_struct! {
    /// The part of an exit that every kernel sends.
    ExitTask is "struct exit_proc_event" {
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

/// A thread changed its name, or another changed it through `/proc/PID/comm`.
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

    /// The new name as sent: 16 bytes, normally ended by a NUL, of no particular encoding.
    #[inline]
    pub const fn comm(&self) -> &[u8; 16] {
        &self.name
    }

    /// The new name up to its NUL, or all of it without one.
    #[inline]
    pub fn name(&self) -> &[u8] {
        self.name.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// A process is about to dump core, or would if its limits allowed it. Its exit follows.
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

    /// Thread id of the parent; `None` where the kernel did not say (before 4.18).
    #[inline]
    pub fn parent_pid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_pid)
    }

    /// Process id of the parent; `None` where the kernel did not say (before 4.18).
    #[inline]
    pub fn parent_tgid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_tgid)
    }
}

/// A thread ended. The last one's exit is the end of its process.
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

    /// The signal sent to the parent, 17 (`SIGCHLD`) for a plain child and `u32::MAX` for a
    /// thread. Never what the process died of: that is in [`status`](Self::status).
    #[inline]
    pub fn exit_signal(&self) -> u32 {
        self.task.exit_signal()
    }

    /// How it ended.
    #[inline]
    pub fn status(&self) -> ExitStatus {
        ExitStatus::from_raw(self.exit_code())
    }

    /// Thread id of the parent; `None` where the kernel did not say (threads, before 4.18).
    #[inline]
    pub fn parent_pid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_pid)
    }

    /// Process id of the parent; `None` where the kernel did not say (threads, before 4.18).
    #[inline]
    pub fn parent_tgid(&self) -> Option<u32> {
        known(self.parent, Parent::parent_tgid)
    }
}

/// A parent's id: the kernel zero-fills what it does not send, and no task has the id 0.
#[inline]
fn known<O: ByteOrder>(parent: Option<&Parent<O>>, id: fn(&Parent<O>) -> u32) -> Option<u32> {
    parent.map(id).filter(|&id| id != 0)
}

/// Sizes and offsets, held against the kernel's structs, all of which start the union.
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
