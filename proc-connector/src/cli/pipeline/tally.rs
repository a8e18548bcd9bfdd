//! Counts the events of an interval by kind, name and user.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proc_connector::process::{ChangeKind, Process, ProcessTable};
use proc_connector::{Event, EventMask, Payload, Received};

use crate::cli::output::statistics::report::{ByName, ByUser, Kinds, Report};

/// A process with a shorter lifetime, in nanoseconds, is short-lived: starting it costs about as much
/// as its work.
const SHORT_NS: u64 = 10_000_000;

/// The maximum number of names in an interval, because a process may give itself any number of names.
const NAMES: usize = 100_000;

/// The name of a process, padded with zeros.
type Name = [u8; 16];

/// The counts of an interval.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: Kinds,
    lost: u64,
    losses: u64,
    /// Forks that made a thread.
    threads: u64,
    ended: u64,
    /// Processes that ended after a known time, and the short-lived among them.
    timed: u64,
    short_lived: u64,
    forks: Actors,
    execs: Actors,
}

/// How often processes acted, by their name and by their user.
#[derive(Debug, Default)]
struct Actors {
    by_name: HashMap<Option<Name>, u64>,
    by_user: HashMap<Option<u32>, u64>,
}

impl Tally {
    /// Counts an event or a loss that was just applied to the table.
    pub(crate) fn count(&mut self, received: &Received<'_>, table: &ProcessTable) {
        for change in table.changes() {
            if change.kind == ChangeKind::Ended {
                self.ended(change.process);
            }
        }
        match received {
            Received::Event(event) => self.event(event, table),
            Received::Lost(lost) => {
                self.losses += 1;
                self.lost = self.lost.saturating_add(lost.count.unwrap_or_default());
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, table: &ProcessTable) {
        let kind = match event.payload() {
            Payload::Fork(fork) => {
                let is_thread = fork.child_pid() != fork.child_tgid();
                self.threads += u64::from(is_thread);
                // Only the context has the creator. The event has the parent, which for a thread is the
                // parent of its process.
                let creator = event.context().and_then(|context| context.tgid());
                let named = if is_thread { fork.child_tgid() } else { fork.parent_tgid() };
                self.forks.count(table.get(creator.unwrap_or(named)));
                EventMask::FORK
            }
            Payload::Exec(exec) => {
                self.execs.count(table.get(exec.process_tgid()));
                EventMask::EXEC
            }
            Payload::Exit(_) => EventMask::EXIT,
            Payload::Uid(_) => EventMask::UID,
            Payload::Gid(_) => EventMask::GID,
            Payload::Sid(_) => EventMask::SID,
            Payload::Ptrace(_) => EventMask::PTRACE,
            Payload::Comm(_) => EventMask::COMM,
            Payload::Coredump(_) => EventMask::COREDUMP,
            _ => EventMask::empty(),
        };
        self.kinds.count(kind);
    }

    fn ended(&mut self, process: &Process) {
        self.ended += 1;
        if let Some(ns) = process.lifetime_ns() {
            self.timed += 1;
            self.short_lived += u64::from(ns < SHORT_NS);
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.kinds.sum()
    }

    /// The report of an interval of length `time` that ended at `now`, with at most `top` rows a list.
    pub(crate) fn report(
        &self,
        time: Duration,
        now: SystemTime,
        processes: usize,
        top: usize,
        mut user_name: impl FnMut(u32) -> Option<String>,
    ) -> Report {
        let seconds = time.as_secs_f64();
        let mut by_user = |actors: &Actors| -> Vec<ByUser> {
            let row = |(uid, count): (Option<u32>, u64)| {
                let user = uid.and_then(&mut user_name);
                ByUser { uid, user, count }
            };
            highest(&actors.by_user, top).into_iter().map(row).collect()
        };
        Report {
            time: Timestamp::try_from(now).unwrap_or_default(),
            interval: seconds,
            events: self.events(),
            lost: self.lost,
            losses: self.losses,
            counts: self.kinds,
            rate: self.kinds.rates(seconds),
            threads: self.threads,
            processes,
            ended: self.ended,
            short_lived: self.short_lived,
            short_lived_share: share(self.short_lived, self.timed),
            forks_by_user: by_user(&self.forks),
            execs_by_user: by_user(&self.execs),
            forks_by_name: by_name(&self.forks, top),
            execs_by_name: by_name(&self.execs, top),
        }
    }
}

impl Actors {
    fn count(&mut self, process: Option<&Process>) {
        let name = process.and_then(Process::comm).map(|comm| {
            let mut name = Name::default();
            let len = comm.len().min(name.len());
            name[..len].copy_from_slice(&comm[..len]);
            name
        });
        let name = name.filter(|_| self.by_name.len() < NAMES);
        *self.by_name.entry(name).or_default() += 1;
        // The user whose rights it has, as in `ps`.
        let user = process.and_then(Process::uid).map(|ids| ids.effective);
        *self.by_user.entry(user).or_default() += 1;
    }
}

/// The rows with the highest counts; among equals, in the order of their keys.
fn highest<K: Copy + Eq + Hash + Ord>(counts: &HashMap<K, u64>, top: usize) -> Vec<(K, u64)> {
    let mut rows: Vec<(K, u64)> = counts.iter().map(|(&key, &count)| (key, count)).collect();
    rows.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    rows.truncate(top);
    rows
}

fn by_name(actors: &Actors, top: usize) -> Vec<ByName> {
    let bytes = |name: Name| {
        let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        name[..len].to_vec()
    };
    let row = |(name, count): (Option<Name>, u64)| ByName { name: name.map(bytes), count };
    highest(&actors.by_name, top).into_iter().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
