//! A machine that a table reads from, as from `/proc`, and the delivery of its events.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use proc_connector_core::{ExitStatus, Notification, Notifications};

use super::{Delivery, Machine, OFFSET_NS, Task, Visibility};
use crate::process::identity::BootId;
use crate::process::snapshot::{
    Activity, Arguments, Fields, Ids, Image, ReadError, Snapshot, SnapshotSource,
};
use crate::process::table::ProcessTable;
use crate::process::time::TICK_NS;
use crate::stream::{LossCause, Lost, Received};

/// A handle to the machine, from which a table reads.
#[derive(Clone, Debug)]
pub(in crate::process::tests) struct SharedMachine(Arc<Mutex<Machine>>);

impl SharedMachine {
    pub(in crate::process::tests) fn new() -> Self {
        Self(Arc::new(Mutex::new(Machine::new())))
    }

    /// A machine whose ring records contexts.
    pub(in crate::process::tests) fn with_contexts() -> Self {
        let shared = Self::new();
        shared.machine().record_contexts();
        shared
    }

    pub(in crate::process::tests) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().expect("no test panicked")
    }

    /// Delivers the next event or loss, and returns whether one was available.
    pub(in crate::process::tests) fn deliver(
        &self,
        table: &mut ProcessTable,
        deliver: impl FnOnce(&mut ProcessTable, &Received<'_>),
    ) -> bool {
        let sent = self.machine().next_delivery();
        match sent {
            None => return false,
            Some(Delivery::Lost(count)) => {
                let lost = Lost { count: Some(count), cause: LossCause::Overrun };
                deliver(table, &Received::Lost(lost));
            }
            Some(Delivery::Event(datagram, context)) => {
                match Notifications::new(&datagram).next() {
                    Some(Ok(Notification::Event(event))) => {
                        deliver(table, &Received::Event(event.with_context(&context)));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        true
    }
}

impl SnapshotSource for SharedMachine {
    fn list(&self) -> io::Result<Vec<u32>> {
        let machine = self.machine();
        let is_listed = |task: &Task| machine.visibility != Visibility::Hidden || task.user == 0;
        let tasks = machine.tasks.iter().filter(|(_, task)| is_listed(task));
        Ok(tasks.map(|(&tgid, _)| tgid).collect())
    }

    fn read(&self, tgid: u32, fields: Fields) -> Result<Snapshot, ReadError> {
        let machine = self.machine();
        let task = machine.tasks.get(&tgid).ok_or(ReadError::Gone)?;
        match machine.visibility {
            Visibility::Unreadable => return Err(ReadError::Unreadable),
            Visibility::Hidden if task.user != 0 => return Err(ReadError::Unreadable),
            Visibility::TooManyFiles => {
                return Err(ReadError::Failed(io::Error::from_raw_os_error(24)));
            }
            Visibility::All | Visibility::Hidden => {}
        }
        let has_ended = !task.threads.contains(&tgid);
        let ids = Ids { real: task.user, effective: task.user };
        let is_alive = !task.threads.is_empty();
        let args = Arguments { bytes: task.args.as_bytes().into(), is_cut: false };
        Ok(Snapshot {
            seen_ns: machine.now_ns,
            boottime_offset_ns: OFFSET_NS,
            start_ticks: (task.start_ns + OFFSET_NS) / TICK_NS,
            parent: Some(task.parent).filter(|&parent| parent != 0),
            session: task.session,
            is_kernel_thread: false,
            comm: task.comm.as_bytes().to_vec(),
            first: if has_ended { Err(ExitStatus::from_raw(0)) } else { Ok(()) },
            is_alive,
            others: fields
                .contains(Fields::THREADS)
                .then(|| task.threads.iter().copied().filter(|&pid| pid != tgid).collect()),
            // A process without threads has no memory.
            image: (fields.contains(Fields::IMAGE) && is_alive)
                .then(|| Image { args: Some(args), ..Image::default() }),
            uid: fields.contains(Fields::IDS).then_some(ids),
            gid: fields.contains(Fields::IDS).then_some(ids),
            cgroup: None,
            activity: fields.contains(Fields::ACTIVITY).then_some(Activity {
                read_ns: machine.now_ns,
                has_other_args: false,
                has_executed: task.execs > 0,
                is_idle: !task.is_executing,
                cpu_ticks: 0,
            }),
        })
    }

    fn cgroup_id(&self, _: &Path) -> Option<u64> {
        None
    }

    fn boot_id(&self) -> Option<BootId> {
        Some(BootId::from_bytes([7; 16]))
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        start_boottime_ns / TICK_NS
    }

    fn boottime_offset_ns(&self) -> u64 {
        OFFSET_NS
    }

    fn now_ns(&self) -> u64 {
        self.machine().now_ns
    }
}
