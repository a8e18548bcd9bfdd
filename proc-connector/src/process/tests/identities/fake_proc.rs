//! A `/proc` with the given processes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::process::identity::BootId;
use crate::process::snapshot::{
    Activity, Arguments, Cgroup, Fields, Ids, Image, ReadError, Snapshot, SnapshotSource,
};
use crate::process::time::TICK_NS;

/// A process: its id and its creation time.
pub(super) type Id = (u32, u64);

/// 10 ms by the clock of `/proc`, and some ns.
pub(super) const fn tick(ticks: u64, ns: u64) -> u64 {
    ticks * TICK_NS + ns
}

pub(super) const INIT: Id = (1, tick(1, 7));
pub(super) const A: Id = (20, tick(50, 3));
pub(super) const B: Id = (21, tick(51, 4));

/// A `/proc` with these processes, each with its start in ticks. Counts the reads.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeProc {
    processes: Arc<Mutex<BTreeMap<u32, u64>>>,
    reads: Arc<AtomicUsize>,
    has_version_1: Arc<AtomicBool>,
    /// The arguments of each process, and when they are read.
    program: Arc<Mutex<Option<(&'static str, u64)>>>,
}

impl FakeProc {
    pub(super) fn set(&self, processes: &[Id]) {
        let ticks = |&(tgid, start): &Id| (tgid, start / TICK_NS);
        *self.processes.lock().expect("a map") = processes.iter().map(ticks).collect();
    }

    pub(super) fn set_version_1(&self) {
        self.has_version_1.store(true, Ordering::Relaxed);
    }

    /// Shows these arguments at this time, and processes that are idle.
    pub(super) fn show(&self, args: &'static str, at_ns: u64) {
        *self.program.lock().expect("a program") = Some((args, at_ns));
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl SnapshotSource for FakeProc {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.processes.lock().expect("a map").keys().copied().collect())
    }

    fn read(&self, tgid: u32, _: Fields) -> Result<Snapshot, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let processes = self.processes.lock().expect("a map");
        let start_ticks = *processes.get(&tgid).ok_or(ReadError::Gone)?;
        let program = *self.program.lock().expect("a program");
        let arguments =
            |(args, _): (&str, u64)| Arguments { bytes: args.as_bytes().into(), is_cut: false };
        let image =
            program.map(|program| Image { args: Some(arguments(program)), ..Image::default() });
        let activity = program.map(|(_, read_ns)| Activity {
            read_ns,
            has_other_args: false,
            has_executed: true,
            is_idle: true,
            cpu_ticks: 0,
        });
        Ok(Snapshot {
            seen_ns: program.map_or(500, |(_, at_ns)| at_ns),
            boottime_offset_ns: 0,
            start_ticks,
            parent: (tgid != 1).then_some(1),
            session: 1,
            is_kernel_thread: false,
            comm: b"read".to_vec(),
            first: Ok(()),
            is_alive: true,
            others: Some(Vec::new()),
            image,
            uid: Some(Ids { real: 0, effective: 0 }),
            gid: Some(Ids { real: 0, effective: 0 }),
            activity,
            cgroup: Some(Cgroup {
                path: "/a".into(),
                id_determines_path: !self.has_version_1.load(Ordering::Relaxed),
            }),
        })
    }

    fn cgroup_id(&self, _: &Path) -> Option<u64> {
        Some(7)
    }

    fn boot_id(&self) -> Option<BootId> {
        Some(BootId::from_bytes([9; 16]))
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        start_boottime_ns / TICK_NS
    }

    fn boottime_offset_ns(&self) -> u64 {
        0
    }

    fn now_ns(&self) -> u64 {
        500
    }
}
