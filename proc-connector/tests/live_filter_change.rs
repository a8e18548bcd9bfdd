//! Filters in the kernel: their effect from the first event on and after a change, and the counts of
//! missing events.

#![allow(clippy::exhaustive_structs, reason = "`sockopt_impl` makes public types")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::raw::{RawSocket, Stamp, Witnessed};
use common::recorder::{Delivered, Recorder, catch_up, receive_events_before_acknowledgements};
use common::{
    CAP_NET_ADMIN, Deadline, PATIENCE, builder, load, named, open_filtered, open_live,
    require_capability, skip, strangers, transport,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use proc_connector::{Error, EventMask, Filter, NoRing, ProcConnector, Stats, Transport};
use proc_connector_core::testing::kinds::{EXIT, FORK};

fn main() -> ExitCode {
    let tests = named![
        events_before_the_acknowledgement_are_filtered,
        a_filter_change_under_load_loses_and_repeats_nothing,
        a_filter_change_applies_to_later_events,
        a_full_set_of_ids_can_be_replaced,
        a_refused_filter_change_has_no_effect,
        missing_events_are_counted_only_without_a_filter,
        the_missing_count_equals_the_lost_count,
    ];
    common::main(&[], &tests)
}

fn events_before_the_acknowledgement_are_filtered() {
    let open = || open_filtered(&Filter::new(EventMask::EXIT));
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
    let mut connector = open_filtered(&filters[0]);
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
    let mut connector = open_filtered(&forks);
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
    let mut connector = open_filtered(&one);
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
    let mut filtered = open_filtered(&Filter::new(EventMask::FORK));
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
        recorder.record(&mut filtered, PATIENCE);
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

    let mut connector = open_filtered(&Filter::new(EventMask::FORK | EventMask::EXIT));
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
