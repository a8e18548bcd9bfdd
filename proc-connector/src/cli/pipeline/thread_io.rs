//! What processes read and wrote: the sum over the exits of their threads.
//!
//! The kernel's own sum of a process includes the I/O of children that the process has waited for
//! (`wait_task_zombie` in `kernel/exit.c`).

use std::collections::HashMap;

use proc_connector::{Event, Payload};

use crate::cli::output::chart::forest::Io;

#[derive(Debug, Default)]
pub(super) struct ThreadIo {
    /// The number of threads that have exited, and what they read and wrote, by the place of their
    /// process.
    sums: HashMap<usize, (u64, Io)>,
}

impl ThreadIo {
    /// Adds the usage of a thread that exits. `place` finds the process with an id and a creation time.
    pub(super) fn add(&mut self, event: &Event<'_>, place: impl FnOnce(u32, u64) -> Option<usize>) {
        let (Payload::Exit(_), Some(context)) = (event.payload(), event.context()) else { return };
        let id = context.tgid().zip(context.start_boottime_ns());
        let Some(place) = id.and_then(|(tgid, start)| place(tgid, start)) else { return };
        let Some(usage) = context.usage() else { return };
        let (exits, io) = self.sums.entry(place).or_default();
        *exits += 1;
        *io = *io + Io { read: usage.read_bytes, written: usage.write_bytes };
    }

    /// What all threads of a process read and wrote. `None` if the exit of one of them is missing.
    pub(super) fn of_process(&self, place: usize, threads: u64) -> Option<Io> {
        self.sums.get(&place).filter(|(exits, _)| *exits == threads).map(|&(_, io)| io)
    }
}
