//! Filters of descendants that are set while processes fork: no event is missing and none is delivered
//! twice, from the moment at which the filter is set.

mod common;

#[path = "common/choice/mod.rs"]
mod choice;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use choice::pair::Position;
use choice::tree::{Tree, now_ns, position};
use common::helper_process::{HelperProcess, pause, print_number};
use common::{kernel_is_at_least, large_buffer, named, skip, transport};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::wait;
use proc_connector::parser::filter::{NamePattern, TreeRoot};
use proc_connector::testing::behaviour as sys;
use proc_connector::{EventMask, Filter, ProcConnector, Received, Transport};
use proc_connector_core::testing::kinds::{EXIT, FORK};

fn main() -> ExitCode {
    let tests = named![
        processes_that_fork_meanwhile_are_followed,
        a_changed_filter_loses_and_repeats_nothing,
    ];
    common::main(&named![forks_on, fork_and_wait], &tests)
}

/// Lines of processes that exist at a time.
const LINES: usize = 4;

/// A role: lines of processes, each of which forks the next one and ends. All of them become children of
/// this process, so that they always descend from it.
fn forks_on() {
    set_child_subreaper(true).expect("Linux 3.4");
    print_number(0);
    pause();
    loop {
        for _ in 0..LINES {
            sys::fork(|| go_on(200));
        }
        while wait().is_ok() {}
    }
}

/// A role: processes that live on, and fork others.
fn fork_and_wait() {
    print_number(0);
    pause();
    let root = std::process::id();
    for _ in 0..LINES {
        sys::fork(|| {
            while nix::unistd::getppid().as_raw().unsigned_abs() == root {
                sys::wait4(sys::fork(|| ())).expect("a child");
            }
        });
    }
    while wait().is_ok() {}
}

fn go_on(generations: u32) {
    if generations > 0 {
        if generations % 8 == 0 {
            sys::wait4(sys::fork(|| ())).expect("a child");
        }
        sys::fork(|| go_on(generations - 1));
        sys::exit(0);
    }
}

/// The events that a connector delivers, with their kinds and time stamps.
#[derive(Debug)]
struct Filtered {
    connector: ProcConnector,
    events: BTreeMap<Position, (u32, u64)>,
    repeated: usize,
}

impl Filtered {
    fn open(filter: &Filter) -> Self {
        let builder = large_buffer().filter(filter.clone());
        let connector = builder.open().expect("a live connector");
        Self { connector, events: BTreeMap::new(), repeated: 0 }
    }

    fn take(&mut self) -> bool {
        let mut has_any = false;
        for received in self.connector.recv_batch_timeout(Duration::ZERO).expect("a batch") {
            let Received::Event(event) = received else { panic!("{received:?}") };
            let value = (event.what(), event.timestamp_ns());
            self.repeated += usize::from(self.events.insert(position(&event), value).is_some());
            has_any = true;
        }
        has_any
    }

    /// Describes the events between two times that only one of the two has. `is_common` chooses those
    /// that both must have.
    fn differences(
        &self,
        tree: &Tree,
        (from, to): (u64, u64),
        is_common: impl Fn(u32) -> bool,
        may_have_more: bool,
    ) -> Vec<String> {
        let is_compared = |&(what, ns): &(u32, u64)| is_common(what) && from <= ns && ns <= to;
        let only = |one: &BTreeMap<Position, (u32, u64)>, other: &BTreeMap<_, _>, name: &str| {
            let only =
                one.iter().filter(|(at, event)| is_compared(event) && !other.contains_key(*at));
            let text = |(at, event)| {
                format!("{name}: {at:?} {event:?}, {} ns later", ns_after(event, from))
            };
            only.map(text).collect::<Vec<String>>()
        };
        let mut differences = only(&tree.events, &self.events, "missing");
        if !may_have_more {
            differences.extend(only(&self.events, &tree.events, "foreign"));
        }
        differences
    }
}

fn ns_after(&(_, ns): &(u32, u64), from: u64) -> u64 {
    ns.saturating_sub(from)
}

fn of(roots: &[u32]) -> Filter {
    let roots: Vec<TreeRoot> = roots.iter().map(|&root| TreeRoot::new(root)).collect();
    Filter::default().descendants_of(&roots).expect("few enough")
}

fn receive(tree: &mut Tree, filtered: &mut Filtered, time: Duration) {
    let start = now_ns();
    while u128::from(now_ns() - start) < time.as_nanos() {
        tree.take(Duration::from_millis(1));
        filtered.take();
    }
}

fn catch_up(tree: &mut Tree, filtered: &mut Filtered) {
    tree.catch_up();
    while filtered.take() {}
}

/// Numbers of rounds. Under an emulator, a change of the filter takes seconds: after some time, only
/// the minimum is completed.
fn rounds(minimum: u64, maximum: u64) -> impl Iterator<Item = u64> {
    let started = Instant::now();
    (0..maximum).take_while(move |&round| round < minimum || started.elapsed() < AT_MOST)
}

const AT_MOST: Duration = Duration::from_secs(20);

fn start(tree: &mut Tree, role: &str) -> HelperProcess {
    if !kernel_is_at_least(6, 12) {
        skip("contexts are incomplete on this kernel");
    }
    let mut helper = HelperProcess::start(role);
    helper.read_number();
    tree.set_root(helper.pid());
    helper
}

fn processes_that_fork_meanwhile_are_followed() {
    if transport() != Transport::Ring {
        skip("over the socket, processes that end while /proc is read are not found");
    }
    let mut tree = Tree::open();
    let mut helper = start(&mut tree, "forks_on");
    helper.resume();
    let mut changed = Filtered::open(&Filter::new(EventMask::empty()));
    let mut compared = 0;
    for round in rounds(2, 16) {
        let mut opened = None;
        let filtered = if round % 2 == 0 {
            changed.events.clear();
            changed.connector.set_filter(&of(&[helper.pid()])).expect("a filter");
            &mut changed
        } else {
            opened.insert(Filtered::open(&of(&[helper.pid()])))
        };
        let from = now_ns();
        receive(&mut tree, filtered, Duration::from_millis(20));
        let to = now_ns();
        catch_up(&mut tree, filtered);
        let differences = filtered.differences(&tree, (from, to), |_| true, false);
        compared += filtered.events.len();
        assert!(
            differences.is_empty(),
            "round {round}, {} of {}:\n{}",
            differences.len(),
            filtered.events.len(),
            differences[..differences.len().min(10)].join("\n")
        );
        changed.connector.set_filter(&Filter::new(EventMask::empty())).expect("a filter");
        while changed.take() {}
        tree.events.clear();
    }
    eprintln!("{compared} events");
}

fn a_changed_filter_loses_and_repeats_nothing() {
    // Over the socket, only processes that live for some time are found when a filter is set.
    let (role, kind) = match transport() {
        Transport::Ring => ("forks_on", EXIT),
        _ => ("fork_and_wait", FORK),
    };
    let mut tree = Tree::open();
    let mut other = HelperProcess::start(role);
    other.read_number();
    let mut helper = start(&mut tree, role);
    for helper in [&mut helper, &mut other] {
        helper.resume();
    }
    let (this, that) = (helper.pid(), other.pid());
    let own = NamePattern::prefix(b"live_attach");
    let common = EventMask::from_bits_retain(kind);
    // All of them pass the events of this kind in the tree.
    #[expect(clippy::useless_vec, reason = "an array would be large for the stack")]
    let filters = vec![
        of(&[this]),
        of(&[this, that]),
        Filter::default().of_users(&[nix::unistd::getuid().as_raw()]).expect("few enough"),
        of(&[that, this]),
        of(&[this]).named(&[own]).expect("few enough"),
        Filter::new(common),
        Filter::new(common | EventMask::SID).descendants_of(&[TreeRoot::new(this)]).expect("one"),
        Filter::default().named(&[own]).expect("few enough"),
    ];
    let mut filtered = Filtered::open(&filters[0]);
    tree.take(Duration::ZERO);
    let from = now_ns();
    for round in rounds(8, 96) {
        receive(&mut tree, &mut filtered, Duration::from_millis(1 + round % 4));
        // Each filter follows several others.
        let place = (round * 5 + round / 8) % 8;
        let filter = &filters[usize::try_from(place).expect("small")];
        filtered.connector.set_filter(filter).expect("a filter");
    }
    receive(&mut tree, &mut filtered, Duration::from_millis(2));
    let to = now_ns();
    catch_up(&mut tree, &mut filtered);
    let count = tree.events.values().filter(|&&(what, _)| what == kind).count();
    eprintln!("{count} events");
    assert_eq!(filtered.repeated, 0);
    let differences = filtered.differences(&tree, (from, to), |what| what == kind, true);
    assert!(
        differences.is_empty(),
        "{} of {count}:\n{}",
        differences.len(),
        differences[..differences.len().min(10)].join("\n")
    );
}
