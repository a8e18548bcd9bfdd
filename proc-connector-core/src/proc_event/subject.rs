//! The process that an event is about.

use zerocopy::byteorder::ByteOrder;

use super::{Event, Payload};

/// The process and the thread that an event is about, by their ids in the initial pid namespace.
/// [`Event::process`] returns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct ProcessIds {
    /// Thread id, which the kernel calls pid.
    pub pid: u32,
    /// Process id, which the kernel calls tgid (thread group id).
    pub tgid: u32,
}

impl ProcessIds {
    /// Whether the thread is the leader of its process, which has the id of the process.
    #[inline]
    pub const fn is_leader(self) -> bool {
        self.pid == self.tgid
    }
}

impl<O: ByteOrder> Event<'_, O> {
    /// The process that the event is about; `None` for a kind that this crate does not know.
    ///
    /// | event | process |
    /// |---|---|
    /// | fork | the child: the new process, or the process that has a new thread |
    /// | ptrace | the traced process |
    /// | comm | the process whose thread has a new name, even if another process set it |
    /// | any other | the process that executed a program, changed its ids, or ended |
    ///
    /// The [payload](Self::payload) has the parent of a fork or an exit, and the tracer of a ptrace.
    /// A [`Filter`](crate::Filter) differs for forks: to it, the fork of a new process is an event of
    /// the parent.
    ///
    /// ```
    /// use proc_connector_core::{EventData, EventRecord, Notification, Notifications, ProcessIds};
    ///
    /// # let data = EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: 8, child_tgid: 7 };
    /// # let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: 5, data };
    /// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    /// # record.encode_native(&mut datagram)?;
    /// // Process 7 starts the thread 8.
    /// let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
    ///     panic!("an event")
    /// };
    /// let process = event.process().ok_or("an unknown kind")?;
    /// assert_eq!(process, ProcessIds { pid: 8, tgid: 7 });
    /// assert!(!process.is_leader());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn process(&self) -> Option<ProcessIds> {
        let (pid, tgid) = match self.payload() {
            Payload::Fork(fork) => (fork.child_pid(), fork.child_tgid()),
            Payload::Exec(exec) => (exec.process_pid(), exec.process_tgid()),
            Payload::Uid(uid) => (uid.process_pid(), uid.process_tgid()),
            Payload::Gid(gid) => (gid.process_pid(), gid.process_tgid()),
            Payload::Sid(sid) => (sid.process_pid(), sid.process_tgid()),
            Payload::Ptrace(ptrace) => (ptrace.process_pid(), ptrace.process_tgid()),
            Payload::Comm(comm) => (comm.process_pid(), comm.process_tgid()),
            Payload::Coredump(dump) => (dump.process_pid(), dump.process_tgid()),
            Payload::Exit(exit) => (exit.process_pid(), exit.process_tgid()),
            Payload::Unknown(_) => return None,
        };
        Some(ProcessIds { pid, tgid })
    }
}
