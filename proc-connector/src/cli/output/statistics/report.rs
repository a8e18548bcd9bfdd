//! The report of an interval. Its fields are the keys of `stats --json`.

use jiff::Timestamp;
use proc_connector::Usage;
use proc_connector::{EventMask, Transport};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::rows::{Cgroup, Count, Ends, Name, Row, User};
use super::usage;

/// One interval.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Report {
    /// The end of the interval.
    pub(crate) time: Timestamp,
    /// Its length in seconds.
    pub(crate) interval: f64,
    /// How the events were received, which decides whether usage is known.
    #[serde(skip)]
    pub(crate) transport: Transport,
    pub(crate) events: u64,
    /// The number of lost events that the kernel has reported.
    pub(crate) lost: u64,
    /// The number of losses, including those of an unknown number of events.
    pub(crate) losses: u64,
    /// Events by kind.
    pub(crate) counts: Kinds,
    /// Events by kind and second.
    pub(crate) rate: Rates,
    /// Forks that made a thread.
    pub(crate) threads: u64,
    /// Processes that exist at the end.
    pub(crate) processes: usize,
    /// Processes that ended.
    pub(crate) ended: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// Those whose usage is known.
    pub(crate) measured: u64,
    /// What the measured processes used together, each from its creation to its end; null without any.
    #[serde(serialize_with = "usage::serialize")]
    pub(crate) usage: Option<Usage>,
    /// Ended processes that lived for less than 10 ms.
    pub(crate) short_lived: u64,
    /// Their share of the ended processes whose lifetime is known; null if no such process ended.
    pub(crate) short_lived_share: Option<f64>,
    pub(crate) forks_by_name: Vec<Row<Name, Count>>,
    pub(crate) forks_by_user: Vec<Row<User, Count>>,
    pub(crate) execs_by_name: Vec<Row<Name, Count>>,
    pub(crate) execs_by_user: Vec<Row<User, Count>>,
    pub(crate) ended_by_name: Vec<Row<Name, Ends>>,
    pub(crate) ended_by_user: Vec<Row<User, Ends>>,
    pub(crate) ended_by_cgroup: Vec<Row<Cgroup, Ends>>,
}

/// The kinds, in the order of the report. Kinds that this program does not know are at the end.
const KINDS: [(&str, EventMask); 10] = [
    ("fork", EventMask::FORK),
    ("exec", EventMask::EXEC),
    ("exit", EventMask::EXIT),
    ("uid", EventMask::UID),
    ("gid", EventMask::GID),
    ("sid", EventMask::SID),
    ("ptrace", EventMask::PTRACE),
    ("comm", EventMask::COMM),
    ("coredump", EventMask::COREDUMP),
    ("unknown", EventMask::empty()),
];

/// A number for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Each<T>([T; KINDS.len()]);

pub(crate) type Kinds = Each<u64>;
pub(crate) type Rates = Each<f64>;

impl Kinds {
    pub(crate) fn count(&mut self, kind: EventMask) {
        let place = KINDS.iter().position(|(_, known)| *known == kind);
        self.0[place.unwrap_or(KINDS.len() - 1)] += 1;
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn rates(&self, seconds: f64) -> Rates {
        Each(self.0.map(|count| rate(count, seconds)))
    }
}

impl<T: Copy> Each<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, T)> {
        KINDS.iter().map(|(name, _)| *name).zip(self.0)
    }
}

impl<T: Copy + Serialize> Serialize for Each<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(KINDS.len()))?;
        for (name, number) in self.iter() {
            map.serialize_entry(name, &number)?;
        }
        map.end()
    }
}

/// Events per second.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub(crate) fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(f64::EPSILON)
}
