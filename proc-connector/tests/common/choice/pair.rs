//! The two forms of a filter over the same events: in the kernel, and in user space over an unfiltered
//! stream.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::time::Duration;

use proc_connector::parser::Context;
use proc_connector::{
    Event, Filter, OwnedEvent, ProcConnector, Received, Selector, TaskProperties,
};
use proc_connector_core::testing::kinds::EXIT;

use super::cgroup;
use super::tree::{now_ns, position};
use crate::common::{Deadline, builder, load};

/// How many different events of a filter are described.
const SHOWN: usize = 4;

/// The position of an event in the stream of its CPU, which all listeners receive.
pub(crate) type Position = (u32, u32);

/// A connector with a filter in the kernel, and a selector with the same filter.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) filter: Filter,
    connector: ProcConnector,
    selector: Selector,
    /// How many times each event was selected, and when it was sent.
    in_kernel: BTreeMap<Position, (usize, u64)>,
    in_user_space: BTreeMap<Position, (usize, u64)>,
    last_ns: u64,
}

/// An unfiltered connector, and pairs that receive the same events.
#[derive(Debug)]
pub(crate) struct Comparison {
    connector: ProcConnector,
    pub(crate) pairs: Vec<Pair>,
    cgroups: Cgroups,
    events: BTreeMap<Position, OwnedEvent>,
    /// The time at which all connectors were open.
    from_ns: u64,
    /// The time up to which all have received all events.
    to_ns: u64,
    exited: Vec<u32>,
}

/// The cgroups above each cgroup. The contexts of events have all other properties.
#[derive(Debug)]
struct Cgroups(HashMap<u64, Vec<u64>>);

impl TaskProperties for Cgroups {
    fn cgroups_above(&mut self, cgroup: u64, ids: &mut Vec<u64>) -> bool {
        let Some(above) = self.0.get(&cgroup) else { return false };
        ids.extend(above);
        true
    }
}

impl Comparison {
    /// Opens the connectors. The roots of the filters exist and have no descendants, and only the
    /// processes in `running` have the name of a root.
    pub(crate) fn open(filters: Vec<Filter>, running: &[u32]) -> Self {
        let comm = |&pid: &u32| {
            let comm = fs::read(format!("/proc/{pid}/comm")).expect("/proc is mounted");
            (pid, comm.trim_ascii_end().to_owned())
        };
        let running: Vec<(u32, Vec<u8>)> = running.iter().map(comm).collect();
        let connector = builder().receive_buffer(64 << 20).context(true).open();
        let connector = connector.expect("a live connector");
        let open = |filter: Filter| {
            let builder = builder().receive_buffer(8 << 20).filter(filter.clone());
            let connector = builder.open().unwrap_or_else(|error| panic!("{filter:?}: {error}"));
            let mut selector = Selector::new(&filter);
            for (pid, comm) in &running {
                if filter.root_names().iter().any(|name| name.matches(comm)) {
                    selector.follow(*pid, None);
                }
            }
            let (in_kernel, in_user_space) = Default::default();
            Pair { filter, connector, selector, in_kernel, in_user_space, last_ns: 0 }
        };
        let pairs = filters.into_iter().map(open).collect();
        Self {
            connector,
            pairs,
            cgroups: Cgroups(cgroup::all()),
            events: BTreeMap::new(),
            from_ns: now_ns(),
            to_ns: 0,
            exited: Vec::new(),
        }
    }

    /// Receives what has arrived after at most `time`.
    pub(crate) fn take(&mut self, time: Duration) {
        for received in self.connector.recv_batch_timeout(time).expect("a batch") {
            let event = match received {
                Received::Event(event) => event,
                Received::Lost(lost) => panic!("the machine is too busy: {lost:?}"),
            };
            if event.what() == EXIT {
                self.exited.push(event.process().expect("an exit").pid);
            }
            let is_counted = event.timestamp_ns() >= self.from_ns;
            if is_counted {
                self.events.insert(position(&event), OwnedEvent::from(event));
            }
            for pair in &mut self.pairs {
                if pair.selector.matches(&event, &mut self.cgroups) && is_counted {
                    count(&mut pair.in_user_space, &event);
                }
            }
        }
        for pair in &mut self.pairs {
            pair.take(self.from_ns);
        }
    }

    /// Receives all events that were sent until now.
    pub(crate) fn catch_up(&mut self) {
        let now = now_ns();
        // The kernel sends an event to one listener after the other. When this one has received the
        // second of two events of a CPU, all have received the first.
        for cpu in [load::cpus(), load::cpus()].concat() {
            let (thread, deadline) = (load::thread_on(cpu), Deadline::new());
            while !self.exited.contains(&thread) {
                assert!(deadline.left().is_some(), "the exit of a thread is missing");
                self.take(Duration::from_millis(1));
            }
        }
        for pair in &mut self.pairs {
            while pair.take(self.from_ns) && pair.last_ns <= now {}
        }
        self.to_ns = now;
    }

    /// Compares the two forms of each filter. Returns their differences.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for pair in &self.pairs {
            let all = pair.in_kernel.iter().chain(&pair.in_user_space);
            let in_time =
                all.filter(|(_, (_, ns))| *ns <= self.to_ns).map(|(position, _)| position);
            let events: BTreeSet<&Position> = in_time
                .filter(|at| pair.in_kernel.get(*at) != pair.in_user_space.get(*at))
                .collect();
            if !events.is_empty() {
                differences.push(format!("{} events of {}", events.len(), pair.describe()));
            }
            for position in events.into_iter().take(SHOWN) {
                let times =
                    |of: &BTreeMap<_, (usize, u64)>| of.get(position).map_or(0, |(n, _)| *n);
                let (kernel, user_space) = (times(&pair.in_kernel), times(&pair.in_user_space));
                let event = self.events.get(position).map(describe);
                differences.push(format!("  kernel {kernel}, user space {user_space}: {event:?}"));
            }
        }
        differences
    }

    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }
}

impl Pair {
    /// Receives what the kernel has selected. Returns whether there was anything.
    fn take(&mut self, from_ns: u64) -> bool {
        let mut has_any = false;
        let batch = self.connector.recv_batch_timeout(Duration::ZERO).expect("a batch");
        for received in batch {
            let Received::Event(event) = received else { panic!("{received:?}") };
            has_any = true;
            self.last_ns = event.timestamp_ns();
            if event.timestamp_ns() >= from_ns {
                count(&mut self.in_kernel, &event);
            }
        }
        has_any
    }

    pub(crate) fn selected(&self) -> usize {
        self.in_kernel.len()
    }

    pub(crate) fn describe(&self) -> String {
        describe_filter(&self.filter)
    }
}

fn describe_filter(filter: &Filter) -> String {
    let text = |name: &proc_connector::parser::filter::NamePattern| {
        let star = if name.is_prefix() { "*" } else { "" };
        String::from_utf8_lossy(name.bytes()).into_owned() + star
    };
    let texts = |names: &[_]| names.iter().map(text).collect::<Vec<_>>();
    format!(
        "mask {:?}, roots {:?}, programs {:?}, cgroups {:?}, users {:?}, names {:?}",
        filter.mask(),
        filter.roots(),
        texts(filter.root_names()),
        filter.cgroups(),
        filter.users(),
        texts(filter.names())
    )
}

fn count(events: &mut BTreeMap<Position, (usize, u64)>, event: &Event<'_>) {
    events.entry(position(event)).or_insert((0, event.timestamp_ns())).0 += 1;
}

fn describe(event: &OwnedEvent) -> String {
    let context = event.context().as_ref().map(describe_context);
    let words =
        event.data().chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().expect("4")));
    let words: Vec<u32> = words.collect();
    format!("{:?} {words:?} at {}: {context:?}", event.mask(), event.timestamp_ns())
}

fn describe_context(context: &Context<'_>) -> String {
    format!(
        "tgid {:?} start {:?} child {:?} over {:?} user {:?} {:?} comm {:?} cgroup {:?}",
        context.tgid(),
        context.start_boottime_ns(),
        context.child_start_boottime_ns(),
        context.is_over(),
        context.uid(),
        context.euid(),
        context.comm().map(String::from_utf8_lossy),
        context.cgroup_id()
    )
}
