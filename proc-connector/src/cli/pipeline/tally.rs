//! Counts the events of an interval by kind, name and user, and the ends of its processes.

mod ended;
mod groups;
mod keys;

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proc_connector::Transport;
use proc_connector::process::Process;

use self::ended::Ended;
use self::groups::Groups;
use self::keys::{name, user};
use super::actions::Action;
use crate::cli::output::names::{Comm, comm};
use crate::cli::output::statistics::report::{Kinds, Report};
use crate::cli::output::statistics::rows::{Count, Row, User};

/// A process with a shorter lifetime, in nanoseconds, is short-lived: starting it costs about as much
/// as its work.
const SHORT_NS: u64 = 10_000_000;

/// The counts of an interval.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: Kinds,
    lost: u64,
    losses: u64,
    /// Forks that made a thread.
    threads: u64,
    ended: Ended,
    /// Processes that ended after a known time, and the short-lived among them.
    timed: u64,
    short_lived: u64,
    forks: Actors,
    execs: Actors,
}

/// How often processes acted, by their name and by their user.
#[derive(Debug, Default)]
struct Actors {
    by_name: Groups<Comm, u64>,
    by_user: Groups<u32, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, action: &Action<'_>) {
        match *action {
            Action::Event(kind) => self.kinds.count(kind),
            Action::Lost(lost) => {
                self.losses += 1;
                self.lost = self.lost.saturating_add(lost.count.unwrap_or_default());
            }
            Action::Forked { by, is_thread } => {
                self.threads += u64::from(is_thread);
                self.forks.count(by);
            }
            Action::Executed(process) => self.execs.count(process),
            Action::Ended(process) => self.ended(process),
        }
    }

    fn ended(&mut self, process: &Process) {
        self.ended.add(process);
        if let Some(ns) = process.lifetime_ns() {
            self.timed += 1;
            self.short_lived += u64::from(ns < SHORT_NS);
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.kinds.sum()
    }

    /// The report of an interval, with at most `top` rows a list.
    pub(crate) fn report(
        &self,
        Interval { time, end, transport, processes }: Interval,
        top: usize,
        mut user_name: impl FnMut(u32) -> Option<String>,
    ) -> Report {
        let seconds = time.as_secs_f64();
        let mut user = |uid: Option<u32>| User { uid, user: uid.and_then(&mut user_name) };
        let Self { kinds, ended, forks, execs, .. } = self;
        Report {
            time: Timestamp::try_from(end).unwrap_or_default(),
            interval: seconds,
            transport,
            events: self.events(),
            lost: self.lost,
            losses: self.losses,
            counts: *kinds,
            rate: kinds.rates(seconds),
            threads: self.threads,
            processes,
            ended: ended.all.count,
            failed: ended.all.failed,
            measured: ended.all.measured,
            usage: ended.all.usage,
            short_lived: self.short_lived,
            short_lived_share: share(self.short_lived, self.timed),
            forks_by_user: counts(&forks.by_user, top, &mut user),
            execs_by_user: counts(&execs.by_user, top, &mut user),
            forks_by_name: counts(&forks.by_name, top, name),
            execs_by_name: counts(&execs.by_name, top, name),
            ended_by_user: ended.by_user(top, &mut user),
            ended_by_name: ended.by_name(top),
            ended_by_cgroup: ended.by_cgroup(top),
        }
    }
}

/// What a report contains in addition to the counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) time: Duration,
    pub(crate) end: SystemTime,
    pub(crate) transport: Transport,
    /// Processes that exist at the end.
    pub(crate) processes: usize,
}

impl Actors {
    fn count(&mut self, process: Option<&Process>) {
        *self.by_name.value(process.and_then(comm).as_ref()) += 1;
        *self.by_user.value(process.and_then(user).as_ref()) += 1;
    }
}

/// The rows with the highest counts.
fn counts<K, R>(
    groups: &Groups<K, u64>,
    top: usize,
    mut key: impl FnMut(Option<K>) -> R,
) -> Vec<Row<R, Count>>
where
    K: Clone + Eq + std::hash::Hash + Ord,
{
    let rows = groups.highest(top, |&count| count).into_iter();
    rows.map(|(found, count)| Row { key: key(found), value: Count { count } }).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
