//! What the kernel recorded about the identity of processes.

use std::collections::HashSet;

use proc_connector_core::{Context, Event};

/// The identity of a process while the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) tgid: u32,
    /// In nanoseconds of `CLOCK_BOOTTIME`.
    pub(super) start: u64,
}

/// What the kernel recorded at an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof<'a> {
    /// The process that acted.
    pub(super) actor: Identity,
    pub(super) parent: Option<Identity>,
    pub(super) ns: u64,
    pub(super) context: Context<'a>,
}

impl<'a> Proof<'a> {
    /// `None` if the kernel recorded no identity.
    #[inline]
    pub(super) fn of(event: &Event<'a>) -> Option<Self> {
        let context = event.context()?;
        let actor = Identity { tgid: context.tgid()?, start: context.start_boottime_ns()? };
        let parent = context.parent_tgid().zip(context.parent_start_boottime_ns());
        let parent = parent.map(|(tgid, start)| Identity { tgid, start });
        Some(Self { actor, parent, ns: event.timestamp_ns(), context })
    }

    /// The time of the event by `CLOCK_BOOTTIME` minus that by `CLOCK_MONOTONIC`.
    pub(super) fn boottime_offset_ns(&self) -> Option<u64> {
        self.context.boot_ns()?.checked_sub(self.ns)
    }
}

/// How many identities of ended processes are remembered.
const REMEMBERED: usize = 256;

/// Exceeds the time from the creation of a process to the event of its fork, in nanoseconds.
const UNDER_WAY_NS: u64 = 1_000_000_000;

/// Exceeds the number of processes of most machines.
const EARLY_MAX: usize = 1 << 16;

/// The identities of the processes that ended last. They are kept apart from the ended processes,
/// which the table's user can choose not to keep.
#[derive(Debug, Default)]
pub(super) struct RecentlyOver {
    identities: Vec<Identity>,
    /// The place of the oldest identity.
    oldest: usize,
    /// The ended processes that are older than `complete_from`.
    early: HashSet<Identity>,
    /// All processes that were created later, in nanoseconds of `CLOCK_BOOTTIME`, are known to the
    /// table, because their forks were received.
    complete_from: Option<u64>,
}

impl RecentlyOver {
    pub(super) fn add(&mut self, identity: Identity) {
        match self.identities.get_mut(self.oldest) {
            Some(oldest) => *oldest = identity,
            None => self.identities.push(identity),
        }
        self.oldest = (self.oldest + 1) % REMEMBERED;
        if !self.is_after_start(identity) {
            if self.early.len() >= EARLY_MAX {
                self.early.clear();
            }
            self.early.insert(identity);
        }
    }

    pub(super) fn contains(&self, identity: Identity) -> bool {
        self.identities.contains(&identity) || self.early.contains(&identity)
    }

    /// Whether the fork of a process was received, so that the process has ended if it is unknown.
    pub(super) fn is_after_start(&self, identity: Identity) -> bool {
        self.complete_from.is_some_and(|from| identity.start > from)
    }

    /// Notes the first fork in the stream, or after a loss.
    #[inline]
    pub(super) fn note_fork(&mut self, start: u64) {
        if self.complete_from.is_none() {
            self.complete_from = Some(start.saturating_add(UNDER_WAY_NS));
        }
    }

    /// Notes that forks may be among lost events.
    pub(super) fn note_loss(&mut self) {
        self.complete_from = None;
    }
}
