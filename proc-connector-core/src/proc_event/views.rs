//! The members of the union `proc_event.event_data`: one view per kind.

use core::mem::{offset_of, size_of};

use proc_connector_sys as sys;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::EVENT_DATA_LEN;
use crate::status::ExitStatus;

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
    pub(super) Task, "struct coredump_proc_event" {
        /// Thread id.
        process_pid,
        /// Process id.
        process_tgid,
    }
}

wire_struct! {
    /// The parent that exits and core dumps carry since Linux 4.18.
    pub(super) Parent, "struct exit_proc_event" {
        /// Thread id of the parent.
        parent_pid,
        /// Process id of the parent.
        parent_tgid,
    }
}

wire_struct! {
    /// The part of an exit that every kernel sends.
    pub(super) ExitTask, "struct exit_proc_event" {
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
    pub(super) task: &'a Task<O>,
    pub(super) parent: Option<&'a Parent<O>>,
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
    pub(super) task: &'a ExitTask<O>,
    pub(super) parent: Option<&'a Parent<O>>,
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

/// The id of a parent; `None` for 0, with which the kernel fills fields that it does not send.
#[inline]
fn known<O: ByteOrder>(parent: Option<&Parent<O>>, id: fn(&Parent<O>) -> u32) -> Option<u32> {
    parent.map(id).filter(|&id| id != 0)
}

// Sizes and offsets must equal those of the kernel's structs.
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
