//! Filters in the kernel: the events that they pass, from the first event on, and the effect of
//! changing them.

#![allow(clippy::exhaustive_structs, reason = "`sockopt_impl` makes public types")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::helper_process::{HelperProcess, command, pause, print_number};
use common::raw::{RawSocket, Stamp, Witnessed};
use common::recorder::{Delivered, Recorder, catch_up, receive_events_before_acknowledgements};
use common::{
    CAP_NET_ADMIN, Deadline, builder, large_buffer, load, named, open_live, require_capability,
    skip, transport,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::setsockopt;
use nix::unistd::setsid;
use nix::{setsockopt_impl, sockopt_impl};
use proc_connector::{
    Error, Event, EventMask, Filter, NoRing, ProcConnector, Received, Stats, Transport,
};
use proc_connector_core::testing::filters::{FilterModel, RawEvent, TgidRule};
use proc_connector_core::testing::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, SID};

fn main() -> ExitCode {
    let roles = named![lives, succeeds, crashes];
    let tests = named![
        each_filter_passes_the_selected_events,
        events_before_the_acknowledgement_are_filtered,
        a_filter_change_under_load_loses_and_repeats_nothing,
        a_filter_change_applies_to_later_events,
        a_full_set_of_ids_can_be_replaced,
        a_refused_filter_change_has_no_effect,
        missing_events_are_counted_only_without_a_filter,
        the_missing_count_equals_the_lost_count,
    ];
    common::main(&roles, &tests)
}

fn open(filter: &Filter) -> ProcConnector {
    let builder = large_buffer().filter(filter.clone());
    builder.open().expect("a live connector")
}

/// The proportion of all events that a filter passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    All,
    Some,
    None,
}

fn each_filter_passes_the_selected_events() {
    // Started before the listeners, so that filters can contain its id, and no listener receives
    // its start.
    let mut helper = HelperProcess::start("lives");
    helper.read_number();
    let (this, that) = (std::process::id(), helper.pid());
    let everything =
        FilterModel { mask: u32::MAX, processes_only: false, failures_only: false, tgids: None };
    let kinds = |mask| FilterModel { mask, ..everything.clone() };
    let processes = FilterModel { processes_only: true, ..everything.clone() };
    let failures = FilterModel { failures_only: true, ..everything.clone() };
    let tgids =
        |set, ids: &[u32]| FilterModel { tgids: Some((set, ids.to_vec())), ..kinds(u32::MAX) };
    let crowd: Vec<u32> = strangers(1023).chain([that]).collect();
    let choices = [
        (kinds(EXEC | COREDUMP), Share::Some),
        (kinds(EXIT), Share::Some),
        (kinds(0x400), Share::None),
        (processes.clone(), Share::Some),
        (failures, Share::Some),
        (FilterModel { mask: EXIT, failures_only: true, ..processes.clone() }, Share::Some),
        (tgids(TgidRule::Only, &[this]), Share::Some),
        (tgids(TgidRule::Only, &[that, this]), Share::Some),
        (tgids(TgidRule::Only, &crowd), Share::Some),
        (tgids(TgidRule::Only, &[]), Share::None),
        (tgids(TgidRule::Except, &[that]), Share::Some),
        (tgids(TgidRule::Except, &[]), Share::All),
        (FilterModel { processes_only: true, ..tgids(TgidRule::Except, &[this]) }, Share::Some),
        (everything.clone(), Share::All),
    ];
    let mut all = Listener::new(&Filter::default());
    let mut listeners = choices.each_ref().map(|(choice, _)| Listener::new(&choice.filter()));

    load::threads(2);
    helper.resume();
    let deadline = Deadline::new();
    let mut family = BTreeSet::from([this, that]);
    while !has_ended((that, that), &all.observed) || is_any_running(&family, &all.observed) {
        all.listen(deadline.left().expect("the end of each process and thread"));
        add_descendants(&mut family, &all.observed);
    }
    assert!(helper.wait().success());
    assert_eq!(family.len(), 5, "this process, the helper and its three children");

    let sent = all.events_of(&family);
    for kind in [FORK, EXEC, SID, COMM, COREDUMP, EXIT] {
        assert!(sent.iter().any(|observed| observed.event.what == kind), "no event {kind:#x}");
    }
    for ((choice, share), listener) in choices.iter().zip(&mut listeners) {
        let mut wanted = sent.clone();
        wanted.retain(|observed| choice.passes(&observed.event));
        let of_all = match wanted.len() {
            0 => Share::None,
            count if count == sent.len() => Share::All,
            _ => Share::Some,
        };
        assert_eq!(of_all, *share, "{choice:?}");
        while listener.events_of(&family).len() < wanted.len() {
            let Some(left) = deadline.left() else { panic!("{choice:?}: {:?}", listener.observed) };
            listener.listen(left);
        }
        while listener.listen(Duration::ZERO) {}
        assert_eq!(listener.events_of(&family), wanted, "{choice:?}");
    }
}

/// A role: creates threads, sets a name, starts a session, and has successful and failing children.
fn lives() {
    print_number(0);
    pause();
    load::threads(2);
    std::fs::write("/proc/self/comm", "named").expect("a name");
    setsid().expect("it leads no group of processes");
    for role in ["succeeds", "crashes", "succeeds"] {
        command(role).status().expect("this binary can be started");
    }
}

/// A role: succeeds, after a thread exited.
fn succeeds() {
    load::threads(1);
}

/// A role: ends with a core dump, but without a core file.
fn crashes() {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("a limit");
    std::process::abort();
}

/// Ids that no process has: above the kernel's `PID_MAX_LIMIT`.
fn strangers(count: u32) -> impl Iterator<Item = u32> {
    (1..=count).map(|n| (1 << 22) + n)
}

/// An event as plain values, with its position in the stream of its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Observed {
    cpu: u32,
    seq: u32,
    event: RawEvent,
}

impl From<Event<'_>> for Observed {
    fn from(event: Event<'_>) -> Self {
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(event.data().chunks_exact(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().expect("four bytes"));
        }
        let (cpu, seq, what) = (event.cpu(), event.seq(), event.what());
        Self { cpu, seq, event: RawEvent { what, words } }
    }
}

impl Observed {
    /// The thread and its process; for a fork, the new ones.
    fn task(&self) -> (u32, u32) {
        let [first, second, third, fourth, ..] = self.event.words;
        if self.event.what == FORK { (third, fourth) } else { (first, second) }
    }
}

/// A listener that stores its events.
struct Listener {
    connector: ProcConnector,
    observed: Vec<Observed>,
}

impl Listener {
    fn new(filter: &Filter) -> Self {
        Self { connector: open(filter), observed: Vec::new() }
    }

    /// Receives a batch; returns whether it contained an event.
    fn listen(&mut self, timeout: Duration) -> bool {
        let before = self.observed.len();
        for received in self.connector.recv_batch_timeout(timeout).expect("a batch") {
            match received {
                Received::Event(event) => self.observed.push(event.into()),
                Received::Lost(lost) => panic!("the machine is too busy: {lost:?}"),
            }
        }
        self.observed.len() > before
    }

    /// The events of these processes, sorted by CPU, each in order.
    fn events_of(&self, processes: &BTreeSet<u32>) -> Vec<Observed> {
        let mut observed = self.observed.clone();
        observed.retain(|observed| processes.contains(&observed.task().1));
        observed.sort_by_key(|observed| observed.cpu);
        observed
    }
}

fn add_descendants(family: &mut BTreeSet<u32>, observed: &[Observed]) {
    let mut before = 0;
    while before < family.len() {
        before = family.len();
        for fork in observed.iter().filter(|observed| observed.event.what == FORK) {
            if family.contains(&fork.event.words[1]) {
                family.insert(fork.task().1);
            }
        }
    }
}

fn has_ended(task: (u32, u32), observed: &[Observed]) -> bool {
    observed.iter().any(|observed| observed.event.what == EXIT && observed.task() == task)
}

/// Whether the start of a thread of these processes was received, but not its exit.
fn is_any_running(processes: &BTreeSet<u32>, observed: &[Observed]) -> bool {
    let mut forks =
        observed.iter().filter(|observed| observed.event.what == FORK).map(Observed::task);
    forks.any(|task| processes.contains(&task.1) && !has_ended(task, observed))
}

fn events_before_the_acknowledgement_are_filtered() {
    let open = || open(&Filter::new(EventMask::EXIT));
    receive_events_before_acknowledgements(open, |connector, witness, witnessed| {
        let mut recorder = Recorder::default();
        record_up_to_an_exit(&mut recorder, connector);
        assert!(recorder.stamps().all(|stamp| stamp.what == EXIT));
        assert_has_all_exits(&recorder, witness, witnessed);
        recorder
    });
}

/// Records until the exit of a new thread was received, whatever else the filter passes.
fn record_up_to_an_exit(recorder: &mut Recorder, connector: &mut ProcConnector) {
    let thread = load::threads(1)[0];
    let deadline = Deadline::new();
    while !recorder.has_exit_of(thread) {
        let left = deadline.left().expect("the exit of a thread that has ended");
        recorder.record(connector, left);
    }
}

/// Asserts that the exits of each CPU, from the first to the last, equal those of the witness, in
/// order.
fn assert_has_all_exits(recorder: &Recorder, witness: &RawSocket, witnessed: &mut Witnessed) {
    assert_eq!(recorder.lost(), 0, "the machine is too busy");
    let mut cpus: BTreeMap<u32, Vec<Stamp>> = BTreeMap::new();
    for exit in recorder.stamps().filter(|stamp| stamp.what == EXIT) {
        cpus.entry(exit.cpu).or_default().push(exit);
    }
    catch_up(witness, witnessed, cpus.values().map(|exits| exits[exits.len() - 1]));
    for exits in cpus.values() {
        let sent = witnessed.between(exits[0], exits[exits.len() - 1]).iter();
        let sent = sent.filter(|stamp| stamp.what == EXIT);
        assert!(exits.iter().eq(sent), "{} exits from {:?} on", exits.len(), exits[0]);
    }
}

fn a_filter_change_under_load_loses_and_repeats_nothing() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let crowd: Vec<u32> = strangers(400).collect();
    let fork = EventMask::FORK;
    // All filters pass exits, with programs of different lengths.
    let filters = [(EventMask::empty(), 0), (fork, 400), (EventMask::SID, 20), (fork, 1)].map(
        |(more, left_out)| {
            let filter = Filter::new(EventMask::EXIT | more).except_tgids(&crowd[..left_out]);
            filter.expect("few enough")
        },
    );
    let mut connector = open(&filters[0]);
    let mut recorder = Recorder::default();
    let (done, started) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut threads = Vec::new();
            while !done.load(Relaxed) && threads.len() < 20_000 {
                threads.extend(load::threads(10));
                started.store(threads.len(), Relaxed);
            }
            threads
        });
        let stop = load::OnDrop(|| done.store(true, Relaxed));
        let change = |filter, connector: &mut ProcConnector, recorder: &mut Recorder| {
            connector.set_filter(filter).expect("a filter that the kernel accepts");
            recorder.record(connector, Duration::ZERO);
            thread::sleep(Duration::from_micros(100));
        };
        // On a slow machine, the load ends before this many changes.
        let goes_on = |threads| started.load(Relaxed) < threads;
        for _ in (0..250).take_while(|_| goes_on(8_000)) {
            change(&filters[2], &mut connector, &mut recorder);
            change(&filters[0], &mut connector, &mut recorder);
        }
        assert!(recorder.stamps().all(|stamp| stamp.what != FORK), "neither lets a fork through");
        for filter in filters.iter().cycle().take(500).take_while(|_| goes_on(18_000)) {
            change(filter, &mut connector, &mut recorder);
        }
        drop(stop);
        let threads = load.join().expect("threads");
        let deadline = Deadline::new();
        while !recorder.has_exits_of(&threads[threads.len() - 10..]) {
            recorder.record(&mut connector, deadline.left().expect("the exits of all threads"));
        }
        // Each filter was in effect for some time.
        let threads = BTreeSet::from_iter(threads);
        let forked = recorder.delivered.iter().filter_map(|got| match got {
            Delivered::Event { forked, .. } => *forked,
            Delivered::Lost(_) => None,
        });
        let forks = forked.filter(|thread| threads.contains(thread)).count();
        assert!(0 < forks && forks < threads.len(), "{forks} forks of {} threads", threads.len());
    });
    assert_has_all_exits(&recorder, &witness, &mut witnessed);
}

fn a_filter_change_applies_to_later_events() {
    let (forks, exits) = (Filter::new(EventMask::FORK), Filter::new(EventMask::EXIT));
    let mut connector = open(&forks);
    let (mut observed, mut unheard) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        // A fork is sent before this function returns the id. Nothing is received in between:
        // queued events stay, whatever filter follows.
        observed.extend(load::threads(2));
        connector.set_filter(&exits).expect("a filter that the kernel accepts");
        unheard.extend(load::threads(2));
        connector.set_filter(&forks).expect("a filter that the kernel accepts");
    }
    connector.set_filter(&Filter::default()).expect("a filter that the kernel accepts");
    let mut recorder = Recorder::default();
    recorder.mark(&mut connector);
    assert_eq!(recorder.lost(), 0);
    assert!(observed.iter().all(|&thread| forks_of(&recorder, thread) == 1), "{recorder:?}");
    assert!(unheard.iter().all(|&thread| forks_of(&recorder, thread) == 0), "{recorder:?}");
}

fn forks_of(recorder: &Recorder, thread: u32) -> usize {
    let is_fork = |got: &&Delivered| matches!(got, Delivered::Event { forked, .. } if *forked == Some(thread));
    recorder.delivered.iter().filter(is_fork).count()
}

fn a_full_set_of_ids_can_be_replaced() {
    let mut ids: Vec<u32> = strangers(2 * FULL).collect();
    let (one, other) = ids.split_at_mut(FULL as usize);
    other[0] = std::process::id();
    let [one, other] =
        [one, other].map(|ids| Filter::default().only_tgids(ids).expect("as many as it holds"));
    let mut connector = open(&one);
    let unheard = load::threads(3);
    connector.set_filter(&other).expect("a filter that the kernel accepts");
    let observed = load::threads(3);
    let mut recorder = Recorder::default();
    recorder.record_exits(&mut connector, &observed);
    assert!(unheard.iter().all(|&thread| forks_of(&recorder, thread) == 0), "{recorder:?}");
}

/// The maximum number of ids in a filter.
const FULL: u32 = 1024;

sockopt_impl!(
    /// Prevents changes of a socket's filter.
    LockFilter, SetOnly, libc::SOL_SOCKET, libc::SO_LOCK_FILTER, bool
);

fn a_refused_filter_change_has_no_effect() {
    let mut filtered = open(&Filter::new(EventMask::FORK));
    let mut unfiltered = open_live();
    for connector in [&mut filtered, &mut unfiltered] {
        let other = Filter::new(EventMask::EXIT);
        if transport() == Transport::Ring {
            let refused = without_descriptors(|| connector.set_filter(&other).err());
            let errno = NoRing::Os(libc::EMFILE);
            let Some(Error::RingUnavailable { reason, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(reason, errno);
        } else {
            setsockopt(connector, LockFilter, &true).expect("a socket option");
            let refused = connector.set_filter(&other).err();
            assert!(matches!(refused, Some(Error::FilterRefused(_))), "{refused:?}");
        }
    }
    let thread = load::threads(1)[0];
    let mut recorder = Recorder::default();
    recorder.mark(&mut unfiltered);
    assert!(unfiltered.stats().missing.is_some(), "it was never filtered");
    let mut recorder = Recorder::default();
    while forks_of(&recorder, thread) == 0 {
        recorder.record(&mut filtered, Duration::from_secs(10));
    }
    assert!(recorder.stamps().all(|stamp| stamp.what == FORK), "{recorder:?}");
}

/// Calls a function while this process cannot open files.
fn without_descriptors<T>(act: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).expect("a lower limit");
    let result = act();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the previous limit");
    result
}

fn missing_events_are_counted_only_without_a_filter() {
    let mut recorder = Recorder::default();
    let mut connector = open_live();
    let mut missing = |connector: &mut ProcConnector| {
        recorder.mark(connector);
        connector.stats().missing
    };
    assert_eq!(missing(&mut connector), Some(0));
    connector.set_filter(&Filter::default()).expect("nothing to attach");
    assert_eq!(missing(&mut connector), Some(0));
    connector.set_filter(&Filter::default().processes_only()).expect("a filter");
    assert_eq!(connector.stats().missing, None);
    // The expected next sequence numbers are unknown.
    connector.set_filter(&Filter::default()).expect("a filter");
    assert_eq!(missing(&mut connector), None);

    let mut connector = open(&Filter::new(EventMask::FORK | EventMask::EXIT));
    assert_eq!(missing(&mut connector), None);
}

fn the_missing_count_equals_the_lost_count() {
    for events in [0, 20, 300] {
        let builder = builder().receive_buffer_events(events);
        let mut connector = builder.open().expect("a live connector");
        let mut before = settle(&mut connector);
        for _ in 0..5 {
            load::threads(400);
            let after = settle(&mut connector);
            let lost = after.lost - before.lost;
            assert!(lost > 0, "nothing was lost");
            assert!(after.received - before.received + lost >= 800, "{before:?}, {after:?}");
            // On a socket, lost and missing events include acknowledgements of other listeners. A
            // ring counts them separately.
            let missing = [before, after].map(|stats| stats.missing.expect("an unfiltered stream"));
            assert_eq!(missing[1] - missing[0], lost, "{before:?}, {after:?}");
            before = after;
        }
    }
}

/// The totals at a time when all missing events have been reported.
fn settle(connector: &mut ProcConnector) -> Stats {
    if Recorder::default().settle(connector).is_none() {
        skip("the machine is too busy");
    }
    connector.stats()
}
