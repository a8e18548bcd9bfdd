//! What the kernel recorded about the identity of processes.

use proc_connector_core::{Context, Event};

/// The identity of a process while the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The identities of the processes that ended last. They are kept apart from the ended processes,
/// which the table's user can choose not to keep.
#[derive(Debug, Default)]
pub(super) struct RecentlyOver {
    identities: Vec<Identity>,
    /// The place of the oldest identity.
    oldest: usize,
}

impl RecentlyOver {
    pub(super) fn add(&mut self, identity: Identity) {
        match self.identities.get_mut(self.oldest) {
            Some(oldest) => *oldest = identity,
            None => self.identities.push(identity),
        }
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }

    pub(super) fn contains(&self, identity: Identity) -> bool {
        self.identities.contains(&identity)
    }
}
