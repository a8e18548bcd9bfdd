//! The changes that an event, a loss or a scan of `/proc` made to the table.

use std::fmt;
use std::sync::Arc;

use super::population::{Key, Population};
use super::process::Process;

/// One change to a process.
///
/// ```
/// use proc_connector::process::{ChangeKind, ProcessTable};
///
/// # use proc_connector::Received;
/// # use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: 7, child_tgid: 7 };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("the datagram has an event")
/// # };
/// # let received = Received::Event(event);
/// // Process 1 has created process 7.
/// let mut table = ProcessTable::without_proc();
/// let started = table.apply(&received).find(|change| change.kind == ChangeKind::Started);
/// assert_eq!(started.map(|change| change.process.tgid()), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Change<'a> {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The process, in its state after the change.
    pub process: &'a Process,
    shared: &'a Arc<Process>,
}

impl Change<'_> {
    /// The process in this state, owned. The table copies a shared process before it changes it.
    pub(super) fn share(&self) -> Arc<Process> {
        Arc::clone(self.shared)
    }
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, process, .. } = self;
        f.debug_struct("Change").field("kind", kind).field("process", process).finish()
    }
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A fork created the process.
    Started,
    /// The process executed a new program. If the program is read from `/proc`, this is reported when it
    /// is certain that the program is that of the exec: with a later event, or by
    /// [`rescan_if_due`](super::ProcessTable::rescan_if_due).
    Executed,
    /// The last thread of the process exited. This is reported once for each process.
    Ended,
    /// The name (`comm`) changed.
    Renamed,
    /// The user ids changed.
    UserChanged,
    /// The group ids changed.
    GroupChanged,
    /// The process became the leader of a new session.
    SessionChanged,
    /// A thread with this id started.
    ThreadStarted(u32),
    /// The thread with this id exited.
    ThreadEnded(u32),
    /// The process with this id started tracing this process; `None`: tracing ended.
    Traced(Option<u32>),
    /// The process is about to dump core.
    Dumped,
    /// The process already existed, but was unknown to the table.
    Appeared,
    /// The process no longer exists, and no event reported its end. If its last events are still
    /// received, their changes follow, and [`Ended`](Self::Ended).
    Vanished,
    /// A scan of `/proc` found values that differ from those reported by events.
    Corrected,
}

/// The changes of one [`apply`](super::ProcessTable::apply), in order.
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    changes: std::slice::Iter<'a, (ChangeKind, Key)>,
    population: &'a Population,
}

impl<'a> Changes<'a> {
    pub(super) fn new(changes: &'a [(ChangeKind, Key)], population: &'a Population) -> Self {
        Self { changes: changes.iter(), population }
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        loop {
            let (kind, key) = *self.changes.next()?;
            // An exit can add an unknown process and end it. Then only the end is reported, because
            // the process is no longer `Key::Live`.
            if let Some(shared) = self.population.shared(key) {
                return Some(Change { kind, process: shared, shared });
            }
        }
    }
}
