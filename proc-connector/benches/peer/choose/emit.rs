//! What an event costs the process that causes it: a thread that renames itself continuously.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::prctl::set_name;
use nix::sys::socket::{MsgFlags, send};
use proc_connector::parser::Request;
use proc_connector::parser::filter::{NamePattern, TreeRoot};
use proc_connector::{EventMask, Filter, ProcConnector, Transport};

use crate::support::{Table, median, spread, thread_time};

/// Events in a round.
const EVENTS: u32 = 20_000;

/// A listener that wants none of the events, unless it wants everything.
struct Listener {
    name: &'static str,
    transport: Transport,
    context: bool,
    filter: Filter,
    /// Whether the kernel's own mask of kinds (Linux 6.6) drops the events before the program runs.
    has_kernel_mask: bool,
}

/// The listeners. `other` is a process that does nothing.
fn listeners(other: u32) -> Vec<Listener> {
    let exits = Filter::new(EventMask::EXIT);
    let all = Filter::default;
    let name = NamePattern::exact(b"another");
    let ring = |name, filter| Listener {
        name,
        transport: Transport::Ring,
        context: false,
        filter,
        has_kernel_mask: false,
    };
    let with_context = |listener| Listener { context: true, ..listener };
    let socket = |name, has_kernel_mask| Listener {
        transport: Transport::Socket,
        has_kernel_mask,
        ..ring(name, exits.clone())
    };
    vec![
        ring("ring: everything", all()),
        with_context(ring("ring: everything, context", all())),
        ring("ring: another kind", exits.clone()),
        ring("ring: another user", all().of_users(&[65_534]).expect("one")),
        ring("ring: another name", all().named(&[name]).expect("one")),
        ring("ring: another cgroup", all().in_cgroups(&[u64::MAX]).expect("one")),
        with_context(ring(
            "ring: another tree, context",
            all().descendants_of(&[TreeRoot::new(other)]).expect("one"),
        )),
        socket("socket: another kind", false),
        socket("socket: another kind, mask of the kernel", true),
    ]
}

impl Listener {
    fn open(&self) -> ProcConnector {
        let builder = ProcConnector::builder().transport(self.transport).context(self.context);
        let builder = builder.receive_buffer(64 << 20).filter(self.filter.clone());
        let connector = builder.open().expect("a live connector");
        if self.has_kernel_mask {
            let request = Request::listen().with_mask(EventMask::EXIT).encode();
            send(connector.as_raw_fd(), &request, MsgFlags::empty()).expect("a request");
        }
        connector
    }
}

/// Renames the calling thread, and returns its CPU time per event in ns.
fn emit() -> f64 {
    let names = [c"one", c"two"];
    let start = thread_time();
    for number in 0..EVENTS {
        set_name(names[number as usize % 2]).expect("a name");
    }
    thread_time().saturating_sub(start).as_secs_f64() * 1e9 / f64::from(EVENTS)
}

pub(crate) fn print(rounds: usize) {
    let mut other = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().expect("a program");
    let listeners = listeners(other.id());
    let mut costs: Vec<Vec<f64>> = (0..=listeners.len()).map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        costs[0].push(emit());
        for (listener, costs) in listeners.iter().zip(&mut costs[1..]) {
            let _connector = listener.open();
            costs.push(emit());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut table = Table::new([
        "an event of another process",
        "ns/event",
        "least to most",
        "more than unwatched",
        "of everything",
    ]);
    let unwatched = median(&costs[0]);
    let everything = median(&costs[1]) - unwatched;
    let names = ["no listener"].into_iter().chain(listeners.iter().map(|listener| listener.name));
    for (name, costs) in names.zip(&costs) {
        let more = median(costs) - unwatched;
        table.row([
            name.to_owned(),
            format!("{:.0}", median(costs)),
            spread(costs),
            format!("{more:.0}"),
            format!("{:.2}", more / everything),
        ]);
    }
    table.print();
    drop(other.stdin.take());
    other.wait().expect("a child");
}
